"""Conversations of other tools as examples, and examples as conversations."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from limbeck.data.rows import Draft, TableRow, read_files, read_row, resolved, shared_reading, unique
from limbeck.data.tables import is_missing
from limbeck.errors import DataError, LimbeckError
from limbeck.llm.messages import Message, read_message
from limbeck.llm.replies import parse, read_reply
from limbeck.schema import Example
from limbeck.tasks import Row, Task
from limbeck.tasks.task import text

Form = Literal["limbeck", "prompt-completion", "messages", "instruction"]
LeftOut = Mapping[str, list[str]]  # locations of rows by the reason

_USER = {"user", "human"}
_ASSISTANT = {"assistant", "gpt", "model"}
_QUESTIONS = ("prompt", "instruction", "problem", "question")
# s1K's attempt precedes its solution, a person's
_REPLIES = ("completion", "response", "output", "attempt", "deepseek_attempt", "gemini_attempt", "solution", "answer")
_THOUGHTS = ("thinking_trajectories", "deepseek_thinking_trajectory", "gemini_thinking_trajectory")
_LABELS = ("label", "answer", "final_answer", "expected_answer")


def read_conversations(path: Path, task: Task) -> tuple[list[Example], LeftOut]:
    """Read examples from a file of conversations, and return the rows left out.

    The assistant's last turn is a teacher's reply to the user's turn before it. The rationale is the reasoning beside
    the answer, else the thoughts; the label is the row's (`label`, `answer`), else the reply's.
    """
    (table,) = read_files([path])
    drafts, examples = [], []
    left_out = defaultdict(list)
    for row in table:
        try:
            drafts.append(_draft(row, task))
        except LimbeckError as error:
            left_out[str(error).removeprefix(f"{row[0]}: ")].append(row[0])
    reading = shared_reading([draft for draft, _ in drafts])
    for draft, reply in drafts:
        try:
            examples.append((draft.location, _taught(resolved(draft, reading), reply, task)))
        except LimbeckError as error:
            left_out[str(error).removeprefix(f"{draft.location}: ")].append(draft.location)
    return list(unique(examples)), left_out


def _draft(table_row: TableRow, task: Task) -> tuple[Draft, Message]:
    location, id, row = table_row
    if row.get("label") is False or row.get("kto_tag") is False:  # KTO's
        raise DataError("its reply is marked as a bad one")
    turns, reply_field = _conversation(row)
    question, reply = _last_exchange(turns)
    fields = {name: row[name] for name in ("id", "uid", "ID", "choices") if row.get(name) is not None}
    values = (row.get(name) for name in _LABELS if name != reply_field)
    label = next((value for value in values if not (isinstance(value, bool) or is_missing(value))), None)
    draft = read_row((location, id, {**fields, "input": question, "label": label}), task, {})
    if isinstance(label, str) and label not in draft.choices.keys:  # "The answer is 5."
        label = parse(label, task, draft.example).label or draft.example.label
        draft = draft._replace(example=replace(draft.example, label=label))
    return draft, reply


def _taught(example: Example, reply: Message, task: Task) -> Example:
    parsed = thoughts = read_reply(reply.words, reply.thoughts, task, example)
    if parsed.rationale is None:
        thoughts = read_reply(reply.words, reply.thoughts, task, example, source="thoughts")
    teacher_label = parsed.label or thoughts.label
    if not (label := example.label or teacher_label):
        raise DataError("no answer can be read in its reply, and it has no label")
    return replace(example, label=label, rationale=thoughts.rationale, teacher_label=teacher_label)


def _conversation(row: Row) -> tuple[list[tuple[str, Message]], str | None]:
    """Return a row's roles and messages, and the column of its reply, if any."""
    for name in ("messages", "conversations"):
        if row.get(name) is not None:
            return _turns(row[name], name, "user"), None
    question = next((name for name in _QUESTIONS if row.get(name) is not None), None)
    reply = next((name for name in _REPLIES if row.get(name) not in (None, "", [])), None)
    if question is None or reply is None:
        raise DataError(f"neither messages nor a prompt with a completion, only {list(row)!r:.200}")
    prompt = row[question]
    if question == "instruction" and row.get("input") not in (None, ""):  # Alpaca's
        prompt = f"{text(prompt, question)}\n{text(row['input'], 'input')}"
    turns = _turns(prompt, question, "user")
    if isinstance(row[reply], str):  # with the thoughts in another column
        thoughts = next((row[name] for name in _THOUGHTS if row.get(name)), None)
        return [*turns, ("assistant", read_message({"thinking": thoughts, **row, "content": row[reply]}))], reply
    return turns + _turns(row[reply], reply, "assistant"), reply


def _turns(value: Any, field: str, role: str) -> list[tuple[str, Message]]:
    """Return roles and messages; a text is a turn of `role`."""
    turns = value if isinstance(value, list) else [{"content": value} if isinstance(value, str) else value]
    if not all(isinstance(turn, dict) for turn in turns):
        raise DataError(f"text, or turns with role and content, was expected, not {value!r:.40}", field=field)
    return [(str(turn.get("role") or turn.get("from") or role).lower(), read_message(turn)) for turn in turns]


def _last_exchange(turns: list[tuple[str, Message]]) -> tuple[str, Message]:
    """Return the user's last turn before the assistant's last, and that."""
    end = max((index for index, (role, _) in enumerate(turns) if role in _ASSISTANT), default=0)
    questions = [message for role, message in turns[:end] if role in _USER]
    if not questions:
        raise DataError("no turn of the assistant after one of the user")
    question, reply = questions[-1], turns[end][1]
    for message in (question, reply):
        if message.lacking is not None:
            raise DataError(f"a part of type {message.lacking!r:.40}, which is no text")
    if not (reply.words + reply.thoughts).strip():
        raise DataError("the assistant's turn is blank")
    return text(question.words, "input"), reply


def export_rows(examples: Sequence[Example], task: Task, form: Form) -> tuple[list[dict[str, Any]], int]:
    """Return the examples as rows for JSON, and the number left out.

    `read_rows` reads `limbeck` rows back as they were. The other forms, TRL's and Alpaca's, have a row for each
    rationale; its target is the rationale, then a line with the task's marker and the label.
    """
    complete = [row for row in examples if form == "limbeck" or (row.rationale is not None and row.label)]
    left_out = len(examples) - len(complete)
    if form != "limbeck":
        texts = [(row, text) for row in complete for text in dict.fromkeys([row.rationale, *row.rationales])]
        complete = [replace(row, rationale=text) for row, text in texts]
    return [_exported(example, task, form) for example in complete], left_out


def _exported(example: Example, task: Task, form: Form) -> dict[str, Any]:
    if form == "limbeck":
        segments = example.segments[0] if len(example.segments) == 1 else example.segments
        row = {"id": example.id, "input": segments, **asdict(example)}
        row["answers"] = example.answers and (example.label, *example.answers)
        row["reverse"] = example.reverse and dict(zip(("question", "rationale"), example.reverse, strict=True))
        row["votes"] = dict(example.votes)
        return {name: value for name, value in row.items() if value and name not in ("segments", "own_choices")}
    question, reply = example.input, f"{example.rationale}\n{task.marker} {example.label}."
    if form == "prompt-completion":
        return {"prompt": question, "completion": reply}
    if form == "messages":
        return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]}
    one_of = f", which is one of: {', '.join(task.choices)}" if task.choices else ""
    instruction = f'Reason step by step, then write "{task.marker}" and the answer{one_of}.'
    return {"instruction": instruction, "input": question, "output": reply}
