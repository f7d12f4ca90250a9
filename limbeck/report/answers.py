"""Answers: what the students of a run group said to the examples that all of them answered, as arrays and as cells."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt

import numpy as np
from scipy.special import stdtrit

from limbeck.data import load_split
from limbeck.errors import LimbeckError
from limbeck.metrics.calibration import ece
from limbeck.metrics.judgements import HIGHEST, LOWEST
from limbeck.metrics.predictions import read_predictions
from limbeck.metrics.selective import selective
from limbeck.report.tables import Cell
from limbeck.runs.groups import RunGroup
from limbeck.runs.judging import GOLD, read_judgements, single
from limbeck.schema import Example, Judgement, Prediction
from limbeck.stats.intervals import Flags, Floats, Interval, accuracy_interval, estimate
from limbeck.stats.significance import Comparison

log = logging.getLogger(__name__)

NO_DRAWS = 2  # the bootstrap's intervals are not shown
Key = tuple[str, str, str]  # id, input, label: examples of other data are others, whatever their ids
Scores = Mapping[str, float]  # a judge's, from 1 to 5, by the example's id


@dataclass(frozen=True, eq=False)
class GradedGroup:
    """A run group's S runs, and the N examples that all of them answered."""

    group: RunGroup
    predictions: Sequence[Sequence[Prediction]]  # [S, N]
    examples: Sequence[Example]  # [N]; without the teacher's words where the data is no longer where it was

    @property
    def name(self) -> str:
        return self.group.name

    @property
    def task(self) -> str:
        return self.group.task

    @cached_property
    def positions(self) -> dict[Key, int]:
        return {_key(prediction): position for position, prediction in enumerate(self.predictions[0])}

    @cached_property
    def correct(self) -> Flags:
        """Which answers are right, [S, N]."""
        return np.array([[bool(answer.correct) for answer in run] for run in self.predictions], dtype=bool)

    @cached_property
    def confidence(self) -> Floats:
        """Confidences, [S, N]; NaN where an answer has none."""
        return np.array([[answer.confidence for answer in run] for run in self.predictions], dtype=np.float64)

    @property
    def has_confidence(self) -> Flags:
        return ~np.isnan(self.confidence)

    @cached_property
    def judgements(self) -> list[list[Judgement]]:
        return [read_judgements(run) for run in self.group.runs]


def grade(groups: Sequence[RunGroup], name: str = "test", *, with_data: bool = True) -> list[GradedGroup]:
    """Return the answers of each run group; N = 0 where no example was answered by all of its runs.

    `name` is that of the predictions' file, a split or a task and a split. `with_data`: the examples are looked up in
    the data of the test split, which has the teacher's words.
    """
    data: dict[str, Mapping[Key, Example]] = {}  # by its settings
    graded = []
    for group in groups:
        by_run = [{_key(row): row for row in read_predictions(run.predictions(name))} for run in group.runs]
        keys = [key for key in by_run[0] if all(key in answers for answers in by_run)]
        settings = group.recipe.data.model_copy(update={"labels": "gold", "keep": "all", "train_fraction": 1.0})
        source = settings.model_dump_json()  # the same for several groups
        if with_data and source not in data:
            try:
                examples = load_split(settings, "test")
                data[source] = {(example.id, example.input, example.label): example for example in examples}
            except LimbeckError as error:
                log.warning("%s: the teacher's words are not shown (%s)", group.runs[0].path, error)
                data[source] = {}
        by_key = data.get(source, {})
        rows = [by_key.get(key) or Example(key[0], (key[1],), key[2]) for key in keys]
        graded.append(GradedGroup(group, [[answers[key] for key in keys] for answers in by_run], rows))
    return graded


def _key(prediction: Prediction) -> Key:
    return prediction.id, prediction.input, str(prediction.label)


def scores(judgements: Sequence[Judgement], *, gold: bool = False, once: bool | None = None) -> dict[str, float]:
    """Return the scores of a run's rationales, or of the teacher's (`gold`), by the example's id.

    `once`: those of a single asking or the means of several; None: the single one where there is one.
    """
    ordered = sorted(judgements, key=single)
    selected = [entry for entry in ordered if (entry.run == GOLD) is gold and once in (None, single(entry))]
    return {entry.id: entry.score for entry in selected if entry.score is not None}


