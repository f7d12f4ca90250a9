"""Grids: many recipes from one file, each a run in a folder of its own.

>>> from limbeck.grids import Grid, run_grid
>>> run_grid([Grid.load("grid.yaml")], out="runs")
"""

from limbeck.grids.folder import CellState, GridFolder, read_failure, states
from limbeck.grids.grid import Grid, GridCell, cells
from limbeck.grids.scheduler import run_grid

__all__ = ["CellState", "Grid", "GridCell", "GridFolder", "cells", "read_failure", "run_grid", "states"]
