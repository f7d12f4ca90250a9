"""The choice among the rationales of training questions, by what they tell a reference student."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from limbeck.data import View, variants
from limbeck.data.load import RationaleSettings, digest
from limbeck.errors import RecipeError
from limbeck.files import read_json, write_json
from limbeck.metrics.usable import pointwise
from limbeck.models.loading import open_student
from limbeck.runs.run import Run, open_run
from limbeck.schema import Example
from limbeck.stats.intervals import Floats


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
    gains = _gains(shown, reference, batch_size=batch_size)
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


def _gains(shown: Sequence[Example], run: Run, *, batch_size: int) -> Floats:
    """Return the usable information of each rationale, `[N]`, which the reference's folder keeps."""
    if View.GIVEN_RATIONALE not in run.recipe.objective.build().views or not run.finished:
        reason = f"{run.path} is no finished run of mi-bound, whose student reads rationales"
        raise RecipeError(reason, field="data.rationales.reference")
    path = run.path / "usable" / f"{digest(shown)}.json"
    if not path.exists():
        student, _ = open_student(run.model)
        gains = pointwise(student, shown, batch_size=batch_size, title="usable information of rationales")
        write_json(path, {"nats": gains.tolist()})
    return np.array(read_json(path)["nats"])
