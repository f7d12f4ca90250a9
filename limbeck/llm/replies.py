"""A teacher's reply, taken apart into rationale and answer."""

import re
from collections.abc import Iterator
from itertools import islice, pairwise
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from limbeck.llm import phrases
from limbeck.llm import text as texts
from limbeck.llm.phrases import SIGNS
from limbeck.llm.text import plain, reasoning, sentence_end, sentence_start, split_thoughts, unwrapped
from limbeck.schema import Example
from limbeck.tasks import Task, same_value
from limbeck.tasks.answers import read_choice
from limbeck.tasks.task import without_calculations

RationaleSource = Literal["content", "thoughts", "both"]

# limits that keep the work in proportion to the text
LONGEST_REPLY = 100_000  # characters without thoughts; the rest is not read
_LONGEST_ANSWER = 500
_LONGEST_LINE = 120  # of a line that is an answer alone
_MOST = 100  # marks of one form, and sentences after an answer

_CLAUSE = re.compile(
    r"(?:[,;:]?\s|\A)(?:so|thus|therefore|hence|then|which means|and)(?:\sthat)?,?\s|[,;]\s", re.IGNORECASE
)
_NUMBER = re.compile(r"(?<![\w.,])-?\$?\d[\d,]*(?:\.\d+)?")
_EQUATION = re.compile(rf"{_NUMBER.pattern}(?:\s?[-+*/\u00d7\u00f7=]\s?\$?\d[\d,]*(?:\.\d+)?)*")
# "C, because ...", "Answer: B. Beavers build dams in rivers."
_REASON = re.compile(r"\b(?:(?i:because|since)\s+|[A-Za-z][.):]\s+(?=[A-Z]\w*(?:\s\w+){3}))(\S[^\n]*)")
_AMBIGUOUS = re.compile(r"\d[.,]\d{3}(?!\d)")  # 1.500 is 1500 where commas are decimal
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?=,\d)")  # 1.234,50
_INNER_FIELDS = ("value", "letter", "label", "text", "answer", "choice", "option")
_RATIONALE_FIELD = re.compile(
    r"\b(?:rationale|reason(?:ing)?|explanation|thoughts?|analysis|steps?|justification|solution|chain of thought)\b"
)


class Parsed(NamedTuple):
    """Parts of a reply, never blank; None if unreadable."""

    rationale: str | None
    label: str | None


class _Statement(NamedTuple):
    """A sentence that states an answer; label None: unreadable."""

    start: int
    end: int
    label: str | None


def parse(raw: str, task: Task, example: Example) -> Parsed:
    """Return the teacher's reasoning and the answer that it states, without raising or guessing.

    The answer is the last stated, not supposed, doubted, asked or taken back, before a question of the teacher's own;
    else one that stands alone or opens the reply. The rationale is the text before it, or else after it, without
    thoughts, politeness and statements of an answer.
    """
    text = plain(raw)[:LONGEST_REPLY]
    return _read_json(text, task, example) or _Reply(text, task, example).parsed()


def stated_answer(text: str, task: Task, example: Example) -> str | None:
    """Return the answer that a text states, or is as a whole."""
    text = plain(text)[:LONGEST_REPLY]
    if parsed := _read_json(text, task, example):
        return parsed.label
    reply = _Reply(text, task, example)
    return reply.label() or (reply.alone(reply.text) if example.choices else None)


def read_reply(
    content: str, thoughts: str, task: Task, example: Example, *, source: RationaleSource = "content"
) -> Parsed:
    """Return rationale, from `source`, and label of a reply; its thoughts are apart or in tags.

    The label is read in thoughts only if the content is blank and they are the rationale.
    """
    content, thoughts = without_calculations(content), without_calculations(thoughts)
    tagged, words = split_thoughts(content)
    thoughts = "\n".join(text.strip() for text in (thoughts, tagged) if text.strip())
    reply = parse(content, task, example)
    label, line = reply.label, plain(words).strip()
    if label is None and thoughts and line and "\n" not in line and not line.endswith("?"):
        label = task.read_answer(unwrapped(line), example)
    if source == "content" or not thoughts:
        return Parsed(None if source == "thoughts" else reply.rationale, label)
    thought = parse(thoughts, task, example)
    rationale = thoughts if thought.label is None else thought.rationale
    if source == "both":
        rationale = "\n".join(filter(None, [rationale, reply.rationale])) or None
    return Parsed(rationale, label if words.strip() else thought.label)


