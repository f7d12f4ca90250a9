"""The paper's tables and figures: as grids to be run, and made of the runs, its own numbers beside ours.

>>> from limbeck.experiments.paper import named_grid, paper_tables
>>> grid, left_out = named_grid("table1", offline=True)
"""

from limbeck.experiments.paper.named import PAPER, judged_grids, named_grid, named_grids
from limbeck.experiments.paper.spec import NAMES
from limbeck.experiments.paper.studies import Kind, Study, case_studies
from limbeck.experiments.paper.tables import paper_tables

__all__ = [
    "NAMES",
    "PAPER",
    "Kind",
    "Study",
    "case_studies",
    "judged_grids",
    "named_grid",
    "named_grids",
    "paper_tables",
]
