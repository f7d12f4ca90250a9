"""Answers of a run group's students to the examples that all answered, as arrays and as cells."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from statistics import stdev
from typing import Any, NamedTuple

import numpy as np

from limbeck.data import load_split
from limbeck.data.sources import HubSource
from limbeck.errors import DataError, LimbeckError
from limbeck.metrics.calibration import ece
from limbeck.metrics.judgements import HIGHEST, LOWEST
from limbeck.metrics.predictions import read_predictions
from limbeck.metrics.selective import selective
from limbeck.report.tables import LEVEL, Cell
from limbeck.runs.compare import RunGroup, grouped
from limbeck.runs.judging import GOLD, read_judgements
from limbeck.runs.run import Run, flat
from limbeck.schema import Example, Judgement, Prediction
from limbeck.stats.intervals import Estimate, Flags, Floats, Interval, accuracy_interval, estimate
from limbeck.stats.significance import Comparison, compare, holm
from limbeck.tasks import is_right

log = logging.getLogger(__name__)

NO_DRAWS = 2  # where the bootstrap's intervals are not shown
NO_EFFECT = tuple(f"evaluation.{key}" for key in ("rationales", "batch_size", "encoder", "out_of_domain"))  # on answers
NONE_SHARED = "no example judged in all seeds"
INTERVALS = "95 % intervals: Student's t over seeds and examples; of one seed Wilson's, without the seeds' differences."
CALIBRATION_NOTE = (
    "Calibration error: ten bins of equal width; chance alone puts it above zero, most with few examples. "
    "95 % intervals: Student's t over seeds."
)
CALIBRATION: dict[str, Callable[[Floats, Flags], float]] = {  # measures of confidences and correctness, [N]
    "mean confidence": lambda confidence, _: float(confidence.mean()),
    "calibration error": ece,
    "Brier score": lambda confidence, correct: float(((confidence - correct) ** 2).mean()),
    "area under risk and coverage": lambda confidence, right: selective(confidence, right, draws=NO_DRAWS).aurc,
}
Key = tuple[str, str, str]  # id, input, label: ids alone may recur in other data
Scores = Mapping[str, float]  # a judge's, from 1 to 5, by example id


@dataclass(frozen=True, eq=False)
class GradedGroup(RunGroup):
    """A run group of S runs, and the N examples that all of them answered."""

    predictions: Sequence[Mapping[Key, Prediction]]  # by run, with the same keys
    examples: Mapping[Key, Example]  # without the teacher's words where the data is gone

    @cached_property
    def correct(self) -> Flags:
        """Right answers, [S, N]."""
        return np.array([[answer.correct for answer in by_key.values()] for by_key in self.predictions], dtype=bool)

    @cached_property
    def confidence(self) -> Floats:
        """Confidences, [S, N]; NaN where an answer has none."""
        return np.array([[answer.confidence for answer in by_key.values()] for by_key in self.predictions], dtype=float)

    @cached_property
    def teacher(self) -> Floats:
        """1 where the teacher is right, 0 where wrong, NaN where its answer is not known, [N]."""
        task, rows = self.recipe.data.get_task(), self.examples.values()
        right = [None if row.teacher_label is None else is_right(task, row.teacher_label, row) for row in rows]
        return np.array(right, dtype=float)

    @property
    def has_confidence(self) -> Flags:
        return ~np.isnan(self.confidence)

    @cached_property
    def evaluations(self) -> list["Evaluated"]:
        return [evaluated(run) for run in self.runs]

    @property
    def judgements(self) -> list[list[Judgement]]:
        return [evaluation.judgements for evaluation in self.evaluations]


@dataclass(frozen=True, eq=False)
class Contrast:
    """A run group against its baseline."""

    member: GradedGroup
    baseline: GradedGroup
    comparison: Comparison | None  # None for the baseline, and on other examples
    adjusted: float | None = None  # p-value by Holm's method over the report's tests

    @property
    def significant(self) -> bool:
        return self.adjusted is not None and self.adjusted < LEVEL

    @property
    def apart(self) -> bool:
        """True on other examples than its baseline's."""
        return self.comparison is None and self.member is not self.baseline


