"""Conversations as other tools write them, split into examples: chat turns, questions with replies, thoughts."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limbeck.data.rows import Draft, draft_example, read_draft, shared_reading, unique
from limbeck.data.tables import read_table, stem
from limbeck.errors import DataError, LimbeckError
from limbeck.llm import parse, read_reply
from limbeck.llm.messages import THOUGHT_FIELDS, Message, part_text, read_message
from limbeck.schema import Example
from limbeck.tasks import Row, Task
from limbeck.tasks.task import text

LeftOut = Mapping[str, list[str]]
"""The locations of rows that were left out, by the reason."""

_USER = {"user", "human", "prompter"}
_ASSISTANT = {"assistant", "gpt", "model", "chatgpt", "bot"}
_TURNS = ("messages", "conversations", "conversation")
_ROLES = ("role", "from", "speaker", "author")
# Alpaca's instruction with its input, Dolly's with its context
_QUESTIONS = (("prompt",), ("instruction", "input", "context"), ("problem",), ("question",), ("query",))
# A model's text goes before a person's: s1K's attempt before its solution. The last is GSM8K's.
_REPLIES = (
    *("completion", "response", "output", "chosen", "attempt", "deepseek_attempt", "gemini_attempt"),
    *("generated_solution", "deepseek_solution", "solution", "answer"),
)
_REASONS = (
    *(*THOUGHT_FIELDS, "thinking_trajectories", "deepseek_thinking_trajectory", "gemini_thinking_trajectory"),
    *("deepseek_reasoning", "chain_of_thought", "cot", "rationale", "explanation"),
)
_LABELS = ("label", "answer", "final_answer", "expected_answer", "ground_truth", "solution")
_VERDICTS = ("label", "kto_tag")  # where they are true or false: whether the reply is a good one
_MAX_LABEL = 200  # characters; a longer solution is a text, not an answer


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A question and the reply to it; `field` is the reply's column, where it has one of its own."""

    question: str
    reply: Message
    field: str | None = None


def read_conversations(path: Path, task: Task) -> tuple[list[Example], dict[str, int], LeftOut]:
    """Read examples from a file of conversations.

    A row has `messages` or `conversations`, turns with `role` or `from` and `content` or `value`; or a `prompt`,
    `instruction`, `problem` or `question` with a reply: a text, a turn, or turns. The assistant's last turn is read as
    a teacher's reply to the user's turn before it, which is the input. The rationale is the reasoning in the reply
    beside the answer, else its thoughts, which stand in tags, in parts, in keys of the turn (`reasoning_content`) or in
    columns of the row (`thinking_trajectories`). The label is the row's own (`label`, `answer`), else the reply's.

    Returns:
        The examples; counts of `rows`, of `unparsed_rationales` and `unparsed_labels` among the examples, and of rows
        `left_out`; and the locations of the latter by reason.

    Raises:
        LimbeckError: the file cannot be read, an id stands twice, or labels may name several choices.
    """
    left_out: dict[str, list[str]] = {}
    drafts: list[tuple[Draft, Message]] = []
    for index, (location, row) in enumerate(read_table(path)):
        try:
            exchange = _exchange(row)
            drafts.append((_draft(row, exchange, f"{stem(path)}-{index}", task, location=location), exchange.reply))
        except LimbeckError as error:
            left_out.setdefault(str(error).removeprefix(f"{location}: "), []).append(location)
    reading = shared_reading(draft for draft, _ in drafts)
    examples: list[tuple[str, Example]] = []
    for draft, reply in drafts:
        try:
            examples.append((draft.location, _taught(draft_example(draft, task, reading), reply, task)))
        except LimbeckError as error:
            left_out.setdefault(str(error).removeprefix(f"{draft.location}: "), []).append(draft.location)
    count_left_out = sum(map(len, left_out.values()))
    counts = {
        "rows": len(examples) + count_left_out,
        "unparsed_rationales": sum(example.rationale is None for _, example in examples),
        "unparsed_labels": sum(example.teacher_label is None for _, example in examples),
        "left_out": count_left_out,
    }
    return unique(examples), counts, left_out


def _draft(row: Row, exchange: _Exchange, id: str, task: Task, *, location: str) -> Draft:
    """Return the question with the row's own label."""
    fields = {name: row[name] for name in ("id", "uid", "ID", "choices") if row.get(name) is not None}
    fields["input"] = exchange.question
    draft = read_draft(fields, id, task, location=location, columns={}, notes=Counter())
    label = _label(row, exchange.field, task, draft_example(draft, task, None))
    return read_draft({**fields, "label": label}, id, task, location=location, columns={}, notes=Counter())


