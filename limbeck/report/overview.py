"""What can be concluded from the runs, and what cannot, in one paragraph made from the numbers."""

from collections.abc import Sequence
from typing import Any

from limbeck.report.accuracy import Held
from limbeck.report.left_out import LeftOut
from limbeck.report.tables import equals, number
from limbeck.runs.groups import Arm
from limbeck.runs.run import Run
from limbeck.stats.significance import Comparison

_LEVEL = 0.05
_MOST = 5  # groups of arms that are spoken of one by one
_NAMED = 4
_ALONE = "one test alone, before Holm's correction, finds 4 times of 5"
SMOKE = 50  # optimiser steps; the task that is learnt quickest here takes some hundreds


def overview(arms: Sequence[Arm], without: LeftOut, found: Sequence[Held]) -> list[str]:
    """The sentences of the paragraph, never empty."""
    sentences = [_counted(arms), *_left_out(without)]
    smoke = [held for held in found if max(map(_steps, held.side.arm.runs)) < SMOKE]
    if smoke:
        sentences.append(_smoke(smoke, found))
    kept = [held for held in found if held not in smoke and held.group.baseline not in [one.side for one in smoke]]
    names = dict.fromkeys(held.group.name for held in kept)
    if len(names) > _MOST:
        sentences += _of_many(kept)
    else:
        sentences += [_of_group(name, [held for held in kept if held.group.name == name]) for name in names]
    if any(held.comparison and max(held.comparison.seeds) == 1 for held in kept):
        sentences.append(
            "Where there is one seed an arm, all of this is about these trained students: "
            "one seed says nothing of a recipe."
        )
    return sentences


def _counted(arms: Sequence[Arm]) -> str:
    runs = [run for arm in arms for run in arm.runs]
    tasks = list(dict.fromkeys(arm.task for arm in arms))
    steps, seeds = sorted(map(_steps, runs)), _seeds([len(arm.runs) for arm in arms])
    trained = f"{steps[0]:,}" if steps[0] == steps[-1] else f"{steps[0]:,} to {steps[-1]:,}"
    said = f"{len(runs)} finished run{_s(runs)}, {len(arms)} arm{_s(arms)} on {_listed(tasks)}"
    return f"{said}, {seeds} an arm, trained for {trained} steps."


def _left_out(without: LeftOut) -> list[str]:
    """That a grid has more cells than there are results of, and what else was begun."""
    kinds = (
        (without.failed, "has failed", "have failed"),
        (without.unfinished, "is not finished", "are not finished"),
        (without.not_run, "has not been run", "have not been run"),
    )
    said = [f"{len(names)} {one if len(names) == 1 else several}" for names, one, several in kinds if names]
    whose = "the grid's" if without.grids == 1 else "the grids'"
    cells = f"Of {whose} {without.cells} cells, {_listed(said)}: nothing here speaks of them." if said else ""
    kinds_of_none = ((without.other_failed, "failed"), (without.other_unfinished, "unfinished"))
    others = [f"{len(names)} {kind} run{_s(names)}" for names, kind in kinds_of_none if names]
    besides = f"{_listed(others)} of no grid here left out." if others else ""
    return [sentence for sentence in (cells, besides) if sentence]


def _smoke(smoke: Sequence[Held], found: Sequence[Held]) -> str:
    most = max(_steps(run) for held in smoke for run in held.side.arm.runs)
    which = "All of them" if len(smoke) == len(found) else _listed([_called(held) for held in smoke])
    return (
        f"{which} trained for {most} steps at most: such runs show that everything works from end to end, "
        "and say nothing of the methods."
    )


def _of_many(found: Sequence[Held]) -> list[str]:
    """Of many groups: how often which arm is ahead of or behind which baseline."""
    tested = [(held, held.comparison) for held in found if held.comparison is not None]
    kinds: dict[str, list[tuple[Held, Comparison]]] = {}
    for held, one in tested:
        if _stands(held):
            way = "ahead of" if (one.difference or 0) > 0 else "behind"
            name, baseline = held.group.short(held.side), held.group.short(held.group.baseline)
            kinds.setdefault(f"{name} is {way} {baseline}", []).append((held, one))
    said = []
    for words, group in kinds.items():
        sizes = sorted(abs(one.difference or 0) for _, one in group)
        largest = max(held.adjusted or 0 for held, _ in group)
        places = _some([held.group.name for held, _ in group])
        often = f"in {len(group)} place{_s(group)} ({places}; adjusted p {equals(largest, 'at most')})"
        said.append(f"{words} by {_range(sizes)} points {often}")
    undecided = [one for held, one in tested if not _stands(held)]
    sentences = [f"Of {len(tested)} comparisons: {'; '.join(said)}." if said else ""]
    if undecided:
        known = sorted(one.detectable for one in undecided if one.detectable is not None)
        least = f"; the smallest differences that {_ALONE} are {_range(known)} points" if known else ""
        if known and len(known) < len(undecided):
            least += f"; in {len(undecided) - len(known)} there is none"
        sentences.append(f"In {len(undecided)} of {len(tested)} comparisons no difference can be concluded{least}.")
    apart = [held for held in found if held.comparison is None and held.side is not held.group.baseline]
    if apart:
        sentences.append(f"{len(apart)} arm{_s(apart)} measured on other examples than the baseline: not compared.")
    return [sentence for sentence in sentences if sentence]


