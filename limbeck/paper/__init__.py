"""The paper's tables and figures: as grids to be run, and made of the runs, its own numbers beside ours.

>>> from limbeck.paper import named_grid, paper_tables
>>> grid, left_out = named_grid("table1", offline=True)
"""

from limbeck.paper.named import PAPER, judged_grids, named_grid, named_grids
from limbeck.paper.spec import NAMES
from limbeck.paper.studies import case_studies, paper_results
from limbeck.paper.tables import paper_tables

__all__ = [
    "NAMES",
    "PAPER",
    "case_studies",
    "judged_grids",
    "named_grid",
    "named_grids",
    "paper_results",
    "paper_tables",
]
