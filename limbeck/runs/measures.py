"""What files of predictions are worth: calibration of one, comparison of two, a judge's view of their rationales."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import LimbeckError
from limbeck.metrics.answered import (
    Answered,
    by_id,
    choices,
    confidences,
    known,
    of_choices,
    read_answers,
    same_answer,
)
from limbeck.metrics.calibration import calibrate
from limbeck.metrics.labels import LabelledAnswer, by_label
from limbeck.metrics.selective import selective
from limbeck.metrics.temperature import Temperature, fit_temperature
from limbeck.stats.significance import compare
from limbeck.tasks import Split


def calibrate_file(path: Path, validation: Path | None = None, seed: int = 0) -> dict[str, Any]:
    """Return calibration and selective prediction of the answers in a file of predictions.

    Args:
        path: a table with `label` and `prediction`, or `correct`, and `confidence`; other tools' names will do.
        validation: likewise: the temperature is fitted on it; None: on the file itself.
        seed: of the bootstrap.

    Returns:
        What `Calibration.to_dict` has, of the answers whose confidence is known, with `selective` as
        `Selective.to_dict`; `without_confidence`, answers left out, and `unanswered`, questions that count with a
        confidence of 0; `n_choices`, the answers that what is over all choices was measured on; `by_label`, of all.

    Raises:
        LimbeckError: a column is missing, a row cannot be read, or no confidence is known; names file and line.
    """
    answers = read_answers(path, needs=("confidence",))
    graded = known(answers)
    among = of_choices(graded)
    whole = bool(among) and len(among) == len(graded)
    fitted = _temperature(known(read_answers(validation)), whole) if validation else None
    confidence, correct = confidences(graded), _correct(graded)
    table, labels = choices(among) if whole else (None, None)
    found = calibrate(confidence, correct, table, labels, seed=seed, validation=fitted).to_dict()
    if among and not whole:
        table, labels = choices(among)
        part = calibrate(confidences(among), _correct(among), table, labels, seed=seed).to_dict()
        found |= {key: value for key, value in part.items() if key.startswith(_OF_CHOICES)}
    labelled = [
        LabelledAnswer(a.label, a.prediction, a.correct) for a in answers if a.label and a.prediction is not None
    ]
    return {
        **found,
        "n_choices": len(among),
        "without_confidence": len(answers) - len(graded),
        "unanswered": sum(one.prediction is not None and not one.prediction.strip() for one in answers),
        "by_label": by_label(labelled) if len(labelled) == len(answers) else None,
        "selective": selective(confidence, correct, seed=seed).to_dict(),
    }


_OF_CHOICES = ("brier_choices", "nll_choices", "classwise_ece")


def _temperature(answers: Sequence[Answered], over_choices: bool) -> Temperature:
    """Return what fits validation answers best: all choices' probabilities, or the answer's own confidence."""
    if not over_choices:
        return fit_temperature(confidences(answers), _correct(answers))
    among = of_choices(answers)
    if not among:
        return Temperature(None, None, len(answers), "no validation answer has its choices' probabilities")
    return fit_temperature(confidences(among), _correct(among), *choices(among))


def compare_runs(
    a: Sequence[Path], b: Sequence[Path], split: Split = "test", shared: bool = False, seed: int = 0
) -> dict[str, Any]:
    """The difference of accuracies, A's less B's, of runs on the same examples.

    Args:
        a, b: each one run (its folder, or a file of predictions), or the runs of several seeds.
        split: whose predictions of the folders are compared.
        shared: compare on the examples that all have, where they have not the same.
        seed: of the bootstrap.

    Returns:
        What `Comparison` has, and `left_out`, examples that not all have.

    Raises:
        LimbeckError: predictions that are not there or have no ids, or stand twice on a side; other examples, or other
            labels for them.
    """
    files = [[_predictions(path, split) for path in side] for side in (a, b)]
    for side in files:
        _refuse_twice(side)
    one, other = ([by_id(path) for path in side] for side in files)
    return compare_answers(one, other, f"{files[0][0]} and {files[-1][-1]}", shared, seed)


def compare_answers(
    a: Sequence[Mapping[str, Answered]], b: Sequence[Mapping[str, Answered]], where: str, shared: bool, seed: int = 0
) -> dict[str, Any]:
    """As `compare_runs`, of answers by their ids, which stand at `where`."""
    every = [*a, *b]
    ids = [id for id in every[0] if all(id in answers for answers in every)]
    left_out = len({id for answers in every for id in answers}) - len(ids)
    if left_out and not shared:
        raise LimbeckError(
            f"{where}: {left_out} examples are not in all of the runs, {len(ids)} are; "
            "give --shared to compare on those"
        )
    for id in ids:
        labels = {answers[id].label for answers in every} - {""}
        if not all(same_answer(label, other) for label, other in pairwise(sorted(labels))):
            raise LimbeckError(
                f"{every[-1][id].where}: example {id!r:.60} has other labels in other runs: {labels!r:.100}"
            )
    one, other = (np.array([[answers[id].correct for id in ids] for answers in side], dtype=bool) for side in (a, b))
    found = compare(one, other)
    return {**asdict(found), "left_out": left_out}


def _predictions(path: Path, split: Split) -> Path:
    return path / "predictions" / f"{split}.jsonl" if path.is_dir() else path


def _refuse_twice(files: Sequence[Path]) -> None:
    """One run is not two seeds, whose spread would then seem to be nothing."""
    seen = set()
    for path in files:
        if (real := path.resolve()) in seen:
            raise LimbeckError(f"{path}: stands there twice; name each seed's run once")
        seen.add(real)


def _correct(answers: Sequence[Answered]) -> "np.ndarray":
    return np.array([one.correct for one in answers], dtype=bool)
