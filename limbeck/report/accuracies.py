"""Accuracies as cells of a table, in per cent, and what an arm's differs by from another's, in points."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from limbeck.report.tables import Cell
from limbeck.runs.run import Run, count_lines
from limbeck.stats.intervals import Interval, accuracy_interval
from limbeck.stats.significance import Comparison

_PERCENT = 100


def accuracy_cell(right: np.ndarray) -> Cell:
    """Of which answers are right, `[S, N]`, a row a seed and a column an example."""
    seeds, n = right.shape
    if not n:
        return Cell(None, "no example that all of its runs answered", seeds=seeds)
    return Cell(_PERCENT * float(right.mean()), interval=percent(accuracy_interval(right)), n=n, seeds=seeds)


def against(cell: Cell, found: Comparison, adjusted: float | None = None) -> Cell:
    """The cell with its difference to the baseline, the test of it, and that test's p-value `adjusted` for many."""
    return replace(
        cell,
        difference=None if found.difference is None else _PERCENT * found.difference,
        difference_interval=percent(found.interval),
        p_value=found.p_value,
        adjusted=adjusted,
    )


def percent(interval: Interval | None) -> Interval | None:
    """An interval of shares, in per cent."""
    return None if interval is None else (_PERCENT * interval[0], _PERCENT * interval[1])


def warnings(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """Return sentences on the counts that put accuracies in doubt, each with the names of those it holds of."""
    names: dict[str, dict[str, None]] = {}  # by the sentence
    for name, seeds in runs.items():
        for run in seeds:
            for where, line in count_lines(run.results):
                if line.warning:
                    place = "" if where == "notes" else f"{where}: "
                    names.setdefault(f"{place}{line.sentence}", {})[name] = None
    return [f"Warning: {sentence}; {'; '.join(of)}." for sentence, of in names.items()]
