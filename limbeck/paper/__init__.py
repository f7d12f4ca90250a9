"""The paper's tables and figures: as grids to be run, and made of the runs, its own numbers beside ours.

>>> from limbeck.paper import paper_grid, paper_tables
>>> grid, omissions = paper_grid("table1", offline=True)
"""

from limbeck.paper.section import case_studies, paper_section, paper_tables
from limbeck.paper.spec import NAMES, PAPER, judged_grids, paper_grid, paper_grids

__all__ = [
    "NAMES",
    "PAPER",
    "case_studies",
    "judged_grids",
    "paper_grid",
    "paper_grids",
    "paper_section",
    "paper_tables",
]
