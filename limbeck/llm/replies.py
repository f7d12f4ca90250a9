"""A teacher's reply, taken apart into its rationale and the answer that it states."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from operator import attrgetter
from typing import Any, Literal

from limbeck.llm import phrases
from limbeck.llm.phrases import SIGNS
from limbeck.llm.text import (
    LONGEST_SENTENCE,
    json_object,
    plain,
    reasoning,
    sentence_end,
    sentence_start,
    split_thoughts,
    unwrapped,
    without_courtesies,
)
from limbeck.schema import Example
from limbeck.tasks import Task, same_value
from limbeck.tasks.task import without_calculations

RationaleSource = Literal["content", "thoughts", "both"]

# With these limits the work stays in proportion to the text, whatever a teacher repeats.
LONGEST_REPLY = 100_000  # characters without its thoughts; what follows is not read
_LONGEST_ANSWER = 500
_MAX_MARKS = 100  # of one form
_MAX_SENTENCES = 100  # read after an answer
_LONGEST_LINE = 120  # of a line that is an answer alone
_LONGEST_BRIEF = 80  # characters of a content, beside thoughts, that is the answer alone

_ITEM = re.compile(r"\s{0,9}(?:\d{1,2}[.)]|step\b)\s", re.IGNORECASE)
_CLAUSE = re.compile(
    r"(?:[,;:]?\s|\A)(?:so|thus|therefore|hence|then|which means|and)(?:\sthat)?,?\s|[,;]\s", re.IGNORECASE
)
_NUMBER = re.compile(r"(?<![\w.,])-?\$?\d[\d,]*(?:\.\d+)?")
_EQUATION = re.compile(rf"{_NUMBER.pattern}(?:\s?[-+*/\u00d7\u00f7=]\s?\$?\d[\d,]*(?:\.\d+)?)*")
_PROSE = re.compile(r"\W{0,5}[^\W\d_]{2}")
_REASON = re.compile(r"\b(?:because|since)\s+(\S[^\n]*)", re.IGNORECASE)
_AMBIGUOUS = re.compile(r"\d[.,]\d{3}(?!\d)")  # 1.500 is 1500 where commas are decimal
_THOUGHT_END = re.compile(r"(?<=[.!?])\s+|\n")

_ANSWER_FIELDS = """answer, final answer, correct answer, label, choice, prediction, predicted label, result, category,
    class, classification, verdict, relationship, relation, output, decision, option, conclusion, solution"""
_INNER_FIELDS = ("value", "letter", "label", "text", "answer", "choice", "option")
_RATIONALE_FIELD = re.compile(
    r"\b(?:rationale|reason(?:ing)?|explanation|thoughts?|analysis|steps?|justification|solution|chain of thought)\b"
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """The parts of a teacher's reply; None where a part cannot be read, never blank."""

    rationale: str | None
    label: str | None


@dataclass(frozen=True, slots=True)
class _Statement:
    """A sentence that states an answer, and its extent; the label is None where the answer cannot be read."""

    label: str | None
    start: int
    end: int


def parse(raw: str, task: Task, example: Example) -> Parsed:
    """Return the teacher's reasoning and the answer that it states. Never raises, never guesses.

    A statement does not count where its sentence supposes, doubts or asks, nor where a later one takes it back. The
    last that counts is the answer, up to where the teacher ran on into a question of its own. Where no form in
    `limbeck/llm/phrases.py` states an answer, one that stands alone or opens the reply is read. The rationale is the
    text before, or after where the answer comes first; without any sentence that states an answer, thoughts,
    politeness and code fences.
    """
    text = plain(raw)[:LONGEST_REPLY]
    return _read_json(text, task, example) or _Reply(text, task, example).parsed()


def stated_answer(text: str, task: Task, example: Example) -> str | None:
    """Return the answer that a text states in a form made for it, or is as a whole."""
    text = plain(text)[:LONGEST_REPLY]
    if (parsed := _read_json(text, task, example)) is not None:
        return parsed.label
    reply = _Reply(text, task, example)
    return reply.answer.label if reply.answer else reply.alone(reply.text) if example.choices else None


