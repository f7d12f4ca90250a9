"""A teacher's reply, taken apart into its rationale and the answer that it states."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Literal

from limbeck.llm import phrases
from limbeck.llm.phrases import SIGNS
from limbeck.llm.text import (
    json_object,
    plain,
    reasoning,
    same_length,
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
_MAX_STATEMENTS = 100  # of one form
_MAX_SENTENCES = 100  # read after an answer
_LONGEST_LINE = 120  # of a line that is an answer alone
_MOST_LABEL_WORDS = 3  # before the noun, in "Selected best answer:"
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
    undecided: bool = False  # unreadable since it names several answers, or denies one


def parse(raw: str, task: Task, example: Example) -> Parsed:
    """Return the teacher's reasoning and the answer that it states. Never raises, never guesses.

    A statement does not count where its sentence supposes, doubts or asks, nor where a later one takes it back. The
    last that counts is the answer, up to where the teacher ran on into a question of its own. Where no form in
    `limbeck/llm/phrases.py` states an answer, one that stands alone or opens the reply is read. The rationale is the
    text before, or after where the answer comes first; without any sentence that states an answer, thoughts,
    politeness and code fences.
    """
    return _Reply(plain(raw)[:LONGEST_REPLY], task, example).parsed()


def stated_answer(text: str, task: Task, example: Example) -> str | None:
    """Return the answer that a text states in a form made for it, or is as a whole."""
    reply = _Reply(plain(text)[:LONGEST_REPLY], task, example)
    if (parsed := reply.from_json()) is not None:
        return parsed.label
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
    if words.strip() or not example.label or phrases.DOUBT.search(last) or phrases.UNDECIDED.match(last):
        return None
    if task.equal is same_value:
        numbers = _NUMBER.findall(last)
        return example.label if numbers and task.equal(numbers[-1].replace(",", ""), example.label) else None
    choices = example.choices or (example.label,)
    named = [choice for choice in choices if re.search(rf"(?<!\w){re.escape(choice.strip())}(?!\w)", last, re.I)]
    return example.label if named == [example.label] else None


class _Reply:
    """A plain reply with its task and example. Statements are searched for in `seen`, which has the text's length."""

    def __init__(self, text: str, task: Task, example: Example) -> None:
        self.text = without_courtesies(text)
        self.seen = same_length(self.text)
        self.task = task
        self.example = example
        self.choices = example.choices or task.choices
        self.numeric = task.equal is same_value
        self.foreign = self.numeric and phrases.FOREIGN.search(self.seen) is not None
        nouns = task.nouns if self.numeric or self.choices else (*task.nouns, "label", "category")
        self.pattern = phrases.statement(task.marker, nouns, closed=self.numeric or bool(self.choices))

    def parsed(self) -> Parsed:
        if (parsed := self.from_json()) is not None:
            return parsed
        answers = self.answered
        answer = self.answer
        if answer is None and not self.statements and (answer := self._implied()) is not None:
            answers = [answer]
        if answer is not None:
            return Parsed(self._around(answers), answer.label)
        # Without any statement nothing says where the reasoning ended.
        return Parsed(reasoning(self.text[: self.statements[0].start]) if self.statements else None, None)

    @cached_property
    def end(self) -> int:
        """The position where the teacher began a question of its own.

        Before any answer, the task's question told again and a few words are no question of its own.
        """
        stop = re.compile(rf"(?<!\w){re.escape(self.task.stop)}")
        first_answer = next((each.end for each in self._all_statements if each.label is not None), len(self.seen))
        question_words = set(re.findall(r"\w+", self.example.input.casefold()))
        openings = [match for pattern in (phrases.NEXT_QUESTION, stop) for match in pattern.finditer(self.seen)]
        for opening in sorted(openings, key=lambda match: match.start()):
            start = opening.end() + len(self.seen[opening.end() :]) - len(self.seen[opening.end() :].lstrip())
            words = re.findall(r"\w+", self.seen[start : sentence_end(self.seen, start)].casefold())
            retold = len(words) < 4 or sum(word in question_words for word in words) >= len(words) / 2
            if opening.start() >= first_answer or not (retold or "hypothesis" in opening[0].casefold()):
                return opening.start()
        return len(self.seen)

    @cached_property
    def _all_statements(self) -> list[_Statement]:
        forms = (self._named, self._boxed, self._tagged, self._subjects, self._chosen)
        return sorted((each for form in forms for each in form()), key=lambda each: (each.start, each.end))

    @cached_property
    def statements(self) -> list[_Statement]:
        return [statement for statement in self._all_statements if statement.start < self.end]

    @cached_property
    def answered(self) -> list[_Statement]:
        return [statement for statement in self.statements if statement.label is not None]

    @cached_property
    def answer(self) -> _Statement | None:
        """The last statement that counts; None where it is taken back, or contradicts another right before it."""
        if not self.answered or self._contradicted():
            return None
        last = self.answered[-1]
        undecided = any(statement.undecided for statement in self.statements if statement.start >= last.end)
        return None if undecided or self._withdrawn(last.end) else last

    def _contradicted(self) -> bool:
        """Return whether another answer stands before the last, and neither reasoning nor a correction between them."""
        for first, second in zip(self.answered, self.answered[1:], strict=False):
            labels = str(first.label).casefold(), str(second.label).casefold()
            alike = labels[0] in labels[1] or labels[1] in labels[0]
            if self.numeric or self.choices:
                alike = self.task.equal(*labels) or self.task.equal(*reversed(labels))
            between = self.seen[first.end : second.start].strip(f"{SIGNS}.,:;\n")
            corrected = phrases.CORRECTION.match(self.seen, second.start) or phrases.REVISED.match(
                self.seen, second.start
            )
            if first.end <= second.start and not alike and not between and not corrected:
                return True
        return False

    def _withdrawn(self, end: int) -> bool:
        """Return whether a sentence after an answer, which ends at `end`, takes it back."""
        for _ in range(_MAX_SENTENCES):
            if end >= self.end:
                break
            if phrases.CORRECTION.match(self.seen, end):
                return True
            end = sentence_end(self.seen, end)
        return False

    def _marks(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        return islice(pattern.finditer(self.seen), _MAX_STATEMENTS)

    def _lead(self, position: int, *, mark: str, own: bool, headed: bool) -> int | None:
        """Return the start of the clause that states an answer at `position`; None where the sentence does not.

        It does not where it supposes or doubts, or where other words lead to the answer than a connective.
        """
        start = sentence_start(self.seen, position)
        lead = self.seen[start:position]
        start += len(lead) - len(lead.lstrip(" "))
        lead = _ITEM.sub("", lead.lstrip(SIGNS), count=1)
        before = self.seen[sentence_start(self.seen, max(0, start - 2)) : start] if phrases.THEN.match(lead) else ""
        *links, clause = phrases.LINK.split(lead)
        if phrases.SUPPOSED.match(before) or (phrases.SUPPOSED.match(lead) and not links):
            return None
        head = phrases.LEAD_END.sub("", clause, count=1)
        if phrases.DOUBT.search(f"{head} {mark}"):
            return None
        end = phrases.LEAD_END.search(lead)
        tail = end[0] if end else ""
        if tail == lead or not lead.strip(SIGNS):
            return start
        if head == "" or tail.strip():
            return position - len(tail)
        if headed and len(head.split()) <= _MOST_LABEL_WORDS:
            return start
        return position if own or (mark[:1].isupper() and not self.seen[:position].isupper()) else None

    def _named(self) -> Iterator[_Statement]:
        """Yield "the answer is (c)", "Label: neutral" and what follows the task's marker."""
        for mark in self._marks(self.pattern):
            headed = mark["line"] is not None or mark[0].rstrip(" *_").endswith(":")
            start = self._lead(mark.start(), mark=mark[0], own=mark["own"] is not None, headed=headed)
            prose = headed and mark["line"] is None
            statement = None if start is None else self._statement(start, mark.end(), prose=prose)
            if statement is not None:
                yield statement

    def _boxed(self) -> Iterator[_Statement]:
        for mark in (*self._marks(phrases.BOXED), *self._marks(phrases.HASHES)):
            if (statement := self._statement(mark.start(), mark.end())) is not None:
                yield statement

    def _tagged(self) -> Iterator[_Statement]:
        for mark in self._marks(phrases.TAGGED):
            yield _Statement(self._read(mark["answer"]), mark.start(), mark.end())

    def _subjects(self) -> Iterator[_Statement]:
        """Yield "C is correct" and "42 is the answer", of tasks with choices or numbers."""
        for mark in self._marks(phrases.AFTER_ANSWER) if self.numeric or self.choices else ():
            start = sentence_start(self.seen, mark.start())
            *_, clause = (None, *_CLAUSE.finditer(self.seen, start, mark.start()))
            subject = self.seen[clause.end() if clause else start : mark.start()].lstrip(SIGNS)
            end = sentence_end(self.seen, mark.end())
            if phrases.QUALIFIED.search(self.seen, mark.end(), end) or len(subject) > _LONGEST_LINE:
                continue
            if (label := self._read(subject.removeprefix("Only "))) is not None:
                yield _Statement(label, clause.start() if clause else start, end)

    def _chosen(self) -> Iterator[_Statement]:
        """Yield "I'd go with (c)" and "should be classified as billing", of tasks with choices."""
        for mark in self._marks(phrases.CHOSEN) if self.choices else ():
            start = sentence_start(self.seen, mark.start())
            lead = self.seen[start : mark.start()]
            if phrases.SUPPOSED.match(lead) or phrases.DOUBT.search(lead):
                continue
            statement = self._statement(start, mark.end())
            if statement and statement.label and not phrases.QUALIFIED.search(self.seen, mark.end(), statement.end):
                yield statement

    def _statement(self, start: int, answer: int, *, prose: bool = False) -> _Statement | None:
        """Return the statement whose answer begins at `answer`; None where its sentence is a question.

        `prose`: the only number of its sentence may be the answer ("each box holds 42 apples").
        """
        text = self.seen[answer : answer + _LONGEST_ANSWER]
        end = sentence_end(self.seen, answer + len(text) - len(text.lstrip()))
        sentence = self.seen[answer:end]
        if sentence.rstrip(" \n*_\"')").endswith("?"):
            return None
        label = self._read(text)
        if label is None and prose:
            label = self._sole_number(sentence)
        undecided = label is None and phrases.UNDECIDED.match(unwrapped(text)) is not None
        return _Statement(label, start, end, undecided)

    def _sole_number(self, sentence: str) -> str | None:
        """Return the only number or equation of a sentence: "Each box holds 84 / 2 = 42 apples."."""
        equations = _EQUATION.findall(sentence) if self.numeric and _PROSE.match(sentence) else []
        return self._read(equations[0]) if len(equations) == 1 and not phrases.UNSURE.search(sentence) else None

    def _read(self, text: str) -> str | None:
        """Return the answer that the text is."""
        line = unwrapped(text)
        if self.foreign and not self.example.choices:
            if _AMBIGUOUS.search(line):
                return None
            line = re.sub(r"(?<=\d),(?=\d)", ".", line)
        return self.task.read_answer(line, self.example)

    def _implied(self) -> _Statement | None:
        """Return an answer that stands alone in the last line or opens the reply; None where these contradict."""
        lines = [line for line in self.seen[: self.end].split("\n") if line.strip()]
        if not lines or len({self._opening(line) for line in lines} - {None}) > 1:
            return None  # "refunds: 0.7", "hardware: 0.3"
        if (last := self.alone(lines[-1])) is not None:
            return _Statement(last, self.seen.rfind(lines[-1], 0, self.end), self.end)
        start = sentence_start(self.seen, max(0, len(self.seen[: self.end].rstrip()) - 2))
        conclusion = self.seen[start : self.end].rstrip(" *_\"'\n")
        if phrases.CONCLUDING.match(conclusion) and conclusion.endswith((".", "!")):  # not cut off
            label = self._sole_number(conclusion)
            return _Statement(label, start, self.end) if label is not None else None
        first, end = self._opening(lines[0]), sentence_end(self.seen, 0)
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
        text, last = self.text[: self.end], answers[-1]
        pieces, end = [], 0
        for statement in answers:
            pieces.append(text[end : max(end, min(statement.start, last.start))].lstrip(" "))
            end = max(end, statement.end)
        reason = _REASON.search(text[last.start : last.end])
        return reasoning("".join(pieces)) or reasoning(text[end:]) or (reasoning(reason[1]) if reason else None)

    def from_json(self) -> Parsed | None:
        """Return the parts of a JSON object that has a field for the answer; None where the reply is no such thing.

        Without a field for the rationale it is the text before the object.
        """
        json = json_object(self.text)
        if json is None:
            return None
        fields = {re.sub(r"[_\s-]+", " ", name.casefold()).strip(): value for name, value in json[0].items()}
        names = (*re.split(r",\s+", _ANSWER_FIELDS), *self.task.nouns)
        answer = next((text for name in names if (text := _scalar(fields.get(name))) is not None), None)
        if answer is None:
            return None
        proses = (_prose(value) for name, value in fields.items() if _RATIONALE_FIELD.search(name))
        rationale = next((prose for prose in proses if prose is not None), json[1])
        inner = _Reply(rationale, self.task, self.example)
        remainder = inner._around(inner.answered) if inner.answered else reasoning(inner.text)
        return Parsed(remainder, self._read(same_length(answer[:_LONGEST_ANSWER])))


def _scalar(value: Any) -> str | None:
    """Return a JSON value as text: of a list its only item, of an object its field for a value."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        fields = {name.casefold(): field for name, field in value.items()}
        value = next((fields[name] for name in _INNER_FIELDS if name in fields), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _prose(value: Any) -> str | None:
    if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return value if isinstance(value, str) else None
