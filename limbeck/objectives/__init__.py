"""Objectives: what a student is trained for, as values (terms, measures, methods) and as losses."""

from limbeck.objectives.chunk import IGNORE
from limbeck.objectives.losses import ViewStates, gradient_shares, losses, term_counts
from limbeck.objectives.measures import MEASURES
from limbeck.objectives.methods import METHODS, Method, objective
from limbeck.objectives.pooling import POOLS
from limbeck.objectives.settings import NamedObjective, ObjectiveSettings
from limbeck.objectives.terms import AlignmentTerm, Objective, TokenTerm

__all__ = [
    "IGNORE",
    "MEASURES",
    "METHODS",
    "POOLS",
    "AlignmentTerm",
    "Method",
    "NamedObjective",
    "Objective",
    "ObjectiveSettings",
    "TokenTerm",
    "ViewStates",
    "gradient_shares",
    "losses",
    "objective",
    "term_counts",
]
