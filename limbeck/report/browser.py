"""Which cases the page's browser holds, and as what data: a fair sample, small enough for a page."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from limbeck.formatting import visible
from limbeck.report.cases import Case, Said
from limbeck.runs.groups import Arm

BUDGET = 2_000_000  # bytes of JSON at most
MOST = 10_000  # cases
_SEED = 0
_LONGEST = {"input": 2000, "rationale": 1500, "answer": 300}  # characters of a text that are kept


@dataclass(frozen=True, slots=True)
class Chosen:
    """Cases as data, and how many there were to choose from."""

    cases: list[dict[str, Any]]
    shared: int  # examples that every arm of their task was measured on


def choose(arms: Sequence[Arm], cases: Sequence[Case], budget: int = BUDGET) -> Chosen:
    """As many shared cases as the budget holds: task by task, and evenly over which arms are right.

    An arm is shown by its first seed. The order is that of a seeded shuffle, so that the same runs give the same page.
    """
    first = {(arm.task, arm.name): arm.runs[0].recipe.seed for arm in arms}
    wanted = {task: {name for of, name in first if of == task} for task, _ in first}
    kinds: dict[tuple[str, tuple[bool, ...]], list[tuple[Case, tuple[Said, ...]]]] = {}
    for case in random.Random(_SEED).sample(list(cases), len(cases)):
        said = tuple(one for one in case.said if first.get((case.task, one.arm)) == one.seed)
        if {one.arm for one in said} == wanted.get(case.task):
            kinds.setdefault((case.task, tuple(one.correct for one in said)), []).append((case, said))
    kept: list[tuple[Case, dict[str, Any]]] = []
    size = 0
    for case, said in _in_turn(kinds):
        row = _row(case, said)
        size += len(json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace"))
        if size > budget or len(kept) >= MOST:
            break
        kept.append((case, row))
    place = {id(case): number for number, case in enumerate(cases)}
    kept.sort(key=lambda one: place[id(one[0])])
    return Chosen([row for _, row in kept], sum(map(len, kinds.values())))


def _in_turn(kinds: Mapping[Any, Sequence[tuple[Case, tuple[Said, ...]]]]) -> Any:
    """One of each kind, again one of each, until there are none."""
    missing = object()
    for turn in zip_longest(*kinds.values(), fillvalue=missing):
        yield from (one for one in turn if one is not missing)


def _row(case: Case, said: Sequence[Said]) -> dict[str, Any]:
    """With short keys, since they stand there for every case; what is None is left out."""
    row = {
        "task": case.task,
        "id": visible(case.id, _LONGEST["answer"]),
        "input": visible(case.input, _LONGEST["input"]),
        "gold": visible(case.label, _LONGEST["answer"]),
        "teacher": _text(case.teacher_label, "answer"),
        "why": _text(case.rationale, "rationale"),
        "score": case.score,
        "said": [_said(one) for one in said],
    }
    return {key: value for key, value in row.items() if value is not None}


def _said(one: Said) -> dict[str, Any]:
    row = {
        "arm": one.arm,
        "seed": one.seed,
        "answer": visible(one.prediction, _LONGEST["answer"]),
        "right": one.correct,
        "sure": None if one.confidence is None else round(one.confidence, 4),
        "why": _text(one.rationale, "rationale"),
        "score": None if one.score is None else round(one.score, 3),
    }
    return {key: value for key, value in row.items() if value is not None}


def _text(text: str | None, kind: str) -> str | None:
    return None if text is None else visible(text, _LONGEST[kind])
