"""Objectives as values: terms, divergences and the table of methods. `fused` computes them, and alone loads torch."""

from limbeck.objectives.divergences import DIVERGENCES, POOLS
from limbeck.objectives.methods import METHODS, Method, objective
from limbeck.objectives.settings import NamedObjective, ObjectiveSettings
from limbeck.objectives.terms import AlignmentTerm, Objective, TokenTerm

__all__ = [
    "DIVERGENCES",
    "METHODS",
    "POOLS",
    "AlignmentTerm",
    "Method",
    "NamedObjective",
    "Objective",
    "ObjectiveSettings",
    "TokenTerm",
    "objective",
]
