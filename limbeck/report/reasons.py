"""What the students' rationales are worth: their text beside the teacher's, and a judge's scores."""

from collections.abc import Sequence
from statistics import fmean, stdev

from limbeck.report.evaluated import Pages, number_of, reason_of
from limbeck.report.sides import Side
from limbeck.report.tables import Cell, Row, Table
from limbeck.runs.groups import Arm

# a column's head, and where its number stands on the page of `limbeck evaluate`
_QUALITY = {
    "BLEU": "quality.bleu.score",
    "ROUGE-L": "quality.rougeL",
    "similarity": "quality.similarity.mean",
    "words": "quality.words",
    "repetition": "quality.repetition",
    "dependence (nats)": "dependence.nats",
}


def quality(task: str, arms: Sequence[Arm], read: Pages) -> Table:
    """One task's arms: the mean over the seeds that were evaluated with rationales."""
    return Table(
        name=f"rationales-{task}",
        title=f"{task}: the rationales' text beside the teacher's",
        columns=tuple(_QUALITY),
        rows=tuple(Row(arm.name, tuple(_quality(arm, read, place) for place in _QUALITY.values())) for arm in arms),
        digits=3,
        notes=(
            "From `limbeck evaluate RUN --rationale`. Nearness to one teacher's text is no measure of good reasoning: "
            "a rationale as good in other words is far from it. Dependence: a lower bound of what the label's side and "
            "the rationale's tell of each other; compare it between runs on the same examples only.",
        ),
    )


def judged(task: str, found: Sequence[Side]) -> Table:
    """One task's arms and the teacher: mean scores from 1 to 5, with the deviation over examples."""
    rows = [Row(side.arm.name, (_scored(side),)) for side in found]
    every = {id(case): case for side in found for case in side.cases}.values()
    teacher = [case.score for case in every if case.score is not None]
    if teacher:
        rows.append(Row("teacher", (_mean(teacher, len(teacher)),)))
    return Table(
        name=f"judge-{task}",
        title=f"{task}: a judge's scores of the rationales, from 1 to 5",
        columns=("score",),
        rows=tuple(rows),
        notes=("Mean ± standard deviation over the rationales that were judged, of all seeds.",),
    )


def _quality(arm: Arm, read: Pages, place: str) -> Cell:
    if arm.recipe.objective.build().rationale_view is None:
        return Cell(None, "learns no rationales")
    found = [read[run.path] for run in arm.runs if run.path in read]
    if not found:
        return Cell(None, "not evaluated")
    values = [value for page in found if (value := number_of(page, place)) is not None]
    reason = reason_of(found[0], place.partition(".")[0])
    return Cell(fmean(values), seeds=len(values)) if values else Cell(None, reason or "not measured")


def _scored(side: Side) -> Cell:
    """Of the rationales of all seeds."""
    said = [(case, one) for case in side.cases for one in case.said if one.arm == side.arm.name]
    judged = [(id(case), one.seed, one.score) for case, one in said if one.score is not None]
    if not judged:
        return Cell(None, "not judged")
    examples, seeds, scores = zip(*judged, strict=True)
    return _mean(scores, len(set(examples)), len(set(seeds)))


def _mean(scores: Sequence[float], examples: int, seeds: int | None = None) -> Cell:
    spread = stdev(scores) if len(scores) > 1 else None
    return Cell(fmean(scores), spread=spread, n=examples, seeds=seeds)
