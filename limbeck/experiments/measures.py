"""What files of predictions are worth: calibration of one, comparison of two, a judge's view of their rationales."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import LimbeckError
from limbeck.evaluation.answered import Answered, by_id, choices, confidences, read_answers
from limbeck.evaluation.calibration import calibrate
from limbeck.evaluation.selective import selective
from limbeck.evaluation.significance import compare
from limbeck.evaluation.temperature import Temperature, fit_temperature
from limbeck.tasks import Split


def calibrate_file(path: Path, validation: Path | None = None, seed: int = 0) -> dict[str, Any]:
    """Calibration and selective prediction of the answers in a file of predictions.

    Args:
        path: JSON lines with `label`, `prediction`, `confidence`.
        validation: likewise: the temperature is fitted on it; None: on the file itself.
        seed: of the bootstrap.

    Returns:
        What `Calibration.to_dict` has, with `selective` as `Selective.to_dict`.

    Raises:
        LimbeckError: a row that cannot be read or lacks its confidence; names file and line.
    """
    answers = read_answers(path)
    confidence, correct = confidences(answers), _correct(answers)
    probabilities, labels = choices(answers) or (None, None)
    fitted = _temperature(read_answers(validation), probabilities is not None) if validation else None
    found = calibrate(confidence, correct, probabilities, labels, seed=seed, validation=fitted)
    return {**found.to_dict(), "selective": selective(confidence, correct, seed=seed).to_dict()}


def _temperature(answers: Sequence[Answered], of_choices: bool) -> Temperature:
    """Fitted on validation answers: of all choices' probabilities, or of the answer's own confidence."""
    among = choices(answers) if of_choices else None
    if of_choices and among is None:
        return Temperature(None, None, len(answers), "not all validation answers have their choices' probabilities")
    return fit_temperature(confidences(answers), _correct(answers), *(among or (None, None)))


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
        labels = {answers[id].label for answers in every}
        if len(labels) > 1:
            raise LimbeckError(
                f"{every[-1][id].where}: example {id!r:.60} has other labels in other runs: {labels!r:.100}"
            )
    one, other = (np.array([[answers[id].correct for id in ids] for answers in side], dtype=bool) for side in (a, b))
    found = compare(one, other, seed=seed)
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
