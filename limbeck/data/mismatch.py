"""A check that a teacher's answers and rationales are joined to the right rows: a join by position may be off."""

import random
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from math import log, nan, sqrt

import numpy as np

from limbeck.data.examples import has, take
from limbeck.schema import Example
from limbeck.tasks import Task, is_right

_MIN_ROWS = 20
_MAX_ROWS = 1000  # rows compared
_SHUFFLES = 3
_SHIFTS = (1, -1, 2, -2)  # rows by which a join is most often off
# Real rationales lie 1.7 to 3.2 standard deviations nearer to their own question than to another (SVAMP, CQA, e-SNLI,
# ANLI, ASDiv, StrategyQA); joined at random 0 to 0.2, more in sorted rows.
_MIN_DEVIATIONS = 0.25
_MIN_Z = 3.0  # standard errors
# numbers, stems ("beavers" is "beaver"), and pairs of characters in scripts without spaces
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"\d+|(?=([{_UNSPACED}]{{2}}))[{_UNSPACED}]|([^\W\d_{_UNSPACED}]{{1,5}})[^\W\d_]*")


def teacher_mismatch(examples: Sequence[Example], task: Task) -> str | None:
    """Return a warning if the teacher is most likely joined to the wrong rows.

    Signs are an accuracy not above chance (the agreement of shuffled rows, or one of the choices), and rationales
    that share no more with their own question than with another row's, or less than with a neighbour's.
    """
    words = _word_sign(examples)
    end = None if words else _word_sign(examples[-(len(examples) // 4) :])  # a row may be lost on the way
    reasons = "; ".join(filter(None, (_accuracy_sign(examples, task), words, end and f"of the last quarter, {end}")))
    return f"the teacher is most likely joined to the wrong rows: {reasons}" if reasons else None


def _accuracy_sign(examples: Sequence[Example], task: Task) -> str | None:
    rng = random.Random("accuracy")
    rows = np.flatnonzero(has(examples, "teacher_label") & has(examples, "label"))
    n = min(len(rows), _MAX_ROWS)
    answered = take(examples, rows[rng.sample(range(len(rows)), n)])
    majority = max(Counter(row.label for row in answered).values(), default=0)
    if n < _MIN_ROWS or n - majority < _MIN_ROWS // 2:  # with one label, all rows say the same
        return None
    accuracy = np.mean([is_right(task, str(row.teacher_label), row) for row in answered])
    answered = list(answered)
    orders = [rng.sample(answered, n) for _ in range(_SHUFFLES)]
    pairs = [pair for order in orders for pair in zip(order, order[1:] + order[:1], strict=True)]
    shuffled = np.mean([is_right(task, str(row.teacher_label), neighbour) for row, neighbour in pairs])
    chance = max(shuffled, np.mean([1 / len(row.choices) if row.choices else 0.0 for row in answered]))
    error = 2 * sqrt(chance * (1 - chance) / n)
    # where a teacher a quarter of the way to perfection would stand out
    if accuracy > chance + error or accuracy + error > chance + (1 - chance) / 4:
        return None
    return f"its accuracy is {accuracy:.3f}, and by chance it would be {chance:.3f} (n = {n})"


def _word_sign(examples: Sequence[Example]) -> str | None:
    explained = has(examples, "rationale")
    rows = np.flatnonzero(explained)
    n = min(len(rows), _MAX_ROWS)
    indices = rows[random.Random("words").sample(range(len(rows)), n)].tolist()
    # a text for each label says nothing about its row
    if n < _MIN_ROWS or 2 * len({examples[index].rationale for index in indices}) < n:
        return None

    @cache
    def words(index: int) -> list[frozenset[str]]:
        row = examples[index]
        texts = (" ".join((*row.segments, *row.choices)), str(row.rationale))
        return [frozenset(word[1] or word[2] or word[0] for word in _WORD.finditer(text.casefold())) for text in texts]

    frequency = Counter(word for index in indices for word in words(index)[0])
    weight = {word: log(n / count) for word, count in frequency.items()}  # 0 for a word in all questions

    def z_score(pairs: Sequence[tuple[int, int]]) -> float:
        """Return by how many standard errors rationales are nearer to their own question than to the pair's second."""
        gaps = []
        for (question, rationale), (second_question, second_rationale) in ((words(i), words(j)) for i, j in pairs):
            if question != second_question and rationale != second_rationale:
                texts = (rationale, second_rationale)
                first, second = (sum(weight[word] for word in sorted(question & text)) for text in texts)
                gaps.append(first - second)
        if 2 * len(gaps) < len(pairs) or len(gaps) < _MIN_ROWS:  # rationales that are mostly alike fit any row
            return nan
        return sqrt(len(gaps)) * float(np.mean(gaps)) / max(float(np.std(gaps, ddof=1)), 1e-9)

    if z_score(list(zip(indices, indices[1:] + indices[:1], strict=True))) < max(_MIN_Z, _MIN_DEVIATIONS * sqrt(n)):
        return f"its rationales share no more words or numbers with their questions than with others' (n = {n})"
    for shift in _SHIFTS:  # in sorted rows, a shifted rationale is nearer than a random one
        inside = [index for index in indices if 0 <= index + shift < len(explained)]
        if z_score([(index, index + shift) for index in inside if explained[index + shift]]) < -_MIN_Z:
            return f"its rationales fit the questions {shift:+} row away better than their own (n = {n})"
    return None