def accuracy_cell(correct: Flags, comparison: Comparison | None = None, adjusted: float | None = None) -> Cell:
    """Return an accuracy in per cent with its interval; `correct` [S, N] is by seed and example.

    With a `comparison` to the baseline: also the difference in points, and its p-value as it is and `adjusted`.
    """
    seeds, n = correct.shape
    if not n:
        return Cell(None, "no example that all of its runs answered", seeds=seeds)
    cell = Cell(100 * float(correct.mean()), interval=_percent(accuracy_interval(correct)), n=n, seeds=seeds)
    if comparison is None:
        return cell
    return replace(
        cell,
        difference=None if comparison.difference is None else 100 * comparison.difference,
        difference_interval=_percent(comparison.interval),
        p_value=comparison.p_value,
        adjusted=adjusted,
    )


def _percent(ends: Interval | None) -> Interval | None:
    return None if ends is None else (100 * ends[0], 100 * ends[1])


INTERVALS = "95 % intervals: Student's t over seeds and examples; of one seed Wilson's, without the seeds' differences."
Measure = Callable[[Floats, Flags], float | None]  # of confidences and correctness, [N]
CALIBRATION: dict[str, Measure] = {
    "mean confidence": lambda confidence, _: float(confidence.mean()),
    "calibration error": ece,
    "Brier score": lambda confidence, correct: float(((confidence - correct) ** 2).mean()),
    "area under risk and coverage": lambda confidence, right: selective(confidence, right, draws=NO_DRAWS).aurc,
}
CALIBRATION_NOTE = (
    "Calibration error: ten bins of equal width. It is above zero by chance, the more so the fewer examples. "
    "95 % intervals: Student's t over seeds, on these examples."
)


def calibration_cell(member: GradedGroup, measure: str, scale: float = 1.0) -> Cell:
    """Return the mean over seeds of one of `CALIBRATION`, over the answers that have a confidence."""
    by_seed = zip(member.confidence, member.correct, member.has_confidence, strict=True)
    values = [
        CALIBRATION[measure](confidence[mask], correct[mask]) for confidence, correct, mask in by_seed if mask.any()
    ]
    if not values:
        return Cell(None, "its answers have no confidences" if member.examples else "no examples")
    array = np.array(values, dtype=np.float64)
    seeds, mean, n = len(array), float(array.mean()), int(member.has_confidence.sum(axis=1).max())
    ends = None
    if seeds > 1:
        half = float(stdtrit(seeds - 1, 0.975)) * float(array.std(ddof=1)) / sqrt(seeds)
        ends = scale * max(mean - half, 0.0), scale * min(mean + half, 1.0)
    return Cell(scale * mean, interval=ends, n=n, seeds=seeds)


def without_confidence(members: Sequence[GradedGroup]) -> list[str]:
    """Return a sentence for each run group of whose answers some have no confidence."""
    counts = {member.name: int((~member.has_confidence).sum()) for member in members if member.has_confidence.any()}
    return [f"{name}: {count} answers without a confidence are left out." for name, count in counts.items() if count]


def score_cell(runs: Sequence[Scores]) -> Cell:
    """Return the mean of a judge's scores of several runs, over the examples that have one in all of them."""
    ids = [id for id in runs[0] if all(id in by_id for by_id in runs)] if runs else []
    values = np.array([[by_id[id] for id in ids] for by_id in runs], dtype=np.float64)  # [S, N]
    if not values.size:
        return Cell(None, "not judged")
    ends = None
    if len(ids) > 1 and np.ptp(values) > 0:
        low, high = estimate([values]).interval
        ends = max(low, LOWEST), min(high, HIGHEST)
    spread = float(values.std(ddof=1)) if values.size > 1 else None
    return Cell(float(values.mean()), interval=ends, spread=spread, n=len(ids), seeds=len(runs))
