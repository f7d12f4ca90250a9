"""Examples as rows for limbeck and for other trainers."""

from collections.abc import Iterable
from typing import Any, Literal

from limbeck.schema import Example
from limbeck.tasks import Task

Form = Literal["limbeck", "prompt-completion", "messages", "instruction"]


def export_rows(examples: Iterable[Example], task: Task, form: Form) -> tuple[list[dict[str, Any]], int]:
    """Return the examples as rows to be written as JSON, and the number of those left out.

    `limbeck` rows are read back by `read_rows` to the same examples; none is left out. The others are for trainers of
    decoders: TRL's `prompt-completion` and `messages`, and Alpaca's `instruction`. Their target is the rationale, then
    a line with the task's marker and the label; examples without rationale or label are left out.
    """
    examples = list(examples)
    if form == "limbeck":
        return [_own_row(example) for example in examples], 0
    complete = [example for example in examples if example.rationale is not None and example.label]
    return [_trainer_row(example, task, form) for example in complete], len(examples) - len(complete)


def _own_row(example: Example) -> dict[str, Any]:
    row = {
        "id": example.id,
        "input": example.segments[0] if len(example.segments) == 1 else list(example.segments),
        "label": example.label,
        "rationale": example.rationale,
        "teacher_label": example.teacher_label,
        "choices": list(example.choices),
        "answers": [example.label, *example.answers] if example.answers else [],
    }
    return {name: value for name, value in row.items() if value}


def _trainer_row(example: Example, task: Task, form: Form) -> dict[str, Any]:
    question, reply = example.input, f"{example.rationale}\n{task.marker} {example.label}."
    if form == "prompt-completion":
        return {"prompt": question, "completion": reply}
    if form == "messages":
        return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]}
    one_of = f", which is one of: {', '.join(task.choices)}" if task.choices else ""
    instruction = f'Reason step by step, then write "{task.marker}" and the answer{one_of}.'
    return {"instruction": instruction, "input": question, "output": reply}
