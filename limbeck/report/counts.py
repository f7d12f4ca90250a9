"""The tables beside an accuracy: counts of what was cut, left out or asked twice, and accuracy by label."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from limbeck.data import task_of
from limbeck.metrics.labels import LabelledAnswer, by_label
from limbeck.notes import MEASURED, NOTES, Note
from limbeck.report.sides import Side
from limbeck.report.tables import Cell, Row, Table
from limbeck.runs.groups import Arm
from limbeck.runs.run import count_lines
from limbeck.tasks import normalise, same_text

_LABELS = 8  # a column each

_Key = tuple[str, str]  # where a count is from, `notes` or a split that was measured, and its name there


def counts(task: str, arms: Sequence[Arm]) -> Table | None:
    """Return one task's arms with all counts that are not 0, the highest of an arm's seeds; None where all are 0."""
    found = [_most(arm) for arm in arms]
    keys = list(dict.fromkeys(key for of_arm in found for key in of_arm))
    if not keys:
        return None
    rows = [Row(arm.name, tuple(_count(arm, of, key) for key in keys)) for arm, of in zip(arms, found, strict=True)]
    return Table(
        name=f"counts-{task}",
        title=f"{task}: what was cut, left out, not read or asked twice",
        columns=tuple(_title(key) for key in keys),
        rows=tuple(rows),
        digits=0,
        notes=tuple(f"{_title(key)}: {_note(key).sentence}." for key in keys),
    )


def labels(task: str, sides: Sequence[Side]) -> Table | None:
    """Return accuracy by label and macro F1 of one task's arms, means over seeds; None where labels are free text."""
    found = {side.arm.name: _by_label(side) for side in sides if side.cases}
    known = {name: seeds for name, seeds in found.items() if seeds}
    if not known:
        return None
    first = next(side for side in sides if side.arm.name in known)
    examples = {one["label"]: one["n"] for one in known[first.arm.name][0]["labels"] if one["n"]}
    names = list(examples)[:_LABELS]
    rarer = f" {len(examples) - _LABELS} rarer labels have no column." if len(examples) > _LABELS else ""
    majority = names[0]
    always = by_label(
        [LabelledAnswer(case.label, majority, same_text(case.label, majority)) for case in first.cases], names
    )
    rows = [Row(name, _cells(seeds, names)) for name, seeds in known.items()]
    if always is not None:
        rows.append(Row(f"always {majority}", _cells([always], names)))
    return Table(
        name=f"labels-{task}",
        title=f"{task}: accuracy by label on the test split",
        columns=("accuracy", "macro F1", *names),
        rows=tuple(rows),
        unit="%",
        notes=(
            f"Examples by label: {', '.join(f'{name} {examples[name]}' for name in names)}. Macro F1: the mean over "
            f"labels, each as heavy as the others. The last row answers the most frequent label always.{rarer}",
        ),
    )


def _by_label(side: Side) -> list[dict[str, Any]]:
    """Return what `by_label` has of each seed's answers; nothing where the labels are free text."""
    choices = task_of(side.arm.recipe.data).choices
    answers: dict[int, list[LabelledAnswer]] = {}
    for case in side.cases:
        for one in case.said:
            if one.arm == side.arm.name:
                answers.setdefault(one.seed, []).append(LabelledAnswer(case.label, one.prediction, one.correct))
    return [found for seed in sorted(answers) if (found := by_label(answers[seed], choices)) is not None]


def _cells(seeds: Sequence[dict[str, Any]], names: Sequence[str]) -> tuple[Cell, ...]:
    of_labels = [{normalise(one["label"]): one for one in found["labels"]} for found in seeds]
    n = sum(one["n"] for one in seeds[0]["labels"])
    cells = [
        Cell(100 * fmean(_accuracy(found) for found in seeds), n=n, seeds=len(seeds)),
        Cell(100 * fmean(found["macro_f1"] for found in seeds), seeds=len(seeds)),
    ]
    for name in map(normalise, names):
        shares = [of[name]["accuracy"] for of in of_labels if name in of and of[name]["n"]]
        n = max((of[name]["n"] for of in of_labels if name in of), default=0)
        cells.append(Cell(100 * fmean(shares), n=n) if shares else Cell(None, "no example", n=n))
    return tuple(cells)


def _accuracy(found: dict[str, Any]) -> float:
    n = sum(one["n"] for one in found["labels"])
    return sum(one["n"] * (one["accuracy"] or 0.0) for one in found["labels"]) / n


def _most(arm: Arm) -> dict[_Key, int]:
    """Return an arm's counts, of its seeds the highest."""
    most: dict[_Key, int] = {}
    for run in arm.runs:
        for where, line in count_lines(run.results):
            most[where, line.key] = max(most.get((where, line.key), 0), line.count)
    return most


def _count(arm: Arm, most: dict[_Key, int], key: _Key) -> Cell:
    """Return an arm's count; no number where its runs did not count that, being older, say."""
    where, name = key
    for run in arm.runs:
        elsewhere = run.results.get("out_of_domain") or {}
        counted = run.results.get(where) or elsewhere.get(where.removesuffix("-test")) or {}
        if name in counted:
            return Cell(most.get(key, 0))
    return Cell(None, "not counted")


def _note(key: _Key) -> Note:
    where, name = key
    return (NOTES if where == "notes" else MEASURED).get(name, Note(name, name.replace("_", " ")))


def _title(key: _Key) -> str:
    title = _note(key).title
    return title if key[0] == "notes" else f"{key[0]}: {title}"
