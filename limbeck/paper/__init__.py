"""The paper's tables and figures: as grids to be run, and made of the runs, its own numbers beside ours.

>>> from limbeck.paper import paper_grids
>>> grids, omissions = paper_grids(["table1"], offline=True)
"""

from limbeck.paper.section import paper_section
from limbeck.paper.spec import NAMES, PAPER, judged_grids, paper_grids

__all__ = ["NAMES", "PAPER", "judged_grids", "paper_grids", "paper_section"]
