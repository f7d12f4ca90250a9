"""A check that a teacher's answers and rationales belong to their rows: they are compared with a shuffle of the rows.

Rationales matched to rows by position are silently wrong from the first row that is missing on one side. Of rows joined
by chance an answer is right as often as another row's answer, and a rationale has as much of its question's words and
numbers as of another row's question.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from math import copysign, inf, log, sqrt
from statistics import fmean, stdev

from limbeck.schema import Example
from limbeck.tasks import Task, is_right

LEAST = 20  # rows; of fewer nothing is said
_MOST = 1000  # rows looked at
_SHUFFLES = 3
_SHIFTS = (1, -1, 2, -2, 3, -3)  # of rows, by one of which a join by position is most often out
# Real rationales lie 1.7 to 3.2 standard deviations nearer to their own question than to another row's (SVAMP, CQA,
# e-SNLI, ANLI, ASDiv, StrategyQA); of rows joined by chance 0 to 0.2, more where they are sorted by content.
_APART = 0.25  # standard deviations
_SURE = 3.0  # standard errors
_WORD = re.compile(r"\d+|[^\W\d_]+")
_STEM = 5  # characters of a word that are compared, so that "beavers" is "beaver"
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def doubt(examples: Sequence[Example], task: Task) -> str | None:
    """Return why the teacher of these rows is most likely joined to the wrong ones; None where nothing speaks for it.

    The grounds are an accuracy that is not above chance (the agreement of shuffled rows, or one of the choices), and
    rationales that share no more with their own question than with another row's, or less than with a neighbour's.
    """
    accuracy, (fits, words) = _by_accuracy(examples, task), _by_words(examples)
    if accuracy and fits:
        words = "yet its rationales fit their questions, so compare how its answers and the labels are written"
    elif not words:  # of a join that lost a row on the way the end alone is wrong
        words = _by_words(examples[-(len(examples) // 4) :])[1]
        words = f"of the last quarter, {words}" if words else None
    return "; ".join(ground for ground in (accuracy, words) if ground) or None


def doubtful(split: str, reason: str) -> str:
    """Return what is said of a split whose teacher is in doubt."""
    return f"the teacher of the {split} split is most likely joined to the wrong rows: {reason}"


def _by_accuracy(examples: Sequence[Example], task: Task) -> str | None:
    rng = random.Random("accuracy")
    answered = [row for row in examples if row.teacher_label is not None and row.label]
    answered = rng.sample(answered, min(len(answered), _MOST))
    n = len(answered)
    commonest = max(Counter(row.label for row in answered).values(), default=0)
    if n < LEAST or n - commonest < LEAST // 2:  # of one label all rows say the same
        return None
    accuracy = fmean(is_right(task, str(row.teacher_label), row) for row in answered)
    pairs = [pair for _ in range(_SHUFFLES) for pair in _pairs(rng.sample(range(n), n))]
    shuffled = fmean(is_right(task, str(answered[i].teacher_label), answered[j]) for i, j in pairs)
    chance = max(shuffled, fmean(1 / len(row.choices) if row.choices else 0.0 for row in answered))
    error = 2 * sqrt(chance * (1 - chance) / n)
    # no more than chance would do, and so many rows that a teacher a quarter of the way to perfection would stand out
    if accuracy > chance + error or accuracy + error > chance + (1 - chance) / 4:
        return None
    return f"its accuracy is {accuracy:.3f}, and by chance it would be {chance:.3f} (n = {n})"


def _by_words(examples: Sequence[Example]) -> tuple[bool, str | None]:
    """Return whether the rationales clearly fit their questions, and the ground for doubt if they clearly do not."""
    rng = random.Random("words")
    reasoned = {place for place, row in enumerate(examples) if row.rationale is not None}
    places = sorted(rng.sample(sorted(reasoned), min(len(reasoned), _MOST)))
    n = len(places)
    if n < LEAST:
        return False, None
    if 2 * len({examples[place].rationale for place in places}) < n:  # a text for each label says nothing of its row
        return False, None

    @cache
    def asked(place: int) -> frozenset[str]:
        return frozenset(_words(" ".join((*examples[place].segments, *examples[place].choices))))

    @cache
    def reasons(place: int) -> frozenset[str]:
        return frozenset(_words(str(examples[place].rationale)))

    frequency = Counter(word for place in places for word in asked(place))
    weight = {word: log(n / count) for word, count in frequency.items()}  # 0 of a word that all questions have

    def shared(place: int, other: int) -> float:
        """Return how much of the question at `place` is in the rationale at `other`."""
        return sum(weight.get(word, 0.0) for word in asked(place) & reasons(other))

    def nearer(pairs: Sequence[tuple[int, int]]) -> float | None:
        """Return by how many standard errors rationales are nearer to their own questions than the pairs' others."""
        gaps = [
            shared(place, place) - shared(place, other)
            for place, other in pairs
            if asked(place) != asked(other) and reasons(place) != reasons(other)
        ]
        return _z(gaps) if 2 * len(gaps) >= len(pairs) and len(gaps) >= LEAST else None

    shuffled = nearer(_pairs(rng.sample(places, n)))
    if shuffled is None:  # rationales that are mostly alike fit any row
        return False, None
    if shuffled < max(_SURE, _APART * sqrt(n)):
        return False, f"its rationales share no more words or numbers with their questions than with others' (n = {n})"
    by_shift = {shift: nearer([(p, p + shift) for p in places if p + shift in reasoned]) for shift in _SHIFTS}
    shift, apart = min(by_shift.items(), key=lambda item: item[1] or 0.0)
    if (apart or 0.0) > -_SURE:
        return True, None
    where = f"{abs(shift)} row{'s' if abs(shift) > 1 else ''} {'further down' if shift < 0 else 'further up'}"
    return False, f"its rationales fit the questions {where} better than their own (n = {n})"


def _words(text: str) -> Iterator[str]:
    """Yield numbers, the beginnings of words, and of writing without blanks every two signs."""
    for word in _WORD.findall(text.casefold()):
        if _UNSPACED.search(word):
            yield from (word[place : place + 2] for place in range(max(1, len(word) - 1)))
        else:
            yield word if word.isdigit() else word[:_STEM]


def _pairs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Return each place with the next, and the last with the first."""
    return list(zip(places, [*places[1:], *places[:1]], strict=True))


def _z(gaps: Sequence[float]) -> float:
    mean, spread = fmean(gaps), stdev(gaps)
    return mean / spread * sqrt(len(gaps)) if spread else copysign(inf, mean) if mean else 0.0
