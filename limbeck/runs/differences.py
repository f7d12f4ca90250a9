"""The differences of several runs, each to all the others, with the p-values adjusted for there being many."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.metrics.answered import Answered, by_id
from limbeck.runs.measures import compare_answers
from limbeck.stats.significance import cohens_g, holm, odds_ratio

_KEPT = (
    *("difference", "interval", "p_value", "test", "n", "discordant", "only_a", "only_b", "mcnemar_exact"),
    *("cohens_g", "odds_ratio", "detectable"),
)


def differences(files: Sequence[Path], names: Sequence[Path]) -> list[list[dict[str, Any]]]:
    """What tells each run from every other: of each, a list with one entry for each of the others.

    Returns:
        Entries with the other `run`'s name, and `difference` (this run's accuracy less the other's), `interval`,
        `p_value` and the rest of `Comparison`; `adjusted`, the p-value by Holm's method over all pairs of these runs;
        or with a `reason` where they cannot be compared.
    """
    read = [by_id(path) for path in files] if len(files) > 1 else []
    found: dict[tuple[int, int], dict[str, Any]] = {}
    pairs = list(combinations(range(len(read)), 2))
    for a, b in pairs:
        compared = _difference(read[a], read[b])
        found[a, b] = {"run": str(names[b]), **compared}
        found[b, a] = {"run": str(names[a]), **_turned(compared)}
    for (a, b), adjusted in zip(pairs, holm([found[pair].get("p_value") for pair in pairs]), strict=True):
        for entry in (found[a, b], found[b, a]):
            if "reason" not in entry:
                entry["adjusted"] = adjusted
    every = range(len(names))
    return [[found[one, other] for other in every if (one, other) in found] for one in every]


def _difference(one: Mapping[str, Answered], other: Mapping[str, Answered]) -> dict[str, Any]:
    if one.keys() != other.keys():
        shared = len(one.keys() & other.keys())
        hint = "; limbeck compare --shared compares on those" if shared else ""
        return {"reason": f"it is on other examples, {shared} are shared{hint}"}
    try:
        compared = compare_answers([one], [other], "both", shared=False)
    except LimbeckError as error:  # other labels
        return {"reason": str(error)}
    return {key: compared[key] for key in _KEPT}


def _turned(compared: Mapping[str, Any]) -> dict[str, Any]:
    """The same, of the two runs in the other order."""
    if "reason" in compared:
        return dict(compared)
    only_a, only_b = compared["only_b"], compared["only_a"]
    turned = {"only_a": only_a, "only_b": only_b, "cohens_g": cohens_g(only_a, only_b)}
    turned["odds_ratio"] = odds_ratio(only_a, only_b)
    if compared["difference"] is not None:
        turned["difference"] = 0 - compared["difference"]  # no -0
    if compared["interval"] is not None:
        low, high = compared["interval"]
        turned["interval"] = (0 - high, 0 - low)
    return {**compared, **turned}
