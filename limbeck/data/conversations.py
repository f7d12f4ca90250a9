"""Conversations as other tools write them, taken apart into examples: chat turns, questions with replies, thoughts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limbeck.data.labels import Notes
from limbeck.data.rows import Draft, distinct, draft_example, read_draft, shared_reading
from limbeck.data.table import stem, table_rows
from limbeck.errors import LimbeckError
from limbeck.llm import parse, read_reply
from limbeck.llm.messages import THOUGHT_FIELDS, Message, part_text, read_message
from limbeck.schema import Example
from limbeck.tasks import Row, Task
from limbeck.tasks.task import text

LeftOut = Mapping[str, list[str]]  # a reason -> where the rows stand that were left out for it

_USER = {"user", "human", "prompter"}
_ASSISTANT = {"assistant", "gpt", "model", "chatgpt", "bot"}
_TURNS = ("messages", "conversations", "conversation")
_ROLES = ("role", "from", "speaker", "author")
# Alpaca's instruction with its input, Dolly's with its context
_QUESTIONS = (("prompt",), ("instruction", "input", "context"), ("problem",), ("question",), ("query",))
# What a model wrote comes before what people did: s1K's attempt before its solution. The last is GSM8K's.
_REPLIES = (
    *("completion", "response", "output", "chosen", "attempt", "deepseek_attempt", "gemini_attempt"),
    *("generated_solution", "deepseek_solution", "solution", "answer"),
)
_REASONS = (
    *(*THOUGHT_FIELDS, "thinking_trajectories", "deepseek_thinking_trajectory", "gemini_thinking_trajectory"),
    *("deepseek_reasoning", "chain_of_thought", "cot", "rationale", "explanation"),
)
_LABELS = ("label", "answer", "final_answer", "expected_answer", "ground_truth", "solution")
_MARKS = ("label", "kto_tag")  # where they are true or false: whether the reply is a good one
_LONGEST_LABEL = 200  # characters; a longer solution is a text, not an answer
_EXPECTED = "messages or conversations, or prompt, instruction, problem or question with a reply"


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A question and the reply to it; `field` is the reply's column, where it is one of the row's."""

    question: str
    reply: Message
    field: str | None = None


def read_conversations(path: Path, task: Task) -> tuple[list[Example], dict[str, int], LeftOut]:
    """Read examples from a file of conversations, in the forms that other tools write.

    A row of the file (JSONL, JSON, CSV, Parquet) has `messages` or `conversations`, turns with `role` or `from` and
    `content` or `value`; or a `prompt`, `instruction`, `problem` or `question` with a reply: a text, a turn, or turns.
    The assistant's last turn is read as a teacher's reply to the user's turn before it, which is the input; no other
    turn is. Its rationale is what reasoning its content has beside the answer, else its thoughts, which stand in tags,
    in parts, in keys of the turn (`reasoning_content`) or in columns of the row (`thinking_trajectories`). The label is
    the row's own (`label`, `answer`), else the reply's. `id` and `choices` are read as in `read_rows`.

    Returns:
        The examples; counts of `rows`, of `unparsed_rationales` and `unparsed_labels` among the examples, whose reply
        held none, and of rows `left_out`; and for what reason which rows were.

    Raises:
        LimbeckError: the file cannot be read, an id stands twice, or labels may name several choices.
    """
    left_out: dict[str, list[str]] = {}
    exchanges: list[tuple[str, _Exchange, Draft]] = []
    notes = Notes()
    for index, (where, row) in enumerate(table_rows(path)):
        try:
            exchange = _exchange(row)
            draft = _draft(row, exchange, task, f"{stem(path)}-{index}", notes)
        except LimbeckError as error:
            left_out.setdefault(str(error), []).append(where)
        else:
            exchanges.append((where, exchange, draft))
    notes.log(str(path))
    reading = shared_reading([[draft for _, _, draft in exchanges]], {})
    examples: list[tuple[str, Example]] = []
    for where, exchange, draft in exchanges:
        try:
            examples.append((where, _example(exchange.reply, draft_example(draft, task, reading), task)))
        except LimbeckError as error:
            left_out.setdefault(str(error), []).append(where)
    counts = {
        "rows": len(examples) + sum(map(len, left_out.values())),
        "unparsed_rationales": sum(example.rationale is None for _, example in examples),
        "unparsed_labels": sum(example.teacher_label is None for _, example in examples),
        "left_out": sum(map(len, left_out.values())),
    }
    return distinct(examples), counts, left_out


def _draft(row: Row, exchange: _Exchange, task: Task, id: str, notes: Notes) -> Draft:
    """Return the question with the row's own label, before it is known how labels name their choices."""
    known = {name: row[name] for name in ("id", "uid", "ID", "choices") if row.get(name) is not None}
    fields = {**known, "input": exchange.question}
    unlabelled = draft_example(read_draft("the row", id, fields, task, {}, Notes()), task, None)
    label = _label(row, exchange.field, task, unlabelled)
    return read_draft("the row", id, {**fields, "label": label}, task, {}, notes)


