"""A check that a teacher's answers and rationales belong to their rows, by comparison with shuffled rows.

Rationales matched to rows by position are silently wrong from the first row that is missing on one side. In rows joined
at random, an answer is right as often as another row's answer, and a rationale has as many of its question's words and
numbers as of another question's.
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

MIN_ROWS = 20
_MAX_ROWS = 1000  # rows compared
_SHUFFLES = 3
_SHIFTS = (1, -1, 2, -2, 3, -3)  # rows by which a join by position is most often off
# Real rationales lie 1.7 to 3.2 standard deviations nearer to their own question than to another row's (SVAMP, CQA,
# e-SNLI, ANLI, ASDiv, StrategyQA); of rows joined at random 0 to 0.2, more where they are sorted by content.
_MIN_DEVIATIONS = 0.25
_SURE = 3.0  # standard errors
_WORD = re.compile(r"\d+|[^\W\d_]+")
_STEM = 5  # characters of a word that are compared, so that "beavers" is "beaver"
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def teacher_mismatch(examples: Sequence[Example], task: Task) -> str | None:
    """Return the reason why the teacher is most likely joined to the wrong rows; None where there is no sign of it.

    Signs are an accuracy not above chance (the agreement of shuffled rows, or one of the choices), and rationales
    that share no more with their own question than with another row's, or less than with a neighbour's.
    """
    accuracy, (fits, words) = _accuracy_sign(examples, task), _word_sign(examples)
    if accuracy and fits:
        words = "yet its rationales fit their questions, so compare how its answers and the labels are written"
    elif not words:  # in a join that lost a row on the way only the end is wrong
        words = _word_sign(examples[-(len(examples) // 4) :])[1]
        words = f"of the last quarter, {words}" if words else None
    return "; ".join(filter(None, (accuracy, words))) or None


def mismatch_warning(split: str, reason: str) -> str:
    """Return the warning about a split whose teacher is most likely joined to the wrong rows."""
    return f"the teacher of the {split} split is most likely joined to the wrong rows: {reason}"


def _accuracy_sign(examples: Sequence[Example], task: Task) -> str | None:
    rng = random.Random("accuracy")
    answered = [row for row in examples if row.teacher_label is not None and row.label]
    answered = rng.sample(answered, min(len(answered), _MAX_ROWS))
    n = len(answered)
    majority = max(Counter(row.label for row in answered).values(), default=0)
    if n < MIN_ROWS or n - majority < MIN_ROWS // 2:  # with one label, all rows say the same
        return None
    accuracy = fmean(is_right(task, str(row.teacher_label), row) for row in answered)
    pairs = [pair for _ in range(_SHUFFLES) for pair in _cyclic_pairs(rng.sample(range(n), n))]
    shuffled = fmean(is_right(task, str(answered[i].teacher_label), answered[j]) for i, j in pairs)
    chance = max(shuffled, fmean(1 / len(row.choices) if row.choices else 0.0 for row in answered))
    error = 2 * sqrt(chance * (1 - chance) / n)
    # not above chance, in so many rows that a teacher a quarter of the way to perfection would stand out
    if accuracy > chance + error or accuracy + error > chance + (1 - chance) / 4:
        return None
    return f"its accuracy is {accuracy:.3f}, and by chance it would be {chance:.3f} (n = {n})"


def _word_sign(examples: Sequence[Example]) -> tuple[bool, str | None]:
    """Return whether the rationales clearly fit their questions, and the sign of a mismatch if they clearly do not."""
    rng = random.Random("words")
    explained = {index for index, row in enumerate(examples) if row.rationale is not None}
    indices = sorted(rng.sample(sorted(explained), min(len(explained), _MAX_ROWS)))
    n = len(indices)
    # a text for each label says nothing about its row
    if n < MIN_ROWS or 2 * len({examples[index].rationale for index in indices}) < n:
        return False, None

    @cache
    def question_words(index: int) -> frozenset[str]:
        return frozenset(_words(" ".join((*examples[index].segments, *examples[index].choices))))

    @cache
    def rationale_words(index: int) -> frozenset[str]:
        return frozenset(_words(str(examples[index].rationale)))

    frequency = Counter(word for index in indices for word in question_words(index))
    weight = {word: log(n / count) for word, count in frequency.items()}  # 0 for a word in all questions

    def similarity(question: int, rationale: int) -> float:
        return sum(weight.get(word, 0.0) for word in question_words(question) & rationale_words(rationale))

    def z_score(pairs: Sequence[tuple[int, int]]) -> float | None:
        """Return by how many standard errors rationales are nearer to their own question than the pairs' others."""
        gaps = [
            similarity(i, i) - similarity(i, j)
            for i, j in pairs
            if question_words(i) != question_words(j) and rationale_words(i) != rationale_words(j)
        ]
        if 2 * len(gaps) < len(pairs) or len(gaps) < MIN_ROWS:
            return None
        mean, deviation = fmean(gaps), stdev(gaps)
        return mean / deviation * sqrt(len(gaps)) if deviation else copysign(inf, mean) if mean else 0.0

    shuffled = z_score(_cyclic_pairs(rng.sample(indices, n)))
    if shuffled is None:  # rationales that are mostly alike fit any row
        return False, None
    if shuffled < max(_SURE, _MIN_DEVIATIONS * sqrt(n)):
        return False, f"its rationales share no more words or numbers with their questions than with others' (n = {n})"
    shifts = {shift: z_score([(i, i + shift) for i in indices if i + shift in explained]) for shift in _SHIFTS}
    shift, z = min(shifts.items(), key=lambda item: item[1] or 0.0)
    if (z or 0.0) > -_SURE:
        return True, None
    rows = f"{abs(shift)} row{'s' if abs(shift) > 1 else ''} {'further down' if shift < 0 else 'further up'}"
    return False, f"its rationales fit the questions {rows} better than their own (n = {n})"


def _words(text: str) -> Iterator[str]:
    """Yield numbers, stems of words, and pairs of characters in scripts without spaces."""
    for word in _WORD.findall(text.casefold()):
        if _UNSPACED.search(word):
            yield from (word[i : i + 2] for i in range(max(1, len(word) - 1)))
        else:
            yield word if word.isdigit() else word[:_STEM]


def _cyclic_pairs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Return each index with the next, and the last with the first."""
    return list(zip(indices, [*indices[1:], *indices[:1]], strict=True))