def read_reply(
    content: str, thoughts: str, task: Task, example: Example, *, source: RationaleSource = "content"
) -> Parsed:
    """Return rationale and label of a reply whose thoughts came apart from its content, or stand there in tags.

    The rationale is taken from `source`. The label is read in the content, which beside thoughts may be an answer and
    nothing else; in the thoughts only where the content is blank and they are the rationale. The marks of GSM8K's
    calculator are left out.
    """
    content, thoughts = without_calculations(content), without_calculations(thoughts)
    tagged, words = split_thoughts(content)
    thoughts = "\n".join(text.strip() for text in (thoughts, tagged) if text.strip())
    parsed = parse(content, task, example)
    label = parsed.label
    if label is None and thoughts:
        line = plain(words).strip()
        if line and "\n" not in line and len(line) <= _LONGEST_BRIEF and not line.endswith("?"):
            label = task.read_answer(unwrapped(line), example)
    if source == "content" or not thoughts:
        return Parsed(None if source == "thoughts" else parsed.rationale, label)
    concluded = parse(thoughts, task, example)
    rationale = concluded.rationale if concluded.label is not None else thoughts
    if source == "both":
        rationale = "\n".join(filter(None, [rationale, parsed.rationale])) or None
    return Parsed(rationale, label if words.strip() else concluded.label)


def concluded_label(content: str, thoughts: str, task: Task, example: Example) -> str | None:
    """Return the example's label where a reply is thoughts alone whose last sentence comes to it; else None.

    The thoughts may then be learnt for that label, although the teacher gave no answer.
    """
    tagged, words = split_thoughts(content)
    last = _THOUGHT_END.split("\n".join((thoughts, tagged)).strip())[-1]
    if words.strip() or not example.label or phrases.DOUBT.search(last):
        return None
    if task.equal is same_value:
        conclusions = [number.replace(",", "") for number in _NUMBER.findall(last)[-1:]]
    else:
        choices = example.choices or (example.label,)
        conclusions = [
            choice for choice in choices if re.search(rf"(?<!\w){re.escape(choice.strip())}(?!\w)", last, re.I)
        ]
    return example.label if len(conclusions) == 1 and task.equal(conclusions[0], example.label) else None