def _example(reply: Message, example: Example, task: Task) -> Example:
    """Return the example with what its reply holds. Raises LimbeckError: it has no label, and its reply none."""
    parsed = read_reply(reply.words, reply.thoughts, task, example)
    if parsed.rationale is None:
        thoughts = read_reply(reply.words, reply.thoughts, task, example, source="thoughts")
        parsed = replace(thoughts, label=parsed.label or thoughts.label)
    label = example.label or parsed.label
    if not label:
        raise LimbeckError("no answer can be read in its reply, and it has no label")
    return replace(example, label=label, rationale=parsed.rationale, teacher_label=parsed.label)


def _label(row: Row, reply: str | None, task: Task, example: Example) -> Any:
    """Return the row's own label; None where it has none. A text that gives an answer, `#### 42`, stands for that."""
    for name in _LABELS:
        value = row.get(name)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if name == reply or value is None or isinstance(value, bool) or (isinstance(value, str) and not value.strip()):
            continue
        if not isinstance(value, str):
            return value
        given = parse(value, task, example).label
        if given is None and name == "solution" and len(value) > _LONGEST_LABEL:
            continue
        return value.strip() if given is None else given
    return None


def _exchange(row: Row) -> _Exchange:
    """Return the last question of a row's conversation with its reply. Raises LimbeckError: there is no good one."""
    if any(row.get(mark) is False for mark in _MARKS):
        raise LimbeckError("its reply is marked as a bad one")
    for field in _TURNS:
        if row.get(field) is not None:
            turns = _turns(row[field], field, "user")
            if row.get("chosen") is not None:  # of a preference, where the conversation ends with the question
                turns += _turns(row["chosen"], "chosen", "assistant")
            return _last_exchange(turns, field)
    for question, *more in _QUESTIONS:
        if row.get(question) is not None:
            return _pair(row, question, more)
    raise LimbeckError(f"no conversation: {_EXPECTED} was expected, but the columns are {list(row)!r:.200}")


def _pair(row: Row, question: str, more: list[str]) -> _Exchange:
    field = next((name for name in _REPLIES if row.get(name) not in (None, "", [])), None)
    if field is None:
        raise LimbeckError(f"no reply beside {question!r}: one of {', '.join(_REPLIES)} was expected")
    asked = _turns(row[question], question, "user")
    below = [text(row[name], name) for name in more if row.get(name) not in (None, "")]
    if below and isinstance(row[question], str):
        asked = [("user", Message("\n".join([row[question], *below]), ""))]
    exchange = _last_exchange(asked + _turns(row[field], field, "assistant"), question)
    thoughts = next((words for name in _REASONS if name != field and (words := part_text(row.get(name))).strip()), "")
    reply = exchange.reply if exchange.reply.thoughts else replace(exchange.reply, thoughts=thoughts)
    return replace(exchange, reply=reply, field=field)


def _turns(value: Any, field: str, role: str) -> list[tuple[str, Message]]:
    """Return who said what in a column: turns, in JSON where a table knows only text; a plain text is one of `role`."""
    if isinstance(value, str):
        value = _turns_in_json(value) or [{"role": role, "content": value}]
    turns = [value] if isinstance(value, dict) else value
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise LimbeckError(f"field {field!r}: text, or turns with role and content, was expected, not {value!r:.40}")
    return [(_role(turn, role), read_message(turn)) for turn in turns]


def _turns_in_json(words: str) -> list[dict[str, Any]] | None:
    """Return the turns that a text spells; None where it is a text of its own, a reply in JSON among them."""
    if not words.lstrip().startswith(("[", "{")):
        return None
    try:
        value = json.loads(words)
    except (ValueError, RecursionError):
        return None
    turns = value if isinstance(value, list) else [value]
    whole = all(isinstance(turn, dict) and any(name in turn for name in _ROLES) for turn in turns)
    return turns if turns and whole else None


def _role(turn: dict[str, Any], role: str) -> str:
    return str(next((turn[name] for name in _ROLES if turn.get(name) is not None), role)).lower()


def _last_exchange(turns: list[tuple[str, Message]], field: str) -> _Exchange:
    """Return the assistant's last turn with the user's last one before it."""
    last = max((place for place, (role, _) in enumerate(turns) if role in _ASSISTANT), default=-1)
    asked = max((place for place in range(last) if turns[place][0] in _USER), default=None)
    if asked is None:
        roles = [role for role, _ in turns]
        expected = "a turn of the user and one of the assistant after it were expected"
        raise LimbeckError(f"field {field!r}: {expected}, not {roles!r:.80}")
    question, reply = turns[asked][1], turns[last][1]
    for message in (question, reply):
        if message.lacking is not None:
            raise LimbeckError(f"field {field!r}: a part of type {message.lacking!r:.40}, which is no text")
    if not (reply.words.strip() or reply.thoughts.strip()):
        raise LimbeckError(f"field {field!r}: the assistant's turn is blank")
    return _Exchange(text(question.words, field), reply)
