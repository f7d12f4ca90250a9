"""Objectives as values: terms, divergences and the table of methods. `fused` computes them, and alone loads torch."""

from limbeck.objectives.divergences import DIVERGENCES, POOLS
from limbeck.objectives.methods import METHODS
from limbeck.objectives.settings import ObjectiveSettings
from limbeck.objectives.terms import AlignmentTerm, Objective

__all__ = ["DIVERGENCES", "METHODS", "POOLS", "AlignmentTerm", "Objective", "ObjectiveSettings"]
