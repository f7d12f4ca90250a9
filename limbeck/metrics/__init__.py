"""Evaluation: predictions and what they are worth."""

from limbeck.metrics.accuracy import accuracy
from limbeck.metrics.predictions import choices_of, predict
from limbeck.metrics.settings import EvaluationSettings

__all__ = ["EvaluationSettings", "accuracy", "choices_of", "predict"]
