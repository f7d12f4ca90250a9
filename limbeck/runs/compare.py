"""Files of predictions measured and compared: calibration of one, the differences of several."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

from limbeck.errors import DataError
from limbeck.metrics.calibration import OF_CHOICES, Temperature, calibrate, fit_temperature
from limbeck.metrics.graded import as_arrays, by_label, with_choices
from limbeck.metrics.predictions import predictions_by_id, read_predictions, same_answer
from limbeck.metrics.selective import selective
from limbeck.schema import Prediction
from limbeck.stats.significance import compare, holm
from limbeck.tasks import Split

Predictions = Mapping[str, Prediction]  # by the example's id
_OF_SIDES = ("seeds", "accuracy_a", "accuracy_b", "left_out")  # which the pages of several runs leave out


def calibrate_file(path: Path, validation: Path | None = None, *, seed: int = 0) -> dict[str, Any]:
    """Measure calibration and selective prediction of the answers in any file that `read_predictions` reads.

    The temperature is fitted on the file `validation`, or on the answers themselves. `seed` is that of the bootstrap.

    Returns what `calibrate` does for the answers with a confidence; `without_confidence`, answers left out;
    `unanswered`, questions that count with a confidence of 0; `n_choices`, the answers that metrics over choices were
    measured on; `by_label`, of all; `selective`, as `Selective`.
    """
    predictions = read_predictions(path, needs=("confidence",))
    measured = [prediction for prediction in predictions if prediction.confidence is not None]
    complete = with_choices(measured)
    over_choices = len(complete) == len(measured)
    temperature = _fit(validation, over_choices) if validation else None
    answers = as_arrays(measured, choices=over_choices)
    metrics = calibrate(answers, seed=seed, temperature=temperature)
    if complete and not over_choices:
        choice_metrics = calibrate(as_arrays(complete, choices=True), seed=seed)
        metrics |= {key: value for key, value in choice_metrics.items() if key.startswith(OF_CHOICES)}
    return {
        **metrics,
        "n_choices": len(complete),
        "without_confidence": len(predictions) - len(measured),
        "unanswered": sum(prediction.blank for prediction in predictions),
        "by_label": by_label(predictions),
        "selective": asdict(selective(answers.confidence, answers.correct, seed=seed)),
    }


def _fit(path: Path, over_choices: bool) -> Temperature:
    """Fit a temperature on validation answers: on all choices' probabilities, or on the answer's own confidence."""
    answers = [row for row in read_predictions(path, needs=("confidence",)) if row.confidence is not None]
    answers = with_choices(answers) if over_choices else answers
    if not answers:
        return Temperature(reason="no validation answer has its choices' probabilities")
    return fit_temperature(as_arrays(answers, choices=over_choices))


def compare_runs(
    a: Sequence[Path], b: Sequence[Path], *, split: Split = "test", shared: bool = False
) -> dict[str, Any]:
    """Compare the accuracies of runs on the same examples, A's less B's: as `Comparison`.

    Each side is a run (its folder, or a file of predictions), or the runs of several seeds. With `shared` they are
    compared on the examples that all runs have, and `left_out` counts the others.
    """
    sides = []
    for paths in (a, b):
        files = [path / "predictions" / f"{split}.jsonl" if path.is_dir() else path for path in paths]
        if len({file.resolve() for file in files}) < len(files):  # one run is not two seeds without any spread
            raise DataError(f"{', '.join(map(str, paths))}: a run is named twice; name each seed's run once")
        sides.append([predictions_by_id(file) for file in files])
    return _compare(*sides, shared=shared)


def _compare(a: Sequence[Predictions], b: Sequence[Predictions], *, shared: bool = False) -> dict[str, Any]:
    """Compare predictions as `compare_runs`."""
    runs = [*a, *b]
    ids = [id for id in runs[0] if all(id in run for run in runs)]
    left_out = len(set().union(*runs)) - len(ids)
    if left_out and not shared:
        raise DataError(f"{left_out} examples are not in all of the runs; `limbeck compare --shared` uses {len(ids)}")
    for id in ids:
        labels = {str(run[id].label) for run in runs if run[id].label}
        if not all(same_answer(label, min(labels)) for label in labels):
            raise DataError(f"example {id!r:.60} has other labels in other runs: {labels!r:.100}")
    correct = [[[bool(run[id].correct) for id in ids] for run in side] for side in (a, b)]
    return {**asdict(compare(*correct)), "left_out": left_out}


def differences(files: Mapping[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """Compare each run with every other; `files` are their predictions, by the runs' names.

    Returns for each run a list with an entry for each other: its name as `run`, and what `Comparison` has, with
    `difference` this run's accuracy less the other's, and `adjusted`, the p-value by Holm's method over all pairs; or a
    `reason` where they cannot be compared.
    """
    runs = {name: predictions_by_id(path) for name, path in files.items()}
    comparisons = {}
    for a, b in permutations(runs, 2):
        try:
            comparison = _compare([runs[a]], [runs[b]])
            comparisons[a, b] = {key: value for key, value in comparison.items() if key not in _OF_SIDES}
        except DataError as error:
            comparisons[a, b] = {"reason": str(error)}
    tested = [pair for pair in combinations(runs, 2) if "reason" not in comparisons[pair]]
    for (a, b), adjusted in zip(tested, holm([comparisons[pair]["p_value"] for pair in tested]), strict=True):
        comparisons[a, b]["adjusted"] = comparisons[b, a]["adjusted"] = adjusted
    return {a: [{"run": b, **comparisons[a, b]} for b in runs if b != a] for a in runs}
