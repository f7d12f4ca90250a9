"""Grids: many recipes from one file, each a run in a folder of its own, several trained at a time.

>>> from limbeck.grids import Grid, run_grid
>>> run_grid([Grid.load("grid.yaml")], out="runs")
"""

from limbeck.grids.board import State, states
from limbeck.grids.cells import Cell, cells
from limbeck.grids.folders import Folders
from limbeck.grids.grid import Grid
from limbeck.grids.run import run_grid

__all__ = ["Cell", "Folders", "Grid", "State", "cells", "run_grid", "states"]
