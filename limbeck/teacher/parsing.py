"""A teacher's raw words, taken apart into rationale and answer."""

import re
from dataclasses import dataclass
from functools import cache
from itertools import islice

from limbeck.schema import Example
from limbeck.tasks import Task, normalise
from limbeck.teacher.words import json_object, plain, same_length, unwrapped

# With these the work stays in proportion to the text, whatever a teacher repeats.
LONGEST_REPLY = 100_000  # characters without its thoughts; what follows is not read
LONGEST_ANSWER = 500
MOST_MARKERS = 100

_SIGNS = r"[ \t*_#>`-]{0,12}"  # Markdown's headings, lists, quotes and bold
_LEAD = (  # "So", "Thus, based on the above,", "I think that"
    r"(?:(?:(?:so|thus|therefore|hence|then|finally)\b,?\s{1,3}"
    r"|(?:of|from|among|given|based\son)\s[^.,:\n]{1,60},\s{1,3}"
    r"|I\s(?:think|believe)\s(?:that\s)?){1,3})"
)
_ARTICLE = r"(?:(?:the|my|our)\s{1,3})"
_KIND = r"(?:(?:final|correct|right|best|most\s{1,3}likely)\s{1,3}){0,2}"
_BOXED = r"(?:\$\$?|\\\[|\\\()?\s{0,3}(?=\\boxed\s?\{)"
_STOPS = r"^[ \t*_#>]{0,12}(?:Q|Question|Premise|Human|User)(?:\s\d{1,3})?[*_]{0,2}:"
_HEADING = re.compile(
    rf"{_SIGNS}(?:A|answer|analysis|because|explanation|justification|rationale|reason(?:ing)?s?|solution|thoughts?)"
    rf"(?:[*_]{{0,3}}:[*_]{{0,3}}|[*_ \t]{{0,3}}\n)\s{{0,9}}",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?][*_]{0,3}(?=\s)|\n")
_LETTER = re.compile(r"[^\w\n]{0,5}[A-Za-z][^\w\n]{0,5}")  # what stands before the blank in "B. dam"
_LONGEST_SIGNS = 16  # characters around a choice that stands alone, "**(B) dam**"
_SHORTEST_QUESTION = 10  # characters; a shorter one stands in other questions as well

_ANSWER_FIELDS = ("answer", "final_answer", "final answer", "label", "choice", "prediction")
_RATIONALE_FIELDS = ("rationale", "reasoning", "explanation", "reason", "thoughts", "thought", "analysis")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a teacher's words held. A part that could not be read is None, never blank."""

    rationale: str | None
    label: str | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer that could be read: its value, and where the sentence with it begins and ends."""

    label: str
    start: int
    end: int


def parse(raw: str, task: Task, example: Example) -> Parsed:
    """The teacher's reasoning and the answer that it gave in so many words. Never raises, never guesses.

    The answer stands after the task's marker or another common one ("Final answer:", a LaTeX box, a JSON field). Of
    several the last counts, up to where the teacher ran on into a question of its own: it may have changed its mind.
    The rationale is what stands before, or what follows where the answer comes first; without any sentence that gives
    an answer, thoughts and code fences.
    """
    text = plain(raw)[:LONGEST_REPLY]
    if (parsed := _from_json(text, task, example)) is not None:
        return parsed
    seen = same_length(text)
    marks = list(islice(_markers(task.marker, task.nouns).finditer(seen), MOST_MARKERS))
    answers = [answer for mark in marks if (answer := _read(seen, mark, task, example)) is not None]
    end = _stop(seen, answers[0].start if answers else len(seen), task, example)
    answers = [answer for answer in answers if answer.start < end]
    if answers:
        return Parsed(_around(text[:end], answers), answers[-1].label)
    marks = [mark for mark in marks if mark.start() < end]
    if marks:
        return Parsed(_rationale(text[: marks[0].start()]), None)
    return Parsed(None, _bare(seen[:end], task, example))  # where the reasoning ended, nothing says


def _from_json(text: str, task: Task, example: Example) -> Parsed | None:
    """The parts of a JSON object that has a field for the answer; None where the reply is no such thing."""
    found = json_object(text)
    if found is None:
        return None
    fields = {name.casefold(): value for name, value in found[0].items()}
    answer = next((fields[name] for name in _ANSWER_FIELDS if name in fields), None)
    if not isinstance(answer, str | int | float) or isinstance(answer, bool):
        return None
    rationale = next((fields[name] for name in _RATIONALE_FIELDS if isinstance(fields.get(name), str)), found[1])
    words = unwrapped(same_length(str(answer)[:LONGEST_ANSWER]))
    marked = _markers(task.marker, task.nouns).search(same_length(rationale))
    inner = parse(rationale, task, example).rationale if marked else _rationale(rationale)
    return Parsed(inner, task.read_answer(words, example))


def _read(text: str, mark: re.Match[str], task: Task, example: Example) -> _Answer | None:
    words = text[mark.end() : mark.end() + LONGEST_ANSWER]
    label = task.read_answer(unwrapped(words), example)
    if label is None:
        return None
    first = mark.end() + len(words) - len(words.lstrip())
    ends = [end.end() for end in islice(_SENTENCE_END.finditer(text, first, first + LONGEST_ANSWER), 2)]
    ends += [len(text)] * (2 - len(ends))
    if _LETTER.fullmatch(text, first, ends[0]) and task.read_answer(unwrapped(text[ends[0] : ends[1]]), example):
        return _Answer(label, mark.start(), ends[1])
    return _Answer(label, mark.start(), ends[0])


def _stop(text: str, answered: int, task: Task, example: Example) -> int:
    """Where the teacher began a question of its own. Its task's question, told again before an answer, is none."""
    for stop in _stops(task.stop).finditer(text):
        if stop.start() > answered or not _retold(text[stop.end() :][: 2 * LONGEST_ANSWER], example):
            return stop.start()
    return len(text)