def _label(row: Row, reply_field: str | None, task: Task, example: Example) -> Any:
    """Return the row's own label; None where it has none. A text with an answer in it, `#### 42`, gives that answer."""
    for name in _LABELS:
        value = row.get(name)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str):
            answer = parse(value, task, example).label if value.strip() and name != reply_field else None
            is_text = answer is None and name == "solution" and len(value) > _MAX_LABEL
            value = None if is_text or not value.strip() else answer or value.strip()
        if name != reply_field and value is not None and not isinstance(value, bool):
            return value
    return None


def _taught(example: Example, reply: Message, task: Task) -> Example:
    """Return the example with its reply's rationale and answer. Raises DataError: neither has a label."""
    parsed = read_reply(reply.words, reply.thoughts, task, example)
    if parsed.rationale is None:
        thoughts = read_reply(reply.words, reply.thoughts, task, example, source="thoughts")
        parsed = replace(thoughts, label=parsed.label or thoughts.label)
    label = example.label or parsed.label
    if not label:
        raise DataError("no answer can be read in its reply, and it has no label")
    return replace(example, label=label, rationale=parsed.rationale, teacher_label=parsed.label)


def _exchange(row: Row) -> _Exchange:
    """Return the last question of a row's conversation with its reply. Raises DataError: there is no good one."""
    if any(row.get(name) is False for name in _VERDICTS):
        raise DataError("its reply is marked as a bad one")
    for field in _TURNS:
        if row.get(field) is not None:
            turns = _turns(row[field], field, "user")
            if row.get("chosen") is not None:  # a preference, whose conversation ends with the question
                turns += _turns(row["chosen"], "chosen", "assistant")
            return _last_exchange(turns, field)
    for question, *continued in _QUESTIONS:
        if row.get(question) is not None:
            return _paired_exchange(row, question, continued)
    expected = "messages or conversations, or prompt, instruction, problem or question with a reply"
    raise DataError(f"no conversation: {expected} was expected, but the columns are {list(row)!r:.200}")


def _paired_exchange(row: Row, question: str, continued: list[str]) -> _Exchange:
    """Return the exchange of a row with columns for the reply and the question, which goes on in `continued`."""
    field = next((name for name in _REPLIES if row.get(name) not in (None, "", [])), None)
    if field is None:
        raise DataError(f"no reply beside {question!r}: one of {', '.join(_REPLIES)} was expected")
    turns = _turns(row[question], question, "user")
    context = [text(row[name], name) for name in continued if row.get(name) not in (None, "")]
    if context and isinstance(row[question], str):
        turns = [("user", Message("\n".join([row[question], *context]), ""))]
    exchange = _last_exchange(turns + _turns(row[field], field, "assistant"), question)
    columns = (part_text(row.get(name)) for name in _REASONS if name != field)
    thoughts = exchange.reply.thoughts or next((words for words in columns if words.strip()), "")
    return _Exchange(exchange.question, replace(exchange.reply, thoughts=thoughts), field)


def _turns(value: Any, field: str, role: str) -> list[tuple[str, Message]]:
    """Return the roles and messages in a column: turns, also as JSON in a text cell; another text is one of `role`."""
    if isinstance(value, str):
        value = _turns_in_json(value) or [{"role": role, "content": value}]
    turns = [value] if isinstance(value, dict) else value
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise DataError(f"text, or turns with role and content, was expected, not {value!r:.40}", field=field)
    roles = [next((turn[name] for name in _ROLES if turn.get(name) is not None), role) for turn in turns]
    return [(str(role).lower(), read_message(turn)) for role, turn in zip(roles, turns, strict=True)]


def _turns_in_json(cell: str) -> list[dict[str, Any]] | None:
    """Return the turns in a text cell; None where it is a plain text, such as a reply in JSON."""
    try:
        value = json.loads(cell) if cell.lstrip().startswith(("[", "{")) else None
    except (ValueError, RecursionError):
        return None
    turns: list[Any] = value if isinstance(value, list) else [value]
    valid = all(isinstance(turn, dict) and any(name in turn for name in _ROLES) for turn in turns)
    return turns if turns and valid else None


def _last_exchange(turns: list[tuple[str, Message]], field: str) -> _Exchange:
    """Return the assistant's last turn with the user's last one before it."""
    reply_index = max((index for index, (role, _) in enumerate(turns) if role in _ASSISTANT), default=-1)
    index = max((index for index in range(reply_index) if turns[index][0] in _USER), default=None)
    if index is None:
        roles = [role for role, _ in turns]
        expected = "a turn of the user and one of the assistant after it were expected"
        raise DataError(f"{expected}, not {roles!r:.80}", field=field)
    question, reply = turns[index][1], turns[reply_index][1]
    for message in (question, reply):
        if message.lacking is not None:
            raise DataError(f"a part of type {message.lacking!r:.40}, which is no text", field=field)
    if not (reply.words.strip() or reply.thoughts.strip()):
        raise DataError("the assistant's turn is blank", field=field)
    return _Exchange(text(question.words, field), reply)