def _stands(held: Held) -> bool:
    return held.adjusted is not None and held.adjusted < _LEVEL


def _some(names: Sequence[str]) -> str:
    return "; ".join(names) if len(names) <= _NAMED else f"{'; '.join(names[:_NAMED])}; and others"


def _range(values: Sequence[float]) -> str:
    """Of sorted shares."""
    low, high = _points(values[0]), _points(values[-1])
    return low if low == high else f"{low} to {high}"


def _of_group(name: str, found: Sequence[Held]) -> str:
    """Of one baseline's comparisons."""
    group, baseline = found[0].group, found[0].group.baseline
    called = group.short(baseline)
    tested = [(held, held.comparison) for held in found if held.comparison is not None]
    apart = [group.short(held.side) for held in found if held.side is not baseline and held.comparison is None]
    if not tested and not apart:
        return f"On {name} there is nothing to compare {called} with."
    tested.sort(key=lambda pair: -(pair[1].difference or 0))
    certain = [(held, one) for held, one in tested if _stands(held)]
    open_ = [(held, one) for held, one in tested if not _stands(held)]
    said = [_apart(held, one, called) for held, one in certain]
    if open_:
        said.append(_undecided(open_, called))
    if apart:
        said.append(f"{_listed(apart)} {'was' if len(apart) == 1 else 'were'} measured on other examples: not compared")
    sizes = f" ({_of([one for _, one in tested])})" if tested else ""
    return f"On {name}{sizes}: {'; '.join(said)}."


def _apart(held: Held, one: Comparison, baseline: str) -> str:
    """Of a difference that stands."""
    difference = one.difference or 0
    way = "ahead of" if difference > 0 else "behind"
    said = f"{held.group.short(held.side)} is {_points(abs(difference))} points {way} {baseline}"
    return f"{said} ({_interval(one, flip=difference < 0)}adjusted p {equals(held.adjusted)})"


def _undecided(found: Sequence[tuple[Held, Comparison]], baseline: str) -> str:
    said = [
        f"{held.group.short(held.side)} ({number(100 * (one.difference or 0), 2, sign=True)} points, {_interval(one)}"
        f"adjusted p {equals(held.adjusted)})"
        for held, one in found
    ]
    known = sorted(one.detectable for _, one in found if one.detectable is not None)
    none = [held.group.short(held.side) for held, one in found if one.detectable is None]
    least = ""
    if known:
        least = f"with this n and these seeds the smallest difference that {_ALONE} is {_range(known)} points"
        least = f" ({least}; for {_listed(none)} there is none)" if none else f" ({least})"
    return f"no difference from {baseline} can be concluded for {_listed(said)}{least}"


def _of(tested: Sequence[Comparison]) -> str:
    """What comparisons of one group, all on the same examples, are of."""
    return f"{tested[0].n:,} examples, {_seeds([seeds for one in tested for seeds in one.seeds])}"


def _seeds(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{least if least == most else f'{least} to {most}'} seed{'' if most == 1 else 's'}"


def _interval(one: Comparison, flip: bool = False) -> str:
    """With a comma behind; `flip`: of the difference the other way round."""
    if one.interval is None:
        return ""
    low, high = (-one.interval[1], -one.interval[0]) if flip else one.interval
    return f"95 % interval {number(100 * low, 2)} to {number(100 * high, 2)}, "


def _points(share: float) -> str:
    return number(100 * share, 2)


def _called(held: Held) -> str:
    return f"{held.side.arm.name} on {held.side.arm.task}"


def _steps(run: Run) -> int:
    """Optimiser steps taken; where the results do not say, those of the recipe."""
    training: Any = run.results.get("training")
    steps = training.get("steps") if isinstance(training, dict) else None
    return steps if isinstance(steps, int) else int(run.recipe.resolved()["training"]["max_steps"])


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _s(things: Sequence[Any]) -> str:
    return "" if len(things) == 1 else "s"
