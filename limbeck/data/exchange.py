"""Examples as rows for limbeck and for other trainers, and the conversations that other tools write as examples."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from limbeck.data.columns import Columns
from limbeck.data.rows import distinct, table_example
from limbeck.data.table import stem, table_rows
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import Row, Task
from limbeck.tasks.task import text
from limbeck.teacher import parse

Form = Literal["limbeck", "prompt-completion", "messages", "instruction"]

_USER = {"user", "human"}
_ASSISTANT = {"assistant", "gpt", "model"}
_EXPECTED = "messages, conversations, prompt with completion or response, or instruction with output"


def export_rows(examples: Iterable[Example], task: Task, form: Form) -> tuple[list[dict[str, Any]], int]:
    """The examples as rows to be written as JSON, and how many were left out.

    `limbeck` is what `read_rows` reads back to the very same examples; none is left out. The others are for trainers of
    decoders: TRL's `prompt-completion` (`prompt`, `completion`) and `messages` (a turn of the user, one of the
    assistant), and the `instruction` (`instruction`, `input`, `output`) of Alpaca. There the text to learn is the
    rationale, then a line with the task's marker and the label, which `limbeck.teacher.parse` takes apart again;
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


def read_conversations(path: Path, task: Task) -> tuple[list[Example], dict[str, int]]:
    """Examples from a file of conversations, in the forms that other tools write, and counts of what was in it.

    The file is JSONL, JSON (a list), CSV or Parquet. A row has `messages` (`role`, `content`) or ShareGPT's
    `conversations` (`from`, `value`), or `prompt` with `completion` or `response` (texts or messages), or Alpaca's
    `instruction`, `input` and `output`. The assistant's last turn is parsed as a teacher's reply to the user's turn
    before it, which is the input; no other turn is read. The label is the row's `label` or `answer`; a row without has
    the teacher's. `id` and `choices` are read as in `read_rows`.

    Counts: `rows`; `unparsed_rationales` and `unparsed_labels`, whose reply held none (theirs is None); and `left_out`,
    which have no label at all.

    Raises:
        LimbeckError: names file, line (or item, or row, from 1) and field.
    """
    counts = {"rows": 0, "unparsed_rationales": 0, "unparsed_labels": 0, "left_out": 0}
    kept = []
    for index, (where, row) in enumerate(table_rows(path)):
        example = _conversation(row, task, f"{stem(path)}-{index}", where)
        counts["rows"] += 1
        counts["unparsed_rationales"] += example.rationale is None
        counts["unparsed_labels"] += example.teacher_label is None
        counts["left_out"] += not example.label
        if example.label:
            kept.append((where, example))
    return distinct(kept), counts


def _conversation(row: Row, task: Task, id: str, where: str) -> Example:
    try:
        question, reply = _last_turns(row)
    except LimbeckError as error:
        raise LimbeckError(f"{where}: {error}") from None
    columns: Columns = {"label": "answer"} if row.get("label") in (None, "") and "answer" in row else {}
    known = {name: row[name] for name in ("label", "answer", "choices", "id", "uid", "ID") if name in row}
    example = table_example({**known, "input": question}, task, columns, id, where, labelled=False)
    parsed = parse(reply, task, example)
    label = example.label or parsed.label or ""
    return replace(example, label=label, rationale=parsed.rationale, teacher_label=parsed.label)


def _last_turns(row: Row) -> tuple[str, str]:
    """The last question of a row's conversation, and the reply to it: "" where that is blank.

    Raises:
        LimbeckError: there is none; names the field.
    """
    for field in ("messages", "conversations"):
        if row.get(field) is not None:
            return _pair(_turns(row[field], field), field)
    if row.get("prompt") is not None:
        name = _reply_field(row, "prompt", ("completion", "response"))
        return _pair(_turns(row["prompt"], "prompt", "user") + _turns(row[name], name, "assistant"), "prompt")
    if row.get("instruction") is not None:
        name = _reply_field(row, "instruction", ("output",))
        parts = [text(row[part], part) for part in ("instruction", "input") if row.get(part) not in (None, "")]
        return _pair([("user", "\n".join(parts)), ("assistant", row[name])], name)
    raise LimbeckError(f"field 'messages': missing; {_EXPECTED} was expected, but the row has {list(row)!r:.200}")


def _reply_field(row: Row, asked: str, names: tuple[str, ...]) -> str:
    """The column that holds the reply: of those there the first that is not null."""
    there = [name for name in names if name in row]
    if not there:
        raise LimbeckError(f"field {names[0]!r}: missing beside {asked!r}; the row has {list(row)!r:.200}")
    return next((name for name in there if row[name] is not None), there[0])


def _turns(value: Any, field: str, role: str | None = None) -> list[tuple[str, Any]]:
    """Who said what, in a column: a list of turns; or one of `role`, where a plain text may stand."""
    if role is not None and (value is None or isinstance(value, str)):
        return [(role, value)]
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        raise LimbeckError(f"field {field!r}: a list of turns (role, content) was expected, not {value!r:.60}")
    return [(str(turn.get("role") or turn.get("from")), turn.get("content") or turn.get("value")) for turn in value]


def _pair(turns: list[tuple[str, Any]], field: str) -> tuple[str, str]:
    """The assistant's last turn, and the user's last one before it."""
    roles = [role.lower() for role, _ in turns]
    last = max((place for place, role in enumerate(roles) if role in _ASSISTANT), default=-1)
    asked = max((place for place in range(last) if roles[place] in _USER), default=None)
    if asked is None:
        raise LimbeckError(
            f"field {field!r}: a turn of the user and one of the assistant after it were expected, not {roles!r:.100}"
        )
    reply = _words(turns[last][1], field)
    return text(_words(turns[asked][1], field), field), text(reply, field) if reply.strip() else ""


def _words(content: Any, field: str) -> str:
    """A turn's text; nothing for null. Several parts are put one below the other."""
    parts = content if isinstance(content, list) else [] if content is None else [{"text": content}]
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    if not all(isinstance(words, str) for words in texts):
        raise LimbeckError(
            f"field {field!r}: text, or parts of type text, was expected as content, not {content!r:.60}"
        )
    return "\n".join(map(str, texts))