def _retold(text: str, example: Example) -> bool:
    questions = [normalise(segment.partition("\n")[0]) for segment in example.segments]
    told = normalise(text)
    return all(len(question) >= _SHORTEST_QUESTION and question in told for question in questions)


def _around(text: str, answers: list[_Answer]) -> str | None:
    """The reasoning before the last answer, without the earlier ones; after it only where nothing stands before."""
    pieces, place = [], 0
    for answer in answers:
        pieces.append(text[place : answer.start].lstrip(" "))
        place = max(place, answer.end)
    return _rationale("".join(pieces)) or _rationale(text[place:])


def _rationale(text: str) -> str | None:
    """The text without its heading and without a last line of signs alone; half a surrogate pair becomes `?`."""
    heading = _HEADING.match(text.lstrip())
    text = text.lstrip()[heading.end() :] if heading else text
    lines = text.strip().split("\n")
    while lines and not lines[-1].strip(" \t*_#>-=`$"):
        lines.pop()
    return "\n".join(lines).strip().encode(errors="replace").decode() or None


def _bare(text: str, task: Task, example: Example) -> str | None:
    """The answer where the whole reply is one of the example's choices and nothing else."""
    words = text.strip()
    longest = max(map(len, example.choices), default=0) + _LONGEST_SIGNS
    if not example.choices or "\n" in words or len(words) > longest:
        return None
    return task.read_answer(unwrapped(words), example)


@cache
def _markers(marker: str, nouns: tuple[str, ...]) -> re.Pattern[str]:
    """The task's own marker anywhere, others only where they open a sentence or a line; several in a row are one."""
    own = r"\s{1,9}".join(re.escape(word) for word in marker.split())
    noun = rf"{_KIND}(?:{'|'.join(('answer', *nouns))})"
    is_ = r"(?:\s?[:=]|\s{1,3}is\b:?)"
    line = rf"^{_SIGNS}(?:\d{{1,2}}[.)]\s)?{_SIGNS}{_LEAD}?{_ARTICLE}?{noun}[*_]{{0,3}}(?:{is_}|[ \t]{{0,3}}$)"
    inside = rf"(?<!\w)(?:{_LEAD}{_ARTICLE}?|{_ARTICLE}){noun}{is_}|(?<=[.!?]\s)[*_]{{0,3}}{noun}[*_]{{0,3}}\s?:"
    one = rf"(?:{line}|(?<!\w){_LEAD}?{own}(?:\s?:)?|{inside})[*_]{{0,3}}"
    return re.compile(rf"{one}(?:\s{{0,4}}{one}){{0,2}}|{_BOXED}", re.IGNORECASE | re.MULTILINE)


@cache
def _stops(stop: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(stop)}|{_STOPS}", re.MULTILINE)
