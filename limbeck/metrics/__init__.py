"""Metrics: what predictions and rationales are worth. `limbeck/runs/evaluation.py` says which a run is given.

Importing the package loads no model library.
"""
