"""A teacher's reply, taken apart into its rationale and the answer that it states."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Literal

from limbeck.llm import phrases
from limbeck.llm.sentences import (
    SIGNS,
    asserts,
    begins_line,
    clause_start,
    corrects,
    invented_question,
    reasoning,
    sentence_end,
    sentence_start,
    withdrawn,
    without_courtesies,
)
from limbeck.llm.text import json_object, plain, same_length, split_thoughts, unwrapped
from limbeck.schema import Example
from limbeck.tasks import Task, same_value
from limbeck.tasks.numbers import decimal_points, sole_number, writes_decimal_commas
from limbeck.tasks.task import without_calculations

RationaleSource = Literal["content", "thoughts", "both"]

# With these limits the work stays in proportion to the text, whatever a teacher repeats.
LONGEST_REPLY = 100_000  # characters without its thoughts; what follows is not read
_LONGEST_ANSWER = 500
_MAX_STATEMENTS = 100  # of one form
_LONGEST_LINE = 120  # of a line that is an answer alone
_LONGEST_BRIEF = 80  # characters of a content, beside thoughts, that is the answer alone
_BRIEF_CHOICE = 5  # characters: "yes", "false"

_ANSWER_FIELDS: tuple[str, ...] = (
    "answer",
    "final answer",
    "correct answer",
    "label",
    "choice",
    "prediction",
    "predicted label",
)
_ANSWER_FIELDS += (
    *("result", "category", "class", "classification", "verdict", "relationship", "relation", "output", "decision"),
    *("option", "conclusion", "solution", "selected option"),
)
_INNER_FIELDS = ("value", "letter", "label", "text", "answer", "choice", "option")
_RATIONALE_FIELD = re.compile(
    r"\b(?:rationale|reason(?:ing)?|explanation|thoughts?|analysis|steps?|justification|solution|chain of thought"
    r"|thinking)\b"
)

_LETTER_ALONE = re.compile(r"[^\w\n]{0,5}[A-Za-z][^\w\n]{0,5}")  # before the blank in "B. dam"
_LETTERED = re.compile(r"(?:option\s|choice\s)?(?:[(\[][A-Za-z][)\]]|[A-Za-z](?:[).:]|$))", re.IGNORECASE)
_OPENING_LETTER = re.compile(
    rf"{_LETTERED.pattern}|(?:option\s|choice\s)?[A-Z](?:\s[-\u2013\u2014]|\s(?:because|since)\b)", re.IGNORECASE
)
_LISTED_LETTER = re.compile(r"^[^\w\n]{0,5}(?:option\s)?([A-Za-z])[).:\]]\s", re.MULTILINE | re.IGNORECASE)
_OTHER_LETTER = re.compile(
    r"(?:[(\[]|^[^\w\n]{0,5}|\b[Oo]ption\s)([A-Za-z])(?:[)\]:.]|(?<=ption\s[A-Z])\b)", re.MULTILINE
)
_LIST_ITEM = re.compile(r"\s{0,9}(?:\d{1,2}[.)]|step\b)\s", re.IGNORECASE)
_REASON = re.compile(r"\b(?:because|since)\s+(?P<reason>\S[^\n]*)", re.IGNORECASE)
_QUALIFIED = re.compile(r"\b(?:if|but|however|unless|only|except)\b", re.IGNORECASE)
_HEDGED = re.compile(
    rf"{_QUALIFIED.pattern}|\b(?:not|never|cannot|neither|incorrect|wrong|or|nor|versus|vs|might|may|could|maybe|perhaps)\b"
    r"|n't\b|\?",
    re.IGNORECASE,
)
_UNDECIDED = re.compile(r"[^.!?]{0,60}?(?:\b(?:not|or|neither|either|none|unclear|unknown|cannot)\b|/)", re.IGNORECASE)
_BOLD_END = re.compile(r"(?:[.!?:]\s|\u2192\s)(?P<bold>\*\*[^*\n]{1,80}\*\*\.?)\s*\Z")
# "route to **software**", "the ticket belongs to the refunds team"
_DESTINATION = re.compile(
    r"(?:\*\*|\b(?:rout\w{1,3}|assign\w{0,3}|send|sent|forward\w{0,3}|escalat\w{1,3}|transfer\w{0,4}|goe?s?|belongs?"
    r"|classif\w{1,5})\s(?:(?:it|this|them|with|(?:the|this)\s\w{2,12})\s)?(?:to|under|as|in|into)\s(?:the\s|an?\s)?)"
    r"([^.!?*\n]{1,80})",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"[\s*_#>-]{0,6}(?P<name>[^\W\d][\w/-]{0,20}(?:\s[\w/-]{1,20}){0,3})[*_]{0,3}\s?:[*_]{0,3}\s{1,3}(?=\S)"
)
_NO_ANSWER_LABEL = re.compile(
    r"\b(?:confidence|certainty|probability|likelihood|difficulty|strength|alternatives?|others?|second|runner|wrong"
    r"|incorrect|eliminat\w+|reject\w+|exclud\w+|ruled|backup|fallback|previous|initial|first|old|example|hint|note|not"
    r"|no|never|considered|candidates?|options?|choices|if|unless|maybe|possib\w+|guess|unlike|except"
    r"|distractor|instead|step)\b",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"\W*(?:he|it|she|that|there|they|this|what|which|who|here)\b", re.IGNORECASE)
_GROUNDS = re.compile(r"[\W]{0,5}(?:since|as|because|given|considering)\b[^.!?\n]*,\s", re.IGNORECASE)
_CLAUSE = re.compile(
    r"[,;:]?\s(?:so|thus|therefore|hence|then|which\smeans|and|making)(?:\sthat)?,?\s|;\s", re.IGNORECASE
)
_LEADING_SIGNS = re.compile(r"[\s*_#>\"'`(\[$=\u2192\u2705\u2714\u27a1\ufe0f-]*")
_CHECK_MARKS = "\u2714\u2705\u2713\ufe0f "
_THOUGHT_END = re.compile(r"(?<=[.!?])\s+|\n")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_DENIED = re.compile(r"\b(?:not|no|never|neither|nor|or|cannot)\b|n't\b|\?", re.IGNORECASE)


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
    own: bool = False  # by the task's or the job's own marker
    undecided: bool = False  # unreadable since it names several answers, or denies one


def parse(raw: str, task: Task, example: Example) -> Parsed:
    """Return the teacher's reasoning and the answer that it states. Never raises, never guesses.

    A statement does not count where its sentence supposes, doubts or asks, nor where the next ones take it back. The
    last that counts is the answer, up to where the teacher ran on into a question of its own. Where no form in
    `limbeck/llm/phrases.py` states an answer, one that stands alone, opens the reply or concludes it is read. The
    rationale is the text before, or after where the answer comes first; without any sentence that states an answer,
    thoughts, politeness and code fences.
    """
    return _Reply(plain(raw)[:LONGEST_REPLY], task, example).parsed()


def stated_answer(text: str, task: Task, example: Example) -> str | None:
    """Return the answer that a text states in a form made for it, or is as a whole; no conclusion counts as one."""
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
    if words.strip() or not example.label or _DENIED.search(last):
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
        begin, end = without_courtesies(text)
        self.text = text[begin:end]
        self.seen = same_length(self.text)
        self.task = task
        self.example = example
        self.choices = example.choices or task.choices
        self.numeric = task.equal is same_value
        self.closed = self.numeric or bool(self.choices)
        nouns = task.nouns if self.closed else (*task.nouns, "label", "category")
        self.pattern = phrases.statement(task.marker, nouns, closed=self.closed)

    def parsed(self) -> Parsed:
        if (parsed := self.from_json()) is not None:
            return parsed
        if self.answer is not None:
            return Parsed(self._around(self.answered), self.answer.label)
        if self.statements:
            return Parsed(reasoning(self.text[: self.statements[0].start]), None)
        implied = self._implied()
        if implied is None:
            return Parsed(None, None)  # nothing says where the reasoning ended
        return Parsed(self._around([implied]), implied.label)

    @cached_property
    def end(self) -> int:
        """The position where the teacher began a question of its own."""
        first = next((statement.end for statement in self._all_statements if statement.label is not None), None)
        return invented_question(self.seen, first, stop=self.task.stop, question=self.example.input)

    @property
    def _body(self) -> str:
        return self.seen[: self.end]

    @cached_property
    def statements(self) -> list[_Statement]:
        return [statement for statement in self._all_statements if statement.start < self.end]

    @cached_property
    def _decimal_comma_language(self) -> bool:
        """True where the reply has words of a language that writes decimal commas."""
        return phrases.DECIMAL_COMMA.search(self.seen) is not None

    @cached_property
    def answered(self) -> list[_Statement]:
        return [statement for statement in self.statements if statement.label is not None]

    @cached_property
    def answer(self) -> _Statement | None:
        """The last statement that counts, the task's own marker before other forms; None where it is taken back."""
        candidates = [statement for statement in self.answered if statement.own] or self.answered
        if not candidates or self._contradicted(candidates):
            return None
        last = candidates[-1]
        undecided = any(statement.undecided for statement in self.statements if statement.start >= last.end)
        return None if undecided or withdrawn(self._body, last.end) else last

    def _contradicted(self, statements: list[_Statement]) -> bool:
        """Return whether another answer stands before the last, and neither reasoning nor a correction between them."""
        last = statements[-1]
        for index in range(len(statements) - 2, -1, -1):
            first = statements[index]
            if first.end <= last.start and not self._alike(str(first.label), str(last.label)):
                blank = f"{SIGNS}.,:;\n"
                between = _outside(self.seen[: last.start], statements[index:-1], first.start).strip(blank)
                return not phrases.LEAD.sub("", f"{between} ", count=1).strip(blank) and not any(
                    corrects(self.seen, statement.start) for statement in statements[index + 1 :]
                )
        return False

    def _alike(self, label: str, second_label: str) -> bool:
        if self.closed:
            return self.task.equal(label, second_label) or self.task.equal(second_label, label)
        return label.casefold() in second_label.casefold() or second_label.casefold() in label.casefold()

    @cached_property
    def _all_statements(self) -> list[_Statement]:
        forms = (self._named, self._boxed, self._hashes, self._tagged, self._subjects, self._chosen)
        return sorted(
            (candidate for form in forms for candidate in form()),
            key=lambda candidate: (candidate.start, candidate.end),
        )

    def _marks(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        return islice(pattern.finditer(self.seen), _MAX_STATEMENTS)

    def _named(self) -> Iterator[_Statement]:
        """Yield "the answer is (c)", "Label: neutral" and what follows the task's marker."""
        own_marker = not phrases.statement("The answer is", ()).fullmatch(self.task.marker.removeprefix("So "))
        previous = (0, -1)  # a mark that another follows at once: "**Answer**: The answer is"
        for mark in self._marks(self.pattern):
            own = mark["own"] is not None and own_marker
            opening = mark.start()
            line = begins_line(self.seen, opening)
            headed = own or (line and mark[0].rstrip(" *_").endswith(":"))
            start = opening if headed else clause_start(self.seen, opening, capital=mark[0][:1].isupper())
            text = self.seen[mark.end() : mark.end() + _LONGEST_ANSWER]
            # "Solution" over several lines is a heading of the reasoning.
            heading = mark["line"] is not None and (
                not line or ("solution" in mark[0].casefold() and "\n" in text.strip())
            )
            if start is None or heading:
                continue
            if previous[1] >= 0 and not self.seen[previous[1] : opening].strip(SIGNS):
                start = previous[0]
            previous = (start, mark.end())
            first = unwrapped(text)
            if mark["modal"] and not (_LETTERED.match(first) or (self.numeric and re.match(r"\D{0,3}\d", first))):
                continue
            statement = self._statement(start, mark.end(), own=own)
            if statement is None:
                continue
            if statement.label is None and not statement.undecided and not self.numeric:
                statement = replace(statement, label=self._destination(self.seen[mark.end() : statement.end]))
            yield statement

    def _destination(self, sentence: str) -> str | None:
        """Return the one choice that a sentence sets in bold or sends something to: "route to **software**"."""
        if not self.choices or _HEDGED.search(sentence):
            return None
        labels = {label for phrase in _DESTINATION.findall(sentence) if (label := self._read(phrase)) is not None}
        return labels.pop() if len(labels) == 1 else None

    def _boxed(self) -> Iterator[_Statement]:
        for mark in self._marks(phrases.BOXED):
            start = clause_start(self.seen, mark.start(), capital=True)
            if (statement := self._statement(mark.start() if start is None else start, mark.end())) is not None:
                yield statement

    def _hashes(self) -> Iterator[_Statement]:
        """Yield GSM8K's `#### 42` at the end of a reply: elsewhere four hashes are a heading."""
        for mark in list(self._marks(phrases.HASHES))[-1:]:
            if self.numeric or "\n" not in self.seen[mark.end() :].strip():
                statement = self._statement(mark.start(), mark.end())
                if statement is not None and statement.label is not None:
                    yield statement

    def _tagged(self) -> Iterator[_Statement]:
        for mark in self._marks(phrases.TAGGED):
            content = mark["answer"] or mark["bracketed"]
            label = _Reply(content, self.task, self.example).parsed().label
            yield _Statement(self._read(content) if label is None else label, mark.start(), mark.end())

    def _subjects(self) -> Iterator[_Statement]:
        """Yield "C is correct" and "42 is the answer", where the sentence begins with the answer."""
        for mark in self._marks(phrases.AFTER_ANSWER):
            start = sentence_start(self.seen, mark.start())
            end = sentence_end(self.seen, mark.end(), mark.end() + _LONGEST_ANSWER)
            grounds = _GROUNDS.match(self.seen, start, mark.start())
            start = grounds.end() if grounds else start
            *_, clause = (None, *_CLAUSE.finditer(self.seen, start, mark.start()))
            subject = self.seen[clause.end() if clause else start : mark.start()].lstrip(SIGNS)
            subject = phrases.LEAD.sub("", subject, count=1)
            predicate = self.seen[mark.end() : end].rstrip(" *_\"'\n")
            if _QUALIFIED.search(predicate) or predicate.endswith("?"):
                continue
            if len(subject) > _LONGEST_LINE or (not self.closed and (not mark["noun"] or _PRONOUN.match(subject))):
                continue
            if (label := self._read(re.sub(r"\A(?:only|then)\s", "", subject, flags=re.IGNORECASE))) is not None:
                yield _Statement(label, clause.start() if clause else start, end)

    def _chosen(self) -> Iterator[_Statement]:
        """Yield "I'd go with (c)" and "should be classified as billing", of tasks with choices or numbers."""
        pattern = phrases.CHOSEN_NUMBER if self.numeric else phrases.CHOSEN
        for mark in self._marks(pattern) if self.closed else ():
            start = sentence_start(self.seen, mark.start())
            if mark[0].lower().startswith(("i", "we", "my")):
                counts = clause_start(self.seen, mark.start(), capital=False) is not None
            else:
                counts = asserts(self.seen[start : mark.start()])
            statement = self._statement(start, mark.end()) if counts else None
            if statement is None or statement.label is None:
                continue
            if not _QUALIFIED.search(self.seen[mark.end() : statement.end]):
                yield statement

    def _statement(self, start: int, answer: int, *, own: bool = False) -> _Statement | None:
        """Return the statement whose answer begins at `answer`; None where its sentence is a question."""
        text = self.seen[answer : answer + _LONGEST_ANSWER]
        first = answer + len(text) - len(text.lstrip())
        end = sentence_end(self.seen, first, first + _LONGEST_ANSWER)
        if self.seen[answer:end].rstrip(" \n*_\"')").endswith("?"):
            return None
        label = self._read(text)
        if label is not None and _LETTER_ALONE.fullmatch(self.seen, first, end):
            following = sentence_end(self.seen, end, end + _LONGEST_ANSWER)
            if self._read(self.seen[end:following]) == label:
                end = following  # "B. dam"
        undecided = label is None and _UNDECIDED.match(unwrapped(text)) is not None
        return _Statement(label, start, end, own, undecided)

    def _read(self, text: str, *, alone: bool = False) -> str | None:
        """Return the answer that the text is; unless it is to stand alone, also a number amid a sentence."""
        line = unwrapped(text)
        alone = alone or not line[:1].isupper()
        if not self.numeric:
            return self.task.read_answer(line, self.example)
        points = self._read_number(line, alone=alone)
        if not self._decimal_comma_language:
            return points
        commas = self._read_number(decimal_points(line), alone=alone)
        if points is None or commas is None or points == commas:
            return points or commas
        return {True: commas, False: points, None: None}[writes_decimal_commas(self.seen, line)]

    def _read_number(self, line: str, *, alone: bool) -> str | None:
        label = self.task.read_answer(line, self.example)
        return sole_number(line) if label is None and not alone else label

    def _implied(self) -> _Statement | None:
        """Return an answer that stands alone, opens the reply or concludes it; None where such ones contradict."""
        body = self._body
        answers = [
            candidate
            for candidate in (self._last_line(body), self._first_sentence(body), self._conclusion(body))
            if candidate
        ]
        if not answers or any(
            not self.task.equal(str(candidate.label), str(answers[0].label)) for candidate in answers
        ):
            return None
        return None if withdrawn(body, answers[0].end) else answers[0]

    def _last_line(self, body: str) -> _Statement | None:
        end = len(body.rstrip(" \t\n*_#`-"))
        start = body.rfind("\n", 0, end) + 1
        if (bold := _BOLD_END.search(body, start)) is not None:
            start = bold.start("bold")
        last, line_before = body[start:], body[:start].rstrip().rpartition("\n")[2]
        label, earlier = self.alone(last), self.alone(line_before)
        if label is None:
            label, earlier = self._labelled(last), self._labelled(line_before)
        if label is None or (not self.numeric and earlier is not None):
            return None  # of a list
        return _Statement(label, start, len(body))

    def _labelled(self, line: str) -> str | None:
        """Return the choice after a short label of any name: "**Team:** refunds"."""
        label = None if self.numeric else _LABELLED.match(line)
        if label is None or _NO_ANSWER_LABEL.search(label["name"]):
            return None
        return self.alone(line[label.end() :]) if self.task.read_answer(label["name"], self.example) is None else None

    def alone(self, line: str) -> str | None:
        """Return the answer where the line is one and nothing else."""
        line = line.strip().rstrip(_CHECK_MARKS)
        inner = unwrapped(
            line if line.startswith(("(", "[", "**", "-", "$")) else _LEADING_SIGNS.sub("", line, count=1)
        )
        if not inner or "\n" in line or len(line) > _LONGEST_LINE or line.endswith("?"):
            return None
        if sentence_end(inner, 0, len(inner)) < len(inner) and not _LETTERED.match(inner):
            return None
        if self.numeric:
            return None if _LIST_ITEM.match(line) else self._read(inner, alone=True)
        label = self.task.read_answer(inner, self.example) if self.choices else None
        if label is None:
            return None
        verb = label.casefold() not in inner.casefold()  # "entails"
        return label if verb or len(inner) <= max(map(len, self.choices)) + 24 else None

    def _opens(self, line: str) -> bool:
        """Return whether a line opens with an answer: a letter or a choice, with a sign or a line of its own."""
        if _OPENING_LETTER.match(line):
            return True
        for choice in self.choices:
            if line[: len(choice)].casefold() == choice.casefold():
                signs = ".:;!\u2013\u2014" + (",-" if len(choice) <= _BRIEF_CHOICE else "")
                if line[len(choice) :].lstrip(" *_")[:1] in ("", *signs):
                    return True
        return False

    def _first_sentence(self, body: str) -> _Statement | None:
        """Return the choice that opens the reply: "C. math problem", "Yes, nobody ...", "B because ..."."""
        if not self.choices:
            return None
        line = body.partition("\n")[0]
        end = len(line)
        inner = unwrapped(line)
        label = self.task.read_answer(inner, self.example)
        if label is None or line.rstrip().endswith("?") or not self._opens(inner):
            return None
        following = [
            text for text in map(unwrapped, body[end : end + _LONGEST_ANSWER].split("\n")) if self._opens(text)
        ]
        after = body[3:]
        letters = _LISTED_LETTER if end < len(body) and self.alone(line) is not None else _OTHER_LETTER
        for text in (*following, *(f"({letter})" for letter in letters.findall(after))):
            if self.task.read_answer(text, self.example) not in (None, label):
                return None  # "refunds: 0.7\nhardware: 0.3"
        stop = sentence_end(body, 0, len(body))
        if _LETTER_ALONE.fullmatch(body, 0, stop):
            stop = sentence_end(body, stop, len(body))
        return _Statement(label, 0, stop)

    def _conclusion(self, body: str) -> _Statement | None:
        """Return the answer of a last sentence that says that it concludes: "Therefore, Jo packs 25 things."."""
        end = len(body.rstrip())
        start = sentence_start(body, max(end - 2, 0))
        sentence = body[start:end]
        lead = phrases.CONCLUDING.match(sentence)
        if lead is None or not sentence.rstrip(" *_\"'").endswith((".", "!")):
            return None  # cut off
        clause = unwrapped(sentence[lead.end() :])
        label = self._read(clause[:1].upper() + clause[1:]) if self.numeric else self.alone(clause)
        return _Statement(label, start, len(body)) if label is not None else None

    def _around(self, answers: list[_Statement]) -> str | None:
        """Return the reasoning before the last answer, without the earlier ones; else after it; else its reason."""
        text, last = self.text[: self.end], answers[-1]
        reason = _REASON.search(text[last.start : last.end])
        return (
            reasoning(_outside(text[: last.start], answers))
            or reasoning(text[max(answer.end for answer in answers) :])
            or (reasoning(reason["reason"]) if reason else None)
        )

    def from_json(self) -> Parsed | None:
        """Return the parts of a JSON object that has a field for the answer; None where the reply is no such thing.

        Without a field for the rationale it is the text before the object.
        """
        json = json_object(self.text)
        if json is None:
            return None
        fields = {re.sub(r"[_\s-]+", " ", name.casefold()).strip(): value for name, value in json[0].items()}
        names = (*_ANSWER_FIELDS, *self.task.nouns)
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


def _outside(text: str, statements: list[_Statement], start: int = 0) -> str:
    """Return the text from `start` on that none of the statements, sorted by their start, covers."""
    pieces, end = [], start
    for statement in statements:
        pieces.append(text[end : max(end, statement.start)].lstrip(" "))
        end = max(end, statement.end)
    return "".join([*pieces, text[end:]])
