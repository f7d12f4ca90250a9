"""Training examples as another student sees them: what their rationales tell it, and its probabilities of choices."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from limbeck.data import View, source, variants
from limbeck.data.load import RationaleSettings, digest
from limbeck.errors import RecipeError
from limbeck.files import read_json, write_json
from limbeck.metrics.predict import choices_of
from limbeck.metrics.usable import pointwise
from limbeck.models.loading import open_student
from limbeck.models.student import Student
from limbeck.runs.run import Run, open_run
from limbeck.schema import Example
from limbeck.tasks import Task


def select_rationales(
    examples: Sequence[Example], settings: RationaleSettings, *, batch_size: int
) -> tuple[list[Example], int]:
    """Return the examples with the chosen rationales, and the number of those left out.

    Of all rationales the share `drop` that tells the reference least is left out, then with `best` all but the one of
    each question that tells it most (after Yan et al. 2025, arXiv 2509.23574). Raises LimbeckError where the reference
    is no finished run of `mi-bound`.
    """
    if settings.reference is None:
        return list(examples), 0
    reference = open_run(settings.reference)
    shown = [row for example in examples for row in variants(example, View.EXPLAIN) if row.rationale]
    if View.GIVEN_RATIONALE not in reference.recipe.objective.build().views:
        reason = f"{reference.path} is no run of mi-bound, whose student reads rationales"
        raise RecipeError(reason, field="data.rationales.reference")

    def gains_of(student: Student) -> list[float]:
        return pointwise(student, shown, batch_size=batch_size, title="usable information of rationales").tolist()

    gains = _kept(reference, "usable", shown, gains_of)
    order = np.argsort(gains, kind="stable")[round(settings.drop * len(shown)) :]  # the least first
    chosen: dict[str, list[int]] = defaultdict(list)
    for number in order.tolist() if settings.per_question == "best" else sorted(order.tolist()):
        chosen[shown[number].id].append(number)
    rows, total = [], 0
    for example in examples:
        numbers = chosen[example.id][-1 if settings.per_question == "best" else 0 :]
        rationales = tuple(str(shown[number].rationale) for number in numbers)
        total += len(rationales)
        several = rationales if len(rationales) > 1 else ()
        rows.append(replace(example, rationale=next(iter(rationales), None), rationales=several))
    return rows, len(shown) - total


def soft_labels(examples: Sequence[Example], mentor: Path | None, task: Task, *, batch_size: int) -> list[Example]:
    """Return the examples with the probabilities of a mentor, a student of any size, in place of votes.

    Raises LimbeckError where it is no finished run, or an example has no choices.
    """
    if mentor is None:
        return list(examples)

    def probabilities(student: Student) -> list[list[float]]:
        choices = choices_of(student, examples, task, answer_view=View.PREDICT)
        sources = [source(example, View.PREDICT) for example in examples]
        scores = student.score(sources, choices, batch_size=batch_size, title="probabilities of choices")
        return [softmax([math.fsum(log_p) for log_p in score.answers]).tolist() for score in scores]

    rows = []
    shares = _kept(open_run(mentor), "probabilities", examples, probabilities)
    for example, values in zip(examples, shares, strict=True):
        rows.append(replace(example, votes=tuple(zip(example.choices or task.choices, values, strict=True))))
    return rows


def _kept(run: Run, name: str, examples: Sequence[Example], compute: Callable[[Student], list[Any]]) -> list[Any]:
    """Return what a run's student computes about the examples, which its folder keeps."""
    path = run.path / name / f"{digest(examples)}.json"
    if not path.exists():
        write_json(path, compute(open_student(run.model)[0]))
    return list(read_json(path))