def concluded_label(content: str, thoughts: str, task: Task, example: Example) -> str | None:
    """Return the example's label if a reply is only thoughts, whose last sentence comes to it."""
    tagged, words = split_thoughts(content)
    last = re.split(r"(?<=[.!?])\s+|\n", f"{thoughts}\n{tagged}".strip())[-1]
    if words.strip() or not example.label or phrases.DOUBT.search(last):
        return None
    if task.equal is same_value:
        conclusions = [number.replace(",", "") for number in _NUMBER.findall(last)[-1:]]
    else:  # choices alone: a thought may say anything about a label in free text
        named = (choice for choice in example.choices if re.search(rf"(?i)(?<!\w){re.escape(choice)}(?!\w)", last))
        conclusions = list(named)
    return example.label if len(conclusions) == 1 and task.equal(conclusions[0], example.label) else None


class _Reply:
    """A plain reply with its task and example, up to a question of the teacher's own."""

    def __init__(self, text: str, task: Task, example: Example) -> None:
        self.text, self.task, self.example = texts.without_courtesies(text), task, example
        self.choices = example.choices or task.choices
        self.numeric = task.equal is same_value
        self.foreign = self.numeric and not example.choices and phrases.FOREIGN.search(self.text) is not None
        tags = islice(phrases.TAGGED.finditer(self.text), _MOST)
        tagged = (_Statement(*tag.span(), self._read(tag["answer"])) for tag in tags)
        statements = sorted((*self._named(), *tagged, *self._subjects()), key=itemgetter(0, 1))
        first_end = next((statement.end for statement in statements if statement.label is not None), len(self.text))
        self.text = self.text[: self._next_question(first_end)]
        self.statements = [statement for statement in statements if statement.start < len(self.text)]
        self.answers = [statement for statement in self.statements if statement.label is not None]

    def label(self) -> str | None:
        """Return the last answer stated; None if it is taken back, or stands directly after another."""
        if not self.answers or self._withdrawn(self.answers[-1].end):
            return None
        for first, second in pairwise(self.answers):
            between = self.text[first.end : second.start].strip(f"{SIGNS}.,:;\n")
            corrected = phrases.CORRECTION.match(self.text, second.start)
            if not (between or corrected or self.task.equal(str(first.label), str(second.label))):
                return None if first.end <= second.start else self.answers[-1].label
        return self.answers[-1].label

    def parsed(self) -> Parsed:
        if (label := self.label()) is not None:
            return Parsed(self.rationale(self.answers), label)
        if self.statements:
            return Parsed(reasoning(self.text[: self.statements[0].start]), None)
        implied = self._implied()
        # without an answer nothing says where the reasoning ended
        return Parsed(self.rationale([implied]), implied.label) if implied else Parsed(None, None)

    def _next_question(self, first_end: int) -> int:
        """Return where a question of the teacher's own begins; before `first_end` it may retell the task's."""
        question_words = set(re.findall(r"\w+", self.example.input.casefold()))
        for opening in phrases.NEXT_QUESTION.finditer(self.text):
            sentence = self.text[opening.end() : opening.end() + texts.LONGEST_SENTENCE].lstrip()
            words = re.findall(r"\w+", sentence[: sentence_end(sentence, 0)].casefold())
            retold = len(words) < 4 or sum(word in question_words for word in words) >= len(words) / 2
            if opening.start() >= first_end or not retold:
                return opening.start()
        return len(self.text)

    def _withdrawn(self, end: int) -> bool:
        for _ in range(_MOST):
            if phrases.CORRECTION.match(self.text, end):
                return True
            end = sentence_end(self.text, end)
        return False

    def _named(self) -> Iterator[_Statement]:
        """Yield "the answer is (c)", "Label: neutral", `\\boxed{42}`, and what follows the task's marker."""
        pattern = phrases.statement(self.task.marker, self.task.nouns, closed=self.numeric or bool(self.choices))
        for mark in islice(pattern.finditer(self.text), _MOST):
            headed = mark["line"] is not None or mark[0].rstrip(" *_").endswith(":")
            start = mark.start() if mark["sign"] is not None else self._clause_start(mark, headed=headed)
            answer = self.text[mark.end() : mark.end() + _LONGEST_ANSWER]
            end = sentence_end(self.text, mark.end() + len(answer) - len(answer.lstrip()))
            sentence = self.text[mark.end() : end]
            if start is None or sentence.rstrip(" \n*_\"')").endswith("?"):
                continue
            label = self._read(answer) or (self._sole_number(sentence) if headed and mark["line"] is None else None)
            if label is not None or mark["choice"] is None:
                yield _Statement(start, end, label)

    def _clause_start(self, mark: re.Match[str], *, headed: bool) -> int | None:
        """Return the start of the clause with `mark`; None where its sentence supposes or doubts what follows.

        A connective ("so") may lead to the mark; other words only to the task's own, and a few to a `headed` one, which
        ends a line or has a colon ("Short answer:").
        """
        start = sentence_start(self.text, mark.start())
        lead = self.text[start : mark.start()]
        start += len(lead) - len(lead.lstrip(" "))
        lead = lead.lstrip(SIGNS)
        before = self.text[sentence_start(self.text, max(0, start - 2)) : start] if phrases.THEN.match(lead) else ""
        head = phrases.LEAD_END.sub("", phrases.LINK.split(lead)[-1], count=1)
        doubt = phrases.DOUBT.search(head if mark["choice"] else f"{head} {mark[0]}")
        if doubt or phrases.SUPPOSED.match(lead) or phrases.SUPPOSED.match(before):
            return None
        words = phrases.LEAD_END.sub("", lead, count=1)
        connective = lead[len(words) :]
        if not words or (headed and not connective.strip() and len(head.split()) <= 3):
            return start
        return mark.start() - len(connective) if not head or connective.strip() or mark["own"] else None

    def _subjects(self) -> Iterator[_Statement]:
        """Yield "C is correct" and "42 is the answer", for choices or numbers."""
        marks = phrases.AFTER_ANSWER.finditer(self.text) if self.numeric or self.choices else ()
        for mark in islice(marks, _MOST):
            start, end = sentence_start(self.text, mark.start()), sentence_end(self.text, mark.end())
            *_, subject = _CLAUSE.split(self.text[start : mark.start()])
            qualified = phrases.QUALIFIED.search(self.text, mark.end(), end)
            label = None if qualified else self._read(subject.lstrip(SIGNS).removeprefix("Only "))
            if label is not None:
                lead = self.text[start : mark.start() - len(subject)]
                yield _Statement(start + len(phrases.LEAD_END.sub("", lead, count=1)), end, label)

    def _sole_number(self, sentence: str) -> str | None:
        """Return a sentence's only number or equation: "Each box holds 84 / 2 = 42 apples."."""
        equations = _EQUATION.findall(sentence) if self.numeric else []
        return self._read(equations[0]) if len(equations) == 1 and not phrases.UNSURE.search(sentence) else None

    def _read(self, text: str) -> str | None:
        line = unwrapped(text)
        if self.foreign:
            line = _THOUSANDS.sub(lambda number: number[0].replace(".", ""), line)
            if _AMBIGUOUS.search(line):
                return None
            line = re.sub(r"(?<=\d),(?=\d)", ".", line)
        return self.task.read_answer(line, self.example)

    def _implied(self) -> _Statement | None:
        """Return an answer that is the last line or opens the reply; None if lines contradict."""
        lines = [line for line in self.text.split("\n") if line.strip()]
        if not lines or len({self._opening(line) for line in lines} - {None}) > 1:  # "refunds: 0.7", "hardware: 0.3"
            return None
        if (last := self.alone(lines[-1])) is not None:
            return _Statement(self.text.rfind(lines[-1]), len(self.text), last)
        start = sentence_start(self.text, max(0, len(self.text.rstrip()) - 2))
        conclusion = self.text[start:].rstrip(" *_\"'\n")
        if phrases.CONCLUDING.match(conclusion) and conclusion.endswith((".", "!")):  # not cut off
            label = self._sole_number(conclusion)
            return _Statement(start, len(self.text), label) if label is not None else None
        first, end = self._opening(lines[0]), sentence_end(self.text, 0)
        return None if first is None or self._withdrawn(end) else _Statement(0, end, first)

    def _opening(self, line: str) -> str | None:
        """Return the choice with which a line opens: "C. math problem", "Yes, nobody ..."."""
        if not self.choices or line.rstrip().endswith("?"):
            return None
        label = self.task.read_answer(unwrapped(line), self.example)
        head = re.split(r"[.:;!,\u2013\u2014](?!\w)|\s-\s", unwrapped(line), maxsplit=1)[0]
        return label if self.alone(head) == label else None

    def alone(self, line: str) -> str | None:
        """Return the answer if the line is nothing else."""
        line = line.strip()
        inner = unwrapped(line if line[:1] in "([*-$" else line.lstrip(f"{SIGNS}=$"))
        inner = phrases.CONCLUDING.sub("", inner, count=1)
        if not inner or "\n" in line or len(line) > _LONGEST_LINE or line.endswith("?"):
            return None
        if sentence_end(inner, 0) < len(inner):
            return None
        if self.numeric and not self.example.choices:
            return self._read(inner)
        longest = max(map(len, self.choices), default=0) + 24
        return self.task.read_answer(inner, self.example) if self.choices and len(inner) <= longest else None

    def rationale(self, answers: list[_Statement]) -> str | None:
        """Return the reasoning before the last answer, without earlier ones; else after it."""
        pieces, end = [], 0
        for answer in answers:
            pieces.append(self.text[end : answer.start].lstrip(" "))
            end = max(end, answer.end)
        last = self.text[answers[-1].start : answers[-1].end] if answers else ""
        reason = next((text for text in _REASON.findall(last) if read_choice(text, self.choices) is None), "")
        return reasoning("".join(pieces)) or reasoning(self.text[end:]) or reasoning(reason)


def _read_json(text: str, task: Task, example: Example) -> Parsed | None:
    """Return the parts of a JSON object with an answer; the rationale may stand before it."""
    contents, before = texts.json_object(text) or ({}, "")
    fields = {re.sub(r"[_\s-]+", " ", name.casefold()).strip(): value for name, value in contents.items()}
    answers = {re.sub(r"^(?:final|correct|predicted) ", "", name): _scalar(value) for name, value in fields.items()}
    names = (*phrases.NOUNS, *phrases.CLOSED_NOUNS, *task.nouns)
    answer = next((answers[name] for name in names if answers.get(name) is not None), None)
    if answer is None:
        return None
    proses = (value for name, value in fields.items() if _RATIONALE_FIELD.search(name))
    lines = ("\n".join(map(str, prose)) if isinstance(prose, list) else prose for prose in proses)
    reply = _Reply(next((line for line in lines if isinstance(line, str)), before), task, example)
    return Parsed(reply.rationale(reply.answers), reply._read(answer[:_LONGEST_ANSWER]))


def _scalar(value: Any) -> str | None:
    """Return a JSON value, a list's only item or an object's main field, as text."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = next((value[name] for name in _INNER_FIELDS if name in value), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)
