"""Evaluation: predictions and what they are worth."""

from limbeck.evaluation.accuracy import accuracy
from limbeck.evaluation.predictions import choices_of, predict
from limbeck.evaluation.settings import EvaluationSettings

__all__ = ["EvaluationSettings", "accuracy", "choices_of", "predict"]
