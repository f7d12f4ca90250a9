"""A teacher's raw words, taken apart into rationale and answer."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from limbeck.llm import forms
from limbeck.llm.courtesies import civil, reasoning
from limbeck.llm.fields import answer_fields
from limbeck.llm.languages import DECIMAL_COMMA
from limbeck.llm.sentences import (
    SIGNS,
    begins_sentence,
    concludes,
    corrects,
    ending,
    invented_question,
    leads_to_answer,
    sentence_start,
    withdrawn,
)
from limbeck.llm.words import plain, same_length, unwrapped
from limbeck.schema import Example
from limbeck.tasks import Task, same_value
from limbeck.tasks.numbers import decimal_points, sole_number, writes_decimal_commas

# With these the work stays in proportion to the text, whatever a teacher repeats.
LONGEST_REPLY = 100_000  # characters without its thoughts; what follows is not read
LONGEST_ANSWER = 500
MOST_PLACES = 100
_LONGEST_LINE = 120  # of a line that is an answer alone

_NUMBER_ALONE = re.compile(r"[*_`$]{0,3}[-+$]?\d[\d.,/ ]{0,20}%?[*_`$]{0,3}[.!]?[*_]{0,2}\s*\Z")
_LETTER = re.compile(r"[^\w\n]{0,5}[A-Za-z][^\w\n]{0,5}")  # what stands before the blank in "B. dam"
_LETTERED = re.compile(r"(?:option\s|choice\s)?(?:[(\[][A-Za-z][)\]]|[A-Za-z](?:[).:]|$))", re.IGNORECASE)
_REASON = re.compile(r"\b(?:because|since)\s+(?P<reason>\S[^\n]*)", re.IGNORECASE)
_LIST_ITEM = re.compile(r"\s{0,9}(?:\d{1,2}[.)]|step\b)\s", re.IGNORECASE)
_BRIEF = re.compile(r"[\s*_#>\"'`(\[$=\u2192\u2705\u2714\u27a1\ufe0f-]*")
_LISTED = re.compile(r"^[^\w\n]{0,5}(?:option\s)?([A-Za-z])[).:\]](\s)", re.MULTILINE | re.IGNORECASE)
_OTHER_LETTER = re.compile(
    r"(?:[(\[]|^[^\w\n]{0,5}|\b[Oo]ption\s)([A-Za-z])(?:[)\]:.]|(?<=ption\s[A-Z]))(\s|)", re.MULTILINE
)
_NEGATED = re.compile(r"\b(?:not|n't|never|cannot|neither|incorrect|wrong)\b|n't\b", re.IGNORECASE)
_QUALIFIED = re.compile(r"\b(?:if|but|however|unless|only|except)\b", re.IGNORECASE)
_BOLD_END = re.compile(r"(?:[.!?:]\s|\u2192\s)(?P<bold>\*\*[^*\n]{1,80}\*\*\.?)\s*\Z")
_EITHER = re.compile(r"\b(?:or|nor|versus|vs|might|may|could|maybe|perhaps)\b|\?", re.IGNORECASE)
_BOLD_PHRASE = re.compile(r"\*\*([^*\n]{1,80})\*\*")
_DESTINATION = re.compile(
    r"\b(?:rout\w{1,3}|assign\w{0,3}|send|sent|forward\w{0,3}|escalat\w{1,3}|transfer\w{0,4}|goe?s?|belongs?|classif\w{1,5})"
    r"\s(?:(?:it|this|them|with|the\s\w{2,12}|this\s\w{2,12})\s)?(?:to|under|as|in|into)\s(?:the\s|an?\s)?([^.!?\n]{1,80})",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"[\s*_#>-]{0,6}(?P<name>[^\W\d][\w/-]{0,20}(?:\s[\w/-]{1,20}){0,3})[*_]{0,3}\s?:[*_]{0,3}\s{1,3}(?=\S)"
)
_NO_ANSWER = re.compile(
    r"\b(?:confidence|certainty|probability|likelihood|difficulty|strength|alternatives?|others?|second|runner|wrong"
    r"|incorrect|eliminat\w+|reject\w+|exclud\w+|ruled|backup|fallback|previous|initial|first|old|example|hint|note|not"
    r"|no|never|considered|candidates?|options?|choices|if|unless|maybe|possib\w+|guess|unlike|except"
    r"|distractor|instead|step)\b",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"\W*(?:he|it|she|that|there|they|this|what|which|who|here)\b", re.IGNORECASE)
_TITLE = re.compile(r"\s{0,9}#{1,6}\s[^\n]{1,40}\n\s{0,9}")
_GROUNDS = re.compile(r"[\W]{0,5}(?:since|as|because|given|considering)\b[^.!?\n]*,\s", re.IGNORECASE)
_CLAUSE = re.compile(
    r"[,;:]?\s(?:so|thus|therefore|hence|then|which\smeans|and|making)(?:\sthat)?,?\s|;\s", re.IGNORECASE
)
_UNDECIDED = re.compile(r"[^.!?]{0,60}?(?:\b(?:not|or|neither|either|none|unclear|unknown|cannot)\b|/)", re.IGNORECASE)

_BLANK = f"{SIGNS}.,:;\n"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a teacher's words held. A part that could not be read is None, never blank."""

    rationale: str | None
    label: str | None


