"""Grids: many recipes from one file, each a run in a folder of its own, several trained at a time.

>>> from limbeck.experiments.grids import Grid, run_grid
>>> run_grid([Grid.load("grid.yaml")], out="runs")
"""

from limbeck.experiments.grids.board import State, states
from limbeck.experiments.grids.cells import Cell, cells
from limbeck.experiments.grids.folders import Folders
from limbeck.experiments.grids.grid import Grid
from limbeck.experiments.grids.run import run_grid

__all__ = ["Cell", "Folders", "Grid", "State", "cells", "run_grid", "states"]
