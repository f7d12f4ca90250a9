"""Objectives as values. Only `fused`, which computes them, loads torch."""

from limbeck.objectives.methods import METHODS, ObjectiveSettings
from limbeck.objectives.terms import DIVERGENCES, POOLS, AlignmentTerm, Objective

__all__ = ["DIVERGENCES", "METHODS", "POOLS", "AlignmentTerm", "Objective", "ObjectiveSettings"]
