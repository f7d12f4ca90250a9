"""Evaluation: predictions and what they are worth."""

from limbeck.evaluation.accuracy import accuracy
from limbeck.evaluation.predictions import choices_of, predict
from limbeck.evaluation.settings import Answers, EvaluationSettings

__all__ = ["Answers", "EvaluationSettings", "accuracy", "choices_of", "predict"]
