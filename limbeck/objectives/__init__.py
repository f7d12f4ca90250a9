"""Objectives as values: terms and the table of methods. `fused` computes them, and alone loads torch."""

from limbeck.objectives.methods import METHODS, ObjectiveSettings
from limbeck.objectives.terms import DIVERGENCES, POOLS, AlignmentTerm, Objective

__all__ = ["DIVERGENCES", "METHODS", "POOLS", "AlignmentTerm", "Objective", "ObjectiveSettings"]
