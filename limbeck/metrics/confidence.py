"""Confidence of a student in its answer: four definitions, each a number from 0 to 1.

With p_t the probability of an answer's t-th token given the text and the tokens before it, the end token included:

- `sequence`: prod_t p_t; `normalised`: (prod_t p_t)^(1/T); `first-token`: max_v p(v) where the first token is written.
- `choices`: P(answer) / sum_c P(c), with P as in `sequence` and c over the choices, and over the answer itself where it
  counts as none of them.

The default is `choices` where there are any, elsewhere `sequence`. In a joint view they are of the label's tokens
alone, given what was written before, and there is no `choices`, because each choice would need a pass of its own.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from limbeck.metrics.calibration import calibrate
from limbeck.metrics.graded import graded
from limbeck.metrics.selective import selective
from limbeck.models import Definition
from limbeck.schema import Prediction

Confidences = tuple[dict[str, float], dict[str, float] | None]
"""Confidences by definition, and the probabilities of the choices, which sum to 1; None without choices."""


def confidences(
    log_p: Sequence[float], first: float, *, choices: Mapping[str, float] | None = None, answer: str | None = None
) -> Confidences | None:
    """Compute every defined confidence of an answer; None where the student's probabilities are NaN.

    Args:
        log_p: log-probabilities of the answer's tokens, one at least.
        first: the highest log-probability over the vocabulary where the first token is written.
        choices: log-probabilities of whole answers: the choices, and an answer that is none of them.
        answer: the one of `choices` that the answer counts as.
    """
    total = math.fsum(log_p)
    logs = {"sequence": total, "normalised": total / len(log_p), "first-token": first}
    shares = softmax(list(choices.values())).tolist() if choices else []
    numbers = [*(math.exp(value) for value in logs.values()), *shares]
    if any(map(math.isnan, numbers)):
        return None
    rounded = [float(f"{number:.7g}") for number in numbers]  # the digits of a probability computed in float32
    by_definition = dict(zip(logs, rounded, strict=False))
    probabilities = dict(zip(choices, rounded[len(logs) :], strict=True)) if choices else None
    if probabilities is not None and answer is not None:
        by_definition["choices"] = probabilities[answer]
    return by_definition, probabilities


def compare_definitions(predictions: Sequence[Prediction], *, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Measure each definition of confidence on the graded predictions that have it, to choose one.

    A question without an answer counts with a confidence of 0 in every definition.

    Returns:
        By definition, JSON-ready: `n` and `without_confidence`, answers measured and left out; metrics of `calibrate`
        and `selective`; `auroc`, None where all are right, or all wrong. AURC and AUROC are about the order of answers
        alone, so that no temperature changes them.
    """
    predictions = [prediction for prediction in predictions if prediction.correct is not None]
    metrics = {}
    for name in get_args(Definition):
        if not any(name in (prediction.confidences or {}) for prediction in predictions):
            continue
        values = [0.0 if p.blank else (p.confidences or {}).get(name) for p in predictions]
        pairs = [(value, p.correct) for value, p in zip(values, predictions, strict=True) if value is not None]
        columns = [value for value, _ in pairs], [bool(correct) for _, correct in pairs]
        answers = graded(*columns)
        calibration, ranking = calibrate(answers, seed=seed), selective(*columns, seed=seed)
        keys = ("average_confidence", "ece", "brier", "nll")
        metrics[name] = {
            "n": len(answers),
            "without_confidence": len(predictions) - len(answers),
            **{key: calibration[key] for metric in keys for key in (metric, f"{metric}_interval")},
            "ece_expected_if_calibrated": calibration["ece_expected_if_calibrated"],
            "aurc": ranking.aurc,
            "aurc_interval": ranking.aurc_interval,
            "auroc": float(roc_auc_score(columns[1], columns[0])) if len(set(columns[1])) == 2 else None,
        }
    return metrics