class _Reply:
    """A plain reply with its task and example, up to where the teacher began a question of its own."""

    def __init__(self, text: str, task: Task, example: Example) -> None:
        self.text = without_courtesies(text)
        self.task = task
        self.example = example
        self.choices = example.choices or task.choices
        self.numeric = task.equal is same_value
        self.foreign = self.numeric and not example.choices and phrases.FOREIGN.search(self.text) is not None
        statements = sorted((*self._named(), *self._tagged(), *self._subjects()), key=attrgetter("start", "end"))
        end = self._next_question(
            next((statement.end for statement in statements if statement.label is not None), len(self.text))
        )
        self.text = self.text[:end]
        self.statements = [statement for statement in statements if statement.start < end]
        self.answered = [statement for statement in self.statements if statement.label is not None]
        last = self.answered[-1] if self.answered else None
        unclear = last is not None and (self._contradicted() or self._withdrawn(last.end))
        self.answer = None if unclear else last

    def parsed(self) -> Parsed:
        """Return the parts of the reply."""
        if self.answer is not None:
            return Parsed(self._around(self.answered), self.answer.label)
        if self.statements:
            return Parsed(reasoning(self.text[: self.statements[0].start]), None)
        implied = self._implied()
        # Without an answer nothing says where the reasoning ended.
        return Parsed(self._around([implied]), implied.label) if implied else Parsed(None, None)

    def _next_question(self, first_answer: int) -> int:
        """Return where the teacher began a question of its own.

        Before any answer, the task's question told again and a few words are no question of its own.
        """
        stop = re.compile(rf"(?<!\w){re.escape(self.task.stop)}")
        question_words = set(re.findall(r"\w+", self.example.input.casefold()))
        openings = [match for pattern in (phrases.NEXT_QUESTION, stop) for match in pattern.finditer(self.text)]
        for opening in sorted(openings, key=lambda match: match.start()):
            sentence = self.text[opening.end() : opening.end() + LONGEST_SENTENCE].lstrip()
            words = re.findall(r"\w+", sentence[: sentence_end(sentence, 0)].casefold())
            retold = len(words) < 4 or sum(word in question_words for word in words) >= len(words) / 2
            if opening.start() >= first_answer or not retold:
                return opening.start()
        return len(self.text)

    def _contradicted(self) -> bool:
        """Return whether two answers differ, and neither reasoning nor a correction stands between them."""
        for first, second in pairwise(self.answered):
            labels = str(first.label).casefold(), str(second.label).casefold()
            agreement = labels[0] in labels[1] or labels[1] in labels[0]
            if self.numeric or self.choices:
                agreement = self.task.equal(*labels) or self.task.equal(*reversed(labels))
            between = self.text[first.end : second.start].strip(f"{SIGNS}.,:;\n")
            if not (agreement or between or phrases.CORRECTION.match(self.text, second.start)):
                return first.end <= second.start
        return False

    def _withdrawn(self, end: int) -> bool:
        """Return whether a sentence after an answer, which ends at `end`, takes it back."""
        for _ in range(_MAX_SENTENCES):
            if phrases.CORRECTION.match(self.text, end):
                return True
            end = sentence_end(self.text, end)
        return False

    def _lead(self, mark: re.Match[str], *, headed: bool) -> int | None:
        """Return the start of the clause that states an answer after `mark`; None where the sentence does not.

        It does not where it supposes or doubts, or where other words lead to the mark than a connective. `headed`: the
        mark ends a line or has a colon.
        """
        start = sentence_start(self.text, mark.start())
        lead = self.text[start : mark.start()]
        start += len(lead) - len(lead.lstrip(" "))
        lead = lead.lstrip(SIGNS)
        before = self.text[sentence_start(self.text, max(0, start - 2)) : start] if phrases.THEN.match(lead) else ""
        *links, clause = phrases.LINK.split(lead)
        head = phrases.LEAD_END.sub("", clause, count=1)
        supposed = phrases.SUPPOSED.match(before) or (phrases.SUPPOSED.match(lead) and not links)
        if supposed or phrases.DOUBT.search(head if mark["choice"] else f"{head} {mark[0]}"):
            return None
        end = phrases.LEAD_END.search(lead)
        tail = end[0] if end else ""
        if tail == lead or not lead.strip(SIGNS) or (tail.strip() == "" and headed and len(head.split()) <= 3):
            return start
        return mark.start() - len(tail) if not head or tail.strip() or mark["own"] else None

    def _named(self) -> Iterator[_Statement]:
        """Yield "the answer is (c)", "Label: neutral", `\\boxed{42}`, and what follows the task's marker."""
        pattern = phrases.statement(self.task.marker, self.task.nouns, closed=self.numeric or bool(self.choices))
        for mark in islice(pattern.finditer(self.text), _MAX_MARKS):
            headed = mark["line"] is not None or mark[0].rstrip(" *_").endswith(":")
            start = mark.start() if mark["sign"] is not None else self._lead(mark, headed=headed)
            text = self.text[mark.end() : mark.end() + _LONGEST_ANSWER]
            end = sentence_end(self.text, mark.end() + len(text) - len(text.lstrip()))
            sentence = self.text[mark.end() : end]
            is_question = sentence.rstrip(" \n*_\"')").endswith("?")
            if start is None or is_question or (mark["choice"] is not None and phrases.QUALIFIED.search(sentence)):
                continue
            label = self._read(text)
            if label is None and headed and mark["line"] is None:
                label = self._sole_number(sentence)
            if label is not None or mark["choice"] is None:
                yield _Statement(label, start, end)

    def _tagged(self) -> Iterator[_Statement]:
        for mark in islice(phrases.TAGGED.finditer(self.text), _MAX_MARKS):
            yield _Statement(self._read(mark["answer"]), mark.start(), mark.end())

    def _subjects(self) -> Iterator[_Statement]:
        """Yield "C is correct" and "42 is the answer", of tasks with choices or numbers."""
        marks = phrases.AFTER_ANSWER.finditer(self.text) if self.numeric or self.choices else ()
        for mark in islice(marks, _MAX_MARKS):
            start, end = sentence_start(self.text, mark.start()), sentence_end(self.text, mark.end())
            *_, subject = _CLAUSE.split(self.text[start : mark.start()])
            qualified = phrases.QUALIFIED.search(self.text, mark.end(), end)
            label = None if qualified else self._read(subject.lstrip(SIGNS).removeprefix("Only "))
            if label is not None:
                lead = self.text[start : mark.start() - len(subject)]
                yield _Statement(label, start + len(phrases.LEAD_END.sub("", lead, count=1)), end)

    def _sole_number(self, sentence: str) -> str | None:
        """Return the only number or equation of a sentence: "Each box holds 84 / 2 = 42 apples."."""
        equations = _EQUATION.findall(sentence) if self.numeric and _PROSE.match(sentence) else []
        return self._read(equations[0]) if len(equations) == 1 and not phrases.UNSURE.search(sentence) else None

    def _read(self, text: str) -> str | None:
        """Return the answer that the text is."""
        line = unwrapped(text)
        if self.foreign:
            if _AMBIGUOUS.search(line):
                return None
            line = re.sub(r"(?<=\d),(?=\d)", ".", line)
        return self.task.read_answer(line, self.example)

    def _implied(self) -> _Statement | None:
        """Return an answer that stands alone in the last line or opens the reply; None where these contradict."""
        lines = [line for line in self.text.split("\n") if line.strip()]
        if not lines or len({self._opening(line) for line in lines} - {None}) > 1:
            return None  # "refunds: 0.7", "hardware: 0.3"
        if (last := self.alone(lines[-1])) is not None:
            return _Statement(last, self.text.rfind(lines[-1]), len(self.text))
        start = sentence_start(self.text, max(0, len(self.text.rstrip()) - 2))
        conclusion = self.text[start:].rstrip(" *_\"'\n")
        if phrases.CONCLUDING.match(conclusion) and conclusion.endswith((".", "!")):  # not cut off
            label = self._sole_number(conclusion)
            return _Statement(label, start, len(self.text)) if label is not None else None
        first, end = self._opening(lines[0]), sentence_end(self.text, 0)
        return None if first is None or self._withdrawn(end) else _Statement(first, 0, end)

    def _opening(self, line: str) -> str | None:
        """Return the choice with which a line opens: "C. math problem", "Yes, nobody ..."."""
        if not self.choices or line.rstrip().endswith("?"):
            return None
        label = self.task.read_answer(unwrapped(line), self.example)
        head = re.split(r"[.:;!,\u2013\u2014](?!\w)|\s-\s", unwrapped(line), maxsplit=1)[0]
        return label if label is not None and self.alone(head) == label else None

    def alone(self, line: str) -> str | None:
        """Return the answer where the line is one and nothing else."""
        line = line.strip()
        inner = unwrapped(line if line[:1] in "([*-$" else line.lstrip(f"{SIGNS}=$"))
        inner = phrases.CONCLUDING.sub("", inner, count=1)
        if not inner or "\n" in line or len(line) > _LONGEST_LINE or line.endswith("?"):
            return None
        if sentence_end(inner, 0) < len(inner):
            return None
        if self.numeric and not self.example.choices:
            return None if _ITEM.match(line) else self._read(inner)
        longest = max(map(len, self.choices), default=0) + 24
        return self.task.read_answer(inner, self.example) if self.choices and len(inner) <= longest else None

    def _around(self, answers: list[_Statement]) -> str | None:
        """Return the reasoning before the last answer, without the earlier ones; else after it."""
        text, last = self.text, answers[-1]
        pieces, end = [], 0
        for statement in answers:
            pieces.append(text[end : max(end, min(statement.start, last.start))].lstrip(" "))
            end = max(end, statement.end)
        reason = _REASON.search(text[last.start : last.end])
        return reasoning("".join(pieces)) or reasoning(text[end:]) or (reasoning(reason[1]) if reason else None)


def _read_json(text: str, task: Task, example: Example) -> Parsed | None:
    """Return the parts of a JSON object that has a field for the answer; None where the text is no such thing.

    Without a field for the rationale it is the text before the object.
    """
    if (json := json_object(text)) is None:
        return None
    fields = {re.sub(r"[_\s-]+", " ", name.casefold()).strip(): value for name, value in json[0].items()}
    names = (*re.split(r",\s+", _ANSWER_FIELDS), *task.nouns)
    answer = next((words for name in names if (words := _scalar(fields.get(name))) is not None), None)
    if answer is None:
        return None
    proses = [value for name, value in fields.items() if _RATIONALE_FIELD.search(name)]
    lines = ["\n".join(map(str, prose)) if isinstance(prose, list) else prose for prose in proses]
    rationale = next((line for line in lines if isinstance(line, str)), json[1])
    reply = _Reply(rationale, task, example)
    remainder = reply._around(reply.answered) if reply.answered else reasoning(reply.text)
    return Parsed(remainder, reply._read(answer[:_LONGEST_ANSWER]))


def _scalar(value: Any) -> str | None:
    """Return a JSON value as text: of a list its only item, of an object its field for a value."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = next((value[name] for name in _INNER_FIELDS if name in value), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
