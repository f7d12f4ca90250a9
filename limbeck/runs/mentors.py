"""Training examples as another student sees them: what their rationales tell it, and its probabilities of choices."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from limbeck.data import View, source, variants
from limbeck.data.examples import digest
from limbeck.data.load import RationaleSettings
from limbeck.distributed import on_main_process
from limbeck.errors import RecipeError
from limbeck.files import read_json, sha256, write_json
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
    each question that tells it most (after Yan et al. 2025, arXiv 2509.23574), or without a reference the first. Raises
    LimbeckError where the reference is no finished run of `mi-bound`.
    """
    rationales = [row for example in examples for row in variants(example, View.EXPLAIN) if row.rationale]
    gains = -np.arange(len(rationales))  # the first of a question most
    if settings.reference is not None:
        reference = open_run(settings.reference)
        if not reference.recipe.objective.build().reads_rationales:
            reason = f"{reference.path} is no run of mi-bound, whose student reads rationales"
            raise RecipeError(reason, field="data.rationales.reference")

        def gains_of(student: Student) -> list[float]:
            title = "usable information of rationales"
            return pointwise(student, rationales, batch_size=batch_size, title=title).tolist()

        gains = np.array(_cached(reference, "usable", rationales, gains_of))
    least_first = np.argsort(gains, kind="stable")[round(settings.drop * len(rationales)) :].tolist()
    by_question: dict[str, list[str]] = defaultdict(list)
    for number in least_first if settings.per_question == "best" else sorted(least_first):
        by_question[rationales[number].id].append(str(rationales[number].rationale))
    rows, total = [], 0
    for example in examples:
        texts = by_question[example.id][-1 if settings.per_question == "best" else 0 :]
        total += len(texts)
        several = tuple(texts) if len(texts) > 1 else ()
        rows.append(replace(example, rationale=next(iter(texts), None), rationales=several))
    return rows, len(rationales) - total


def soft_labels(examples: Sequence[Example], mentor: Path | None, task: Task, *, batch_size: int) -> Sequence[Example]:
    """Return the examples with the probabilities of a mentor, a student of any size, in place of votes.

    Raises LimbeckError where it is no trained run whose student answers at once, or an example has no choices.
    """
    if mentor is None:
        return examples
    run = open_run(mentor)
    if run.recipe.objective.build().answer_view is not View.PREDICT:
        reason = (
            f"a student of {run.recipe.objective.name} does not answer at once; train a mentor with finetune or dss"
        )
        raise RecipeError(reason, field="data.mentor")
    if not all(example.choices or task.choices for example in examples):
        raise RecipeError("soft labels need questions with choices", field="data.mentor")

    def probabilities(student: Student) -> list[list[float]]:
        choices = choices_of(student, examples, task, answer_view=View.PREDICT)
        sources = [source(example, View.PREDICT) for example in examples]
        scores = student.score(sources, choices, batch_size=batch_size, title="probabilities of choices")
        return [softmax([math.fsum(log_p) for log_p in score.answers]).tolist() for score in scores]

    rows = []
    shares = _cached(run, "probabilities", examples, probabilities)
    for example, values in zip(examples, shares, strict=True):
        rows.append(replace(example, votes=tuple(zip(example.choices or task.choices, values, strict=True))))
    return rows


def _cached(run: Run, name: str, examples: Sequence[Example], compute: Callable[[Student], list[Any]]) -> list[Any]:
    """Return what a run's student computes about the examples, which its folder keeps."""
    weights = "".join(sha256(path) for path in sorted(run.model.glob("*.safetensors")))
    key = hashlib.sha256(f"{weights} {digest(examples)}".encode()).hexdigest()
    path = run.path / name / f"{key}.json"
    if not on_main_process(path.exists):
        results = compute(open_student(run.model)[0])
        on_main_process(lambda: write_json(path, results))
    return list(read_json(path))
