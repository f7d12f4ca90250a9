"""Metrics: what predictions and rationales are worth. Importing this room loads no model library."""
