"""The paper's tables and figures, as grids to run and as a section of a report.

>>> from limbeck.paper import paper_grids
>>> grids, omissions = paper_grids(["table1"], offline=True)
"""

from limbeck.paper.section import paper_section
from limbeck.paper.spec import NAMES, PAPER, judged_grids, paper_grids

__all__ = ["NAMES", "PAPER", "judged_grids", "paper_grids", "paper_section"]