class Evaluated(NamedTuple):
    """A run's evaluation and judgements, and a sentence for each of them that is damaged and left out."""

    page: dict[str, Any] | None
    judgements: list[Judgement]
    damaged: list[str]


def evaluated(run: Run) -> Evaluated:
    """Read what was measured of a run after its training."""
    page, judgements, damaged = None, list[Judgement](), []
    try:
        page = run.page()
    except LimbeckError as error:
        damaged.append(f"{run.path}: its evaluation is left out: {error}.")
    try:
        judgements = read_judgements(run)
    except LimbeckError as error:
        damaged.append(f"{run.path}: its judge's scores are left out: {error}.")
    return Evaluated(page, judgements, damaged)


def grade(
    groups: Sequence[RunGroup], name: str = "test", *, with_data: bool = True, online: bool = False
) -> list[GradedGroup]:
    """Return each run group's answers in predictions/`name`.jsonl to the examples that all of its runs answered.

    `with_data`: the examples have the teacher's words, from the test split; from the Hub only if `online`, since a run
    may be somebody else's.
    """
    data: dict[str, Mapping[Key, Example]] = {}  # by its settings
    graded = []
    for group in groups:
        by_run = [
            {(row.id, row.input, str(row.label)): row for row in read_predictions(run.measured_predictions(name))}
            for run in group.runs
        ]
        keys = [key for key in by_run[0] if all(key in answers for answers in by_run)]
        settings = group.recipe.data.model_copy(update={"labels": "gold", "keep": "all", "train_fraction": 1.0})
        source = settings.model_dump_json()  # shared by groups
        if with_data and source not in data:
            try:
                if isinstance(settings.source, HubSource) and not online:
                    raise DataError("its data set is on the Hub, which is asked with --online alone")
                examples = load_split(settings, "test")
                data[source] = {(example.id, example.input, example.label): example for example in examples}
            except LimbeckError as error:
                log.warning("%s: the teacher's words are not shown (%s)", group.runs[0].path, error)
                data[source] = {}
        by_key = data.get(source, {})
        rows = {key: by_key.get(key) or Example(key[0], (key[1],), key[2]) for key in keys}
        predictions = [{key: answers[key] for key in keys} for answers in by_run]
        graded.append(GradedGroup(group.traits, group.recipe, group.runs, predictions, rows))
    return graded


def setting(group: RunGroup, *ignored: str) -> str:
    """Return a group's recipe as a text, without seed and `ignored` fields."""
    fields = flat(group.recipe.resolved())
    return repr(sorted((key, repr(value)) for key, value in fields.items() if not key.startswith(("seed", *ignored))))


def comparable_sets(members: Sequence[GradedGroup]) -> list[list[GradedGroup]]:
    """Return sets of a task's run groups that differ in the objective alone; a single set if no two do."""
    by_setting = grouped(members, lambda member: setting(member, "objective", *NO_EFFECT))
    return list(by_setting.values()) if len(by_setting) < len(members) else [list(members)]


def contrast_of(member: GradedGroup, baseline: GradedGroup) -> Contrast:
    """Compare a run group with its baseline."""
    if member is baseline or not member.examples or member.examples.keys() != baseline.examples.keys():
        return Contrast(member, baseline, None)
    positions = {key: position for position, key in enumerate(member.examples)}
    correct = member.correct[:, [positions[key] for key in baseline.examples]]
    return Contrast(member, baseline, compare(correct, baseline.correct))


def contrasts(sets: Sequence[Sequence[GradedGroup]]) -> list[Contrast]:
    """Return every run group against the baseline of its set: `dss`, or else the first."""
    pairs = []
    for members in sets:
        baseline = next((member for member in members if member.recipe.objective.name == "dss"), members[0])
        pairs += [contrast_of(member, baseline) for member in members]
    adjusted = holm([contrast.comparison.p_value if contrast.comparison else None for contrast in pairs])
    return [replace(contrast, adjusted=p) for contrast, p in zip(pairs, adjusted, strict=True)]