@dataclass(frozen=True, slots=True)
class _Place:
    """A place where an answer is given: from where to where the sentence with it goes; None: it cannot be read."""

    label: str | None
    start: int
    end: int
    own: bool = False  # by the task's or the job's own marker
    undecided: bool = False  # unreadable since it names several, or denies one


def parse(raw: str, task: Task, example: Example) -> Parsed:
    """Return the teacher's reasoning and the answer that it gave in so many words. Never raises, never guesses.

    Each form of an answer in `limbeck/llm/forms.py` gives places. A place does not count where its sentence
    supposes, doubts or asks, nor where the next ones take it back. Of those that count the last is the answer, up to
    where the teacher ran on into a question of its own. Only where there is none, an answer that stands alone, opens
    the reply or concludes it is read. The rationale is what stands before, or what follows where the answer comes
    first; without any sentence that gives an answer, thoughts, politeness and code fences.
    """
    return _Reply(plain(raw)[:LONGEST_REPLY], task, example).parsed()


def stated_answer(text: str, task: Task, example: Example) -> str | None:
    """Return the answer that a text gives in a form made for it, or is as a whole; no conclusion counts as one."""
    reply = _Reply(plain(text)[:LONGEST_REPLY], task, example)
    if (parsed := reply.from_json()) is not None:
        return parsed.label
    answer = reply.answer
    return answer.label if answer else reply.alone(reply.text) if example.choices else None


