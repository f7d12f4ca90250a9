"""Examples as rows for limbeck and for other trainers."""

from collections.abc import Iterable
from typing import Any, Literal

from limbeck.schema import Example
from limbeck.tasks import Task

Form = Literal["limbeck", "prompt-completion", "messages", "instruction"]


def export_rows(examples: Iterable[Example], task: Task, form: Form) -> tuple[list[dict[str, Any]], int]:
    """The examples as rows to be written as JSON, and how many were left out.

    `limbeck` is what `read_rows` reads back to the very same examples; none is left out. The others are for trainers of
    decoders: TRL's `prompt-completion` (`prompt`, `completion`) and `messages` (a turn of the user, one of the
    assistant), and the `instruction` (`instruction`, `input`, `output`) of Alpaca. There the text to learn is the
    rationale, then a line with the task's marker and the label, which `limbeck.llm.parse` takes apart again;
    examples without rationale or label are left out.
    """
    if form == "limbeck":
        return [_own(example) for example in examples], 0
    rows, left_out = [], 0
    for example in examples:
        if example.rationale is None or not example.label:
            left_out += 1
        else:
            rows.append(_asked(example.input, f"{example.rationale}\n{task.marker} {example.label}.", task, form))
    return rows, left_out


def _own(example: Example) -> dict[str, Any]:
    """A row with what is known of the example."""
    segments, choices = list(example.segments), list(example.choices)
    row = {
        "id": example.id,
        "input": segments[0] if len(segments) == 1 else segments,
        "label": example.label,
        "rationale": example.rationale,
        "teacher_label": example.teacher_label,
        "choices": choices,
        "answers": [example.label, *example.answers] if example.answers else [],
    }
    return {name: value for name, value in row.items() if value}


def _asked(question: str, reply: str, task: Task, form: Form) -> dict[str, Any]:
    match form:
        case "prompt-completion":
            return {"prompt": question, "completion": reply}
        case "messages":
            return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]}
    one_of = f", which is one of: {', '.join(task.choices)}" if task.choices else ""
    instruction = f'Reason step by step, then write "{task.marker}" and the answer{one_of}.'
    return {"instruction": instruction, "input": question, "output": reply}