def common_name(members: Sequence[RunGroup]) -> str:
    """Return the traits that all these run groups share."""
    return ", ".join(word for word in members[0].traits if all(word in member.traits for member in members))


def scores(judgements: Sequence[Judgement], *, gold: bool = False, once: bool | None = None) -> dict[str, float]:
    """Return the scores of a run's rationales, or of the teacher's (`gold`), by example id.

    `once`: those of a single asking or the means of several; None: the single one where there is one.
    """
    ordered = sorted(judgements, key=lambda entry: entry.single)
    selected = [entry for entry in ordered if (entry.run == GOLD) is gold and once in (None, entry.single)]
    return {entry.id: entry.score for entry in selected if entry.score is not None}


def gold_scores(members: Sequence[GradedGroup], examples: Iterable[Example]) -> dict[str, float]:
    """Return the scores of these examples' present teacher rationales, by example id."""
    rationales = {(example.id, example.rationale) for example in examples}
    judgements = [entry for member in members for entries in member.judgements for entry in entries]
    return scores([entry for entry in judgements if (entry.id, entry.rationale) in rationales], gold=True)


def accuracy_cell(correct: Flags) -> Cell:
    """Return an accuracy in per cent from `correct` [S, N]."""
    seeds, n = correct.shape
    if not n:
        return Cell(None, "no example that all of its runs answered", seeds=seeds)
    return Cell(100 * float(correct.mean()), interval=_percent(accuracy_interval(correct)), n=n, seeds=seeds)


def contrast_cell(contrast: Contrast) -> Cell:
    """Return an accuracy in per cent, and its difference to the baseline in points or why there is none."""
    cell, test = accuracy_cell(contrast.member.correct), contrast.comparison
    if cell.value is None:
        return cell
    if test is None or test.difference is None:
        apart = "on other examples than its baseline: not compared"
        return replace(cell, reason=apart if contrast.apart else "baseline")
    difference, ends, adjusted = 100 * test.difference, _percent(test.interval), contrast.adjusted
    return replace(cell, difference=difference, difference_interval=ends, p_value=test.p_value, adjusted=adjusted)


def _percent(ends: Interval | None) -> Interval | None:
    return None if ends is None else (100 * ends[0], 100 * ends[1])


def calibration_cell(member: GradedGroup, measure: str, scale: float = 1.0) -> Cell:
    """Return a measure of `CALIBRATION`, mean over seeds, of the answers with a confidence."""
    by_seed = zip(member.confidence, member.correct, member.has_confidence, strict=True)
    values = [CALIBRATION[measure](p[mask], right[mask]) for p, right, mask in by_seed if mask.any()]
    if not values:
        return Cell(None, "its answers have no confidences" if member.examples else "no examples")
    seeds, mean, n, ends = len(values), float(np.mean(values)), int(member.has_confidence.sum(axis=1).max()), None
    if seeds > 1:
        low, high = Estimate(mean, stdev(values) / sqrt(seeds), seeds - 1).interval
        ends = scale * max(low, 0.0), scale * min(high, 1.0)
    return Cell(scale * mean, interval=ends, n=n, seeds=seeds)


def score_cell(runs: Sequence[Scores]) -> Cell:
    """Return the mean of a judge's scores of those `runs` that have any, over their shared examples."""
    runs = [by_id for by_id in runs if by_id]
    ids = [id for id in runs[0] if all(id in by_id for by_id in runs)] if runs else []
    values = np.array([[by_id[id] for id in ids] for by_id in runs], dtype=np.float64)  # [S, N]
    if not values.size:
        return Cell(None, NONE_SHARED if runs else "not judged")
    ends = None
    if len(ids) > 1 and not np.isclose((mean := estimate([values])).error, 0):
        low, high = mean.interval
        ends = max(low, LOWEST), min(high, HIGHEST)
    spread = float(values.std(ddof=1)) if values.size > 1 else None
    return Cell(float(values.mean()), interval=ends, spread=spread, n=len(ids), seeds=len(runs))
