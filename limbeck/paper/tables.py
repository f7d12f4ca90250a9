"""The paper's tables and figures, made of finished runs, its own numbers beside ours."""

from collections.abc import Callable, Mapping, Sequence

from limbeck.grids import Grid
from limbeck.paper.accuracy import accuracy_table
from limbeck.paper.calibration import calibration_table
from limbeck.paper.correlation import correlation_table
from limbeck.paper.found import Found, named
from limbeck.paper.fractions import fraction_figures
from limbeck.paper.quality import quality_table
from limbeck.report.studies import Failed
from limbeck.report.tables import Figure, Table
from limbeck.runs.run import Run

_MADE: Mapping[str, Callable[[Found], Sequence[Table | Figure]]] = {
    "accuracy": lambda found: [accuracy_table(found)],
    "calibration": lambda found: [calibration_table(found)],
    "judge": lambda found: [quality_table(found)],
    "correlation": lambda found: [correlation_table(found)],
    "fractions": fraction_figures,
    "cases": lambda _: [],  # `case_studies` has them
}


def paper_tables(runs: Sequence[Run], grids: Sequence[Grid], failed: Failed = lambda _: None) -> list[Table | Figure]:
    """Those of the grids that are the paper's, as its tables 1 to 8 and figures 2 and 3, in that order.

    Args:
        runs: any runs, finished or not; a grid's are known by their recipes' keys.
        grids: as they were run (`OUT/grids/NAME.yaml`); those that are not the paper's are passed over.
        failed: the first line of a run's error by its name, None where it did not fail (`Folders.error`).

    Returns:
        Tables in which every cell has a value or the reason why there is none.

    Raises:
        LimbeckError: predictions or judgements that cannot be read; two grids of one name that differ.
    """
    every = [Found(grid, runs, failed) for grid in named(grids)]
    return [made for found in every for made in _MADE[found.table.measure](found)]