class _Reply:
    """A plain reply with its task and example; places are searched for in `seen`, which has the text's length."""

    def __init__(self, text: str, task: Task, example: Example) -> None:
        self.question = " ".join((example.input, *example.choices, *task.choices))
        begin, end = civil(text, self.question)
        self.text = text[begin:end]
        self.seen = same_length(self.text)
        self.task = task
        self.example = example
        self.numeric = task.equal is same_value
        self.closed = self.numeric or bool(example.choices or task.choices)
        nouns = (*forms.NOUNS, *task.nouns, *(forms.CLOSED_NOUNS if self.closed else ("label", "category")))
        self.pattern = forms.answer_places(task.marker, nouns, closed=self.closed)

    def parsed(self) -> Parsed:
        if (parsed := self.from_json()) is not None:
            return parsed
        if self.answer is not None:
            return Parsed(self._around(self.answered), self.answer.label)
        if self.places:
            return Parsed(reasoning(self.text[: self.places[0].start], self.question), None)
        weak = self._weak()
        if weak is None:
            return Parsed(None, None)  # where the reasoning ended, nothing says
        return Parsed(self._around([weak]), weak.label)

    @cached_property
    def end(self) -> int:
        """Return where the teacher began a question of its own."""
        first = next((place.end for place in self._all_places if place.label is not None), None)
        return invented_question(self.seen, first, self.task.stop, self.example.input)

    @cached_property
    def places(self) -> list[_Place]:
        return [place for place in self._all_places if place.start < self.end]

    @cached_property
    def answered(self) -> list[_Place]:
        return [place for place in self.places if place.label is not None]

    @cached_property
    def answer(self) -> _Place | None:
        """The last place that counts; the task's own marker before other forms; None where it is taken back."""
        answered = self.answered
        if not answered:
            return None
        candidates = [place for place in answered if place.own] or answered
        last = candidates[-1]
        if self._contradicted(candidates):
            return None
        later = [place for place in self.places if place.start >= last.end]
        if any(place.undecided for place in later) or withdrawn(self._body, last.end):
            return None
        return last

    def _contradicted(self, places: list[_Place]) -> bool:
        """Return whether another answer stands before the last, and neither reasoning nor a correction between them."""
        last = places[-1]
        for index in range(len(places) - 2, -1, -1):
            first = places[index]
            if first.end <= last.start and not self._alike(str(first.label), str(last.label)):
                between = _outside(self.seen[: last.start], places[index:-1], first.start).strip(_BLANK)
                return not forms.LEAD.sub("", f"{between} ", count=1).strip(_BLANK) and not any(
                    corrects(self.seen, place.start) for place in places[index + 1 :]
                )
        return False

    def _alike(self, label: str, other: str) -> bool:
        if self.closed:
            return self.task.equal(label, other) or self.task.equal(other, label)
        return label.casefold() in other.casefold() or other.casefold() in label.casefold()

    @property
    def _own_marker(self) -> bool:
        return not forms.answer_places("The answer is", forms.NOUNS).fullmatch(self.task.marker.removeprefix("So "))

    @property
    def _body(self) -> str:
        return self.seen[: self.end]

    @cached_property
    def _all_places(self) -> list[_Place]:
        places = [*self._named(), *self._boxed(), *self._hashes(), *self._tagged(), *self._subjects(), *self._chosen()]
        return sorted(places, key=lambda place: (place.start, place.end))

    def _named(self) -> Iterator[_Place]:
        previous: tuple[int, int] | None = None  # a mark that another follows at once: "**Answer**: The answer is"
        for mark in islice(self.pattern.finditer(self.seen), MOST_PLACES):
            own = mark["own"] is not None and self._own_marker
            opening = mark.start()
            line = begins_sentence(self.seen, opening)
            headed = own or (line and mark[0].rstrip(" *_").endswith(":"))
            start = opening if headed else leads_to_answer(self.seen, opening, capital=mark[0][:1].isupper())
            words = self.seen[mark.end() : mark.end() + LONGEST_ANSWER]
            first = unwrapped(words)
            # "Solution" over several lines is a heading of the reasoning.
            heading = mark["line"] is not None and (
                not line or ("solution" in mark[0].casefold() and "\n" in words.strip())
            )
            if start is None or heading:
                continue
            if previous is not None and not self.seen[previous[1] : opening].strip(SIGNS):
                start = previous[0]
            previous = (start, mark.end())
            if mark["modal"] and not (_LETTERED.match(first) or (self.numeric and re.match(r"\D{0,3}\d", first))):
                continue
            place = self._place(start, mark.end(), own=own)
            if place is not None and place.label is None and not place.undecided and not self.numeric:
                place = replace(place, label=self._destination(self.seen[mark.end() : place.end]))
            if place is not None:
                yield place

    def _destination(self, sentence: str) -> str | None:
        """Return the one choice that a sentence sets in bold or sends something to: "route to **software**"."""
        choices = self.example.choices or self.task.choices
        if not choices or _NEGATED.search(sentence) or _QUALIFIED.search(sentence) or _EITHER.search(sentence):
            return None
        phrases = [*_BOLD_PHRASE.findall(sentence), *_DESTINATION.findall(sentence)]
        labels = {label for phrase in phrases if (label := self._read(phrase)) is not None}
        return labels.pop() if len(labels) == 1 else None

    def _boxed(self) -> Iterator[_Place]:
        for mark in islice(forms.BOXED.finditer(self.seen), MOST_PLACES):
            start = leads_to_answer(self.seen, mark.start(), capital=True)
            if (place := self._place(mark.start() if start is None else start, mark.end())) is not None:
                yield place

    def _hashes(self) -> Iterator[_Place]:
        """Yield GSM8K's `#### 42`, at the end of a reply: elsewhere four hashes are a heading."""
        lines = list(islice(forms.HASHES.finditer(self.seen), MOST_PLACES))
        for mark in lines[-1:]:
            if self.numeric or "\n" not in self.seen[mark.end() :].strip():
                place = self._place(mark.start(), mark.end())
                if place is not None and place.label is not None:
                    yield place

    def _tagged(self) -> Iterator[_Place]:
        for mark in islice(forms.TAGGED.finditer(self.seen), MOST_PLACES):
            words = mark["answer"] or mark["bracketed"]
            label = _Reply(words, self.task, self.example).parsed().label
            if label is None and "\n" not in words and len(words) <= _LONGEST_LINE and not self.pattern.search(words):
                label = self._read(words)
            yield _Place(label, mark.start(), mark.end())

    def _subjects(self) -> Iterator[_Place]:
        """Yield "C is correct" and "42 is the answer", where the sentence begins with the answer."""
        for mark in islice(forms.AFTER_ANSWER.finditer(self.seen), MOST_PLACES):
            start = sentence_start(self.seen, mark.start())
            end = ending(self.seen, mark.end(), mark.end() + LONGEST_ANSWER)
            grounds = _GROUNDS.match(self.seen, start, mark.start())
            start = grounds.end() if grounds else start
            *_, clause = (None, *_CLAUSE.finditer(self.seen, start, mark.start()))
            subject = self.seen[clause.end() if clause else start : mark.start()].lstrip(SIGNS)
            if clause and not concludes(self.seen[start : clause.end()].lstrip(SIGNS)):
                continue
            start = clause.start() if clause else start
            subject = forms.LEAD.sub("", subject, count=1)
            rest = self.seen[mark.end() : end].rstrip(" *_\"'\n")
            if (
                _QUALIFIED.search(rest)
                or rest.endswith("?")
                or _NEGATED.search(subject)
                or self.pattern.search(subject)
            ):
                continue
            if len(subject) > _LONGEST_LINE or not (self.closed or (mark["noun"] and not _PRONOUN.match(subject))):
                continue
            if (label := self._read(re.sub(r"\A(?:only|then)\s", "", subject, flags=re.IGNORECASE))) is not None:
                yield _Place(label, start, end)

    def _chosen(self) -> Iterator[_Place]:
        """Yield "I'd go with (c)" and "should be classified as billing", of tasks with choices."""
        if not self.closed:
            return
        pattern = forms.CHOSEN_NUMBER if self.numeric else forms.CHOSEN
        for mark in islice(pattern.finditer(self.seen), MOST_PLACES):
            if self.numeric and not _NUMBER_ALONE.match(self.seen, mark.end()):
                continue  # "I go with 3 friends"
            start = sentence_start(self.seen, mark.start())
            before = self.seen[start : mark.start()]
            passive = not mark[0].lower().startswith(("i", "we", "my"))
            if not (
                concludes(before) if passive else leads_to_answer(self.seen, mark.start(), capital=False) is not None
            ):
                continue
            place = self._place(start, mark.end())
            rest = self.seen[mark.end() : place.end] if place else ""
            if place is not None and place.label is not None and not _QUALIFIED.search(rest):
                yield place

    def _place(self, start: int, begin: int, *, own: bool = False) -> _Place | None:
        """Return the place whose answer begins at `begin`; None where its sentence is a question."""
        words = self.seen[begin : begin + LONGEST_ANSWER]
        first = begin + len(words) - len(words.lstrip())
        end = ending(self.seen, first, first + LONGEST_ANSWER)
        label = self._read(words)
        if self.seen[begin:end].rstrip(" \n*_\"')").endswith("?"):
            return None
        if label is not None and _LETTER.fullmatch(self.seen, first, end):
            following = ending(self.seen, end, end + LONGEST_ANSWER)
            if self._read(self.seen[end:following]) == label:
                end = following  # "B. dam"
        undecided = label is None and (_UNDECIDED.match(unwrapped(words)) is not None)
        return _Place(label, start, end, own, undecided)

    def _read(self, words: str, *, alone: bool = False) -> str | None:
        """Return the answer that the words are; of a number, unless it is to stand alone, also one amid a sentence."""
        line = unwrapped(words)
        alone = alone or not line[:1].isupper()
        if not self.numeric:
            return self.task.read_answer(line, self.example)
        if self._decimal_comma:
            points, commas = (self._read_number(spelling, alone=alone) for spelling in (line, decimal_points(line)))
            if points is None or commas is None or points == commas:
                return points or commas
            chosen = {True: commas, False: points, None: None}
            return chosen[writes_decimal_commas(self.seen, line)]
        return self._read_number(line, alone=alone)

    def _read_number(self, line: str, *, alone: bool) -> str | None:
        label = self.task.read_answer(line, self.example)
        return sole_number(line) if label is None and not alone else label

    @cached_property
    def _decimal_comma(self) -> bool:
        """Return whether the reply is in a language that may write 3,33 for 3.33."""
        return DECIMAL_COMMA.search(self.seen) is not None

    # Answers without a form of their own.

    def _weak(self) -> _Place | None:
        """Return an answer that stands alone, opens the reply or concludes it; None where such ones contradict."""
        body = self._body
        found = [
            place for place in (self._last_line(body), self._first_sentence(body), self._conclusion(body)) if place
        ]
        labels = {place.label for place in found}
        if not found or any(not self.task.equal(str(label), str(found[0].label)) for label in labels):
            return None
        return None if withdrawn(body, found[0].end) else found[0]

    def _last_line(self, body: str) -> _Place | None:
        end = len(body.rstrip(" \t\n*_#`-"))
        start = body.rfind("\n", 0, end) + 1
        if (bold := _BOLD_END.search(body, start)) is not None:
            start = bold.start("bold")
        before = body[:start].rstrip().rpartition("\n")[2]
        label = self.alone(body[start:])
        earlier = self.alone(before)
        if label is None:
            label, earlier = self._labelled(body[start:]), self._labelled(before)
        if label is None or (not self.numeric and earlier is not None):
            return None  # of a list
        return _Place(label, start, len(body))

    def _labelled(self, line: str) -> str | None:
        """Return the choice after a short label of any name: "**Team:** refunds"."""
        label = None if self.numeric else _LABELLED.match(line)
        if label is None or _NO_ANSWER.search(label["name"]) or _LETTERED.match(label["name"]):
            return None
        named = self.task.read_answer(label["name"], self.example)
        return self.alone(line[label.end() :]) if named is None else None

    def alone(self, line: str) -> str | None:
        """Return the answer where the line is one and nothing else."""
        line = line.strip().rstrip("\u2714\u2705\u2713\ufe0f ")
        inner = unwrapped(_BRIEF.sub("", line, count=1) if not line.startswith(("(", "[", "**", "-", "$")) else line)
        if not inner or "\n" in line or len(line) > _LONGEST_LINE or line.endswith("?"):
            return None
        if ending(inner, 0, len(inner)) < len(inner) and not _LETTERED.match(inner):
            return None
        if self.numeric:
            return None if _LIST_ITEM.match(line) else self._read(inner, alone=True)
        choices = self.example.choices or self.task.choices
        if not choices:
            return None
        label = self.task.read_answer(inner, self.example)
        spelled = max((len(choice) for choice in choices), default=0) + 24
        verb = label is not None and label.casefold() not in inner.casefold()
        return label if len(inner) <= spelled or (verb and len(inner) <= _LONGEST_LINE) else None

    def _first_sentence(self, body: str) -> _Place | None:
        """Return the choice that opens the reply: "C. math problem", "Yes, nobody ...", "B because ..."."""
        choices = self.example.choices or self.task.choices
        if not choices:
            return None
        heading = _TITLE.match(body)
        first = heading.end() if heading else 0
        end = body.find("\n", first) if "\n" in body[first:] else len(body)
        line = body[first:end]
        inner = unwrapped(line)
        label = self.task.read_answer(inner, self.example)
        if label is None or line.rstrip().endswith("?") or not forms.opens(inner, choices):
            return None
        for later in map(unwrapped, body[end : end + LONGEST_ANSWER].split("\n")):
            if forms.opens(later, choices) and self.task.read_answer(later, self.example) not in (None, label):
                return None  # "refunds: 0.7\nhardware: 0.3"
        rest = body[first + len(line) - len(line.lstrip()) + 3 :]
        others = _LISTED if end < len(body) and self.alone(line) is not None else _OTHER_LETTER
        for letter in others.finditer(rest):
            if self.task.read_answer(f"({letter[1] or letter[2]})", self.example) not in (None, label):
                return None
        stop = ending(body, first, len(body))
        if _LETTER.fullmatch(body, first, stop):
            stop = ending(body, stop, len(body))
        if withdrawn(body, stop):
            return None
        return _Place(label, 0, stop)

    def _conclusion(self, body: str) -> _Place | None:
        """Return the answer of a last sentence that says that it concludes: "Therefore, Jo packs 25 things."."""
        end = len(body.rstrip())
        start = sentence_start(body, max(end - 2, 0))
        sentence = body[start:end]
        lead = forms.CONCLUDING.match(sentence)
        if lead is None or not sentence.rstrip(" *_\"'").endswith((".", "!")) or sentence in body[:start]:
            return None  # cut off, or said over and over
        rest = unwrapped(sentence[lead.end() :])
        label = self._read(rest[:1].upper() + rest[1:]) if self.numeric else self.alone(rest)
        return _Place(label, start, len(body)) if label is not None else None

    def _around(self, answers: list[_Place]) -> str | None:
        """Return the reasoning before the last answer, without the earlier ones; after it where none stands before."""
        text = self.text[: self.end]
        before = reasoning(_outside(text[: answers[-1].start], answers), self.question)
        after = reasoning(text[max(answer.end for answer in answers) :], self.question)
        if before is not None or after is not None:
            return before or after
        reason = _REASON.search(text[answers[-1].start : answers[-1].end])
        return reasoning(reason["reason"], self.question) if reason else None

    def from_json(self) -> Parsed | None:
        """Return the parts of a JSON object that has a field for the answer; None where the reply is no such thing."""
        fields = answer_fields(self.text, self.task.nouns, closed=self.closed)
        if fields is None:
            return None
        answer, rationale = fields
        label = self._read(same_length(answer[:LONGEST_ANSWER]))
        inner = _Reply(rationale, self.task, self.example)
        return Parsed(inner._around(inner.answered) if inner.answered else reasoning(inner.text, inner.question), label)


def _outside(text: str, places: list[_Place], start: int = 0) -> str:
    """Return the text from `start` on that none of the places, sorted by their start, covers."""
    pieces, end = [], start
    for place in places:
        pieces.append(text[end : max(end, place.start)].lstrip(" "))
        end = max(end, place.end)
    return "".join([*pieces, text[end:]])
