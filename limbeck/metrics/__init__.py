"""Metrics: what predictions and rationales are worth. Importing the package loads no model library."""
