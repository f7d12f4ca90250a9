"""Calibration of confidences, before and after temperature scaling (Guo et al. 2017, arXiv 1706.04599).

Choices' probabilities become softmax(log p / T); an answer's p alone is that of "right" beside "wrong" (1 - p).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import scipy  # loads modules on use

from limbeck.metrics.graded import Graded, as_arrays
from limbeck.metrics.selective import selective
from limbeck.models import Definition
from limbeck.schema import Prediction
from limbeck.stats.intervals import DRAWS, Flags, Floats, Interval, Ints, Z, block_sizes, bootstrap, percentiles, wilson

BINS = 10  # as in the paper
_TIE = 1e-12  # rounding of errors and slopes
_EPSILON = float(np.finfo(np.float64).eps)  # least distance from 0 and 1: an error costs 36 nats at most
_SCALES = 0.01, 100.0  # bounds of 1/T

TITLES = {
    "accuracy": "accuracy",
    "average_confidence": "average confidence",
    "ece": "expected calibration error (ECE), 10 bins of equal width",
    "adaptive_ece": "ECE, 10 bins of equal mass (adaptive)",
    "brier": "Brier score of the answer",
    "brier_choices": "Brier score of all choices",
    "nll": "negative log-likelihood (NLL) of being right, nats",
    "nll_choices": "negative log-likelihood of the label, nats",
}
OF_CHOICES = ("brier_choices", "nll_choices")
_ERRORS = ("ece", "adaptive_ece")


def equal_width(confidence: Floats) -> Ints:
    """Return the bin, 0 to 9, of every confidence [...]: (0, .1] with 0, (.1, .2] to (.9, 1] (Guo et al., eq. 3)."""
    return np.searchsorted(np.arange(1, BINS) / BINS, confidence)  # doubles nearest to .1, .2, ...


def equal_mass(confidence: Floats) -> Ints:
    """Return bins, 0 to 9, of a tenth of the confidences [N] each, ties together (Nixon et al. 2019)."""
    _, index, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - counts / 2)[index]  # equals have the mean of theirs
    return (ranks * BINS / len(confidence)).astype(np.int64)


def ece(confidence: Floats, correct: Flags) -> float:
    """Return the expected calibration error, the sum over equal-width bins b of n_b/n |acc_b - conf_b|."""
    gaps = np.bincount(equal_width(confidence), weights=correct - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def reliability(answers: Graded) -> list[dict[str, Any]]:
    """Return the ten bins of the reliability diagram; an empty one's means are None."""
    bin_of, bins = equal_width(answers.confidence), []
    for index in range(BINS):
        p, correct = answers.confidence[bin_of == index], answers.correct[bin_of == index]
        n, right = len(p), int(correct.sum())
        means = {"confidence": float(p.mean()) if n else None, "accuracy": right / n if n else None}
        bins.append({"low": index / BINS, "high": (index + 1) / BINS, "n": n, **means, "interval": wilson(right, n)})
    return bins


@dataclass(frozen=True, slots=True)
class Temperature:
    """The T that makes answers likeliest, with its 95 % interval; None with a `reason`."""

    value: float | None = None
    interval: Interval | None = None
    reason: str | None = None


def fit_temperature(answers: Graded, rows: Ints | slice = slice(None)) -> Temperature:
    """Fit T on some rows at the least mean negative log-likelihood, which is convex in s = 1/T.

    Labels of probability 0 are left out. The interval is Wald's for log T with the sandwich variance: T exp(+-1.96
    sqrt(sum g^2) / sum h / s) for a row's first and second derivatives g and h of the loss by s.
    """
    log_p, labels = (array[rows] for array in _choices(answers))
    label_log_p = log_p[np.arange(len(labels)), labels]
    possible = np.isfinite(label_log_p)
    log_p, label_log_p = log_p[possible], label_log_p[possible]
    if len(label_log_p) < 2:
        return Temperature(reason="fewer than two answers")
    finite = np.where(np.isfinite(log_p), log_p, 0.0)

    def slopes(scale: float) -> Floats:
        return (scipy.special.softmax(scale * log_p, axis=1) * finite).sum(axis=1) - label_log_p

    low, high = _SCALES
    if slopes(low).mean() > -_TIE or slopes(high).mean() < _TIE:
        return Temperature(reason="none is best: answers are all right, or confidence is no guide")
    scale = scipy.optimize.brentq(lambda scale: slopes(scale).mean(), low, high)
    weights = scipy.special.softmax(scale * log_p, axis=1)
    curvature = (weights * (finite - (weights * finite).sum(axis=1, keepdims=True)) ** 2).sum()
    ratio = float(np.exp(Z * np.sqrt((slopes(scale) ** 2).sum()) / curvature / scale))
    return Temperature(1 / scale, (1 / scale / ratio, 1 / scale * ratio))


def _choices(answers: Graded) -> tuple[Floats, Ints]:
    """Return log-probabilities [N, K], -inf for choices of other rows, and the labels' columns [N]."""
    if answers.probabilities is None or answers.labels is None:
        clipped = np.clip(answers.confidence, _EPSILON, 1 - _EPSILON)
        return np.stack([np.log(clipped), np.log1p(-clipped)], axis=1), np.where(answers.correct, 0, 1)
    with np.errstate(divide="ignore"):
        return np.log(answers.probabilities), answers.labels


def _scaling(answers: Graded, temperature: Temperature | None, seed: int) -> dict[str, Any]:
    """Measure NLL and ECE before and after scaling by `temperature`, or of each random half by the other's."""
    log_p, labels = _choices(answers)
    rows = np.arange(len(labels))
    if temperature:
        scalings = [(rows, temperature)]
    else:
        first, second = np.split(np.random.default_rng(seed).permutation(rows), [len(rows) // 2])
        scalings = [(first, fit_temperature(answers, second)), (second, fit_temperature(answers, first))]
    scaled = log_p.copy()
    for half, fitted in scalings:
        scaled[half] /= fitted.value or 1.0
    reason = next((fitted.reason for _, fitted in scalings if fitted.value is None), None)
    measured: dict[str, Any] = {"nll_after": None, "ece_after": None, "reason": reason}
    stages = {"before": np.exp(log_p)} | ({} if reason else {"after": scipy.special.softmax(scaled, axis=1)})
    for name, p_NK in stages.items():
        answer = np.zeros_like(labels) if answers.probabilities is None else p_NK.argmax(axis=1)
        measured[f"nll_{name}"] = float(_nats(p_NK[rows, labels]).mean())
        measured[f"ece_{name}"] = ece(np.minimum(p_NK[rows, answer], 1.0), answer == labels)
    return measured


def calibrate(
    answers: Graded, *, seed: int = 0, draws: int = DRAWS, temperature: Temperature | None = None
) -> dict[str, Any]:
    """Measure the calibration of answers; without a `temperature` from validation data, one is fitted on them.

    JSON-ready, None where undefined: every metric of `TITLES` with NAME`_interval` (None for n < 2), errors also with
    NAME`_expected_if_calibrated` and NAME`_p_value`: their mean and chance if correctness is Bernoulli(confidence).
    """
    fitted = temperature or fit_temperature(answers)
    n, right = len(answers.correct), int(answers.correct.sum())
    return {
        "n": n,
        "accuracy": right / n,
        "accuracy_interval": wilson(right, n),
        **dict.fromkeys(key for name in OF_CHOICES for key in (name, f"{name}_interval")),
        **_estimates(answers, draws, seed),
        "temperature": fitted.value,
        "temperature_interval": fitted.interval,
        "temperature_reason": fitted.reason,
        "temperature_fitted_on": "validation" if temperature else "these answers",
        "scaling": _scaling(answers, temperature, seed),
        "bins": reliability(answers),
    }


def _scores(answers: Graded) -> dict[str, Floats]:
    """Return the metrics that are means, by answer [N]."""
    p, correct = answers.confidence, answers.correct
    p_right = np.where(correct, p, 1 - p)
    scores = {"average_confidence": p, "brier": (1 - p_right) ** 2, "nll": _nats(p_right)}
    if answers.probabilities is not None and answers.labels is not None:
        p_NK = answers.probabilities
        is_label_NK = answers.labels[:, None] == np.arange(p_NK.shape[1])
        scores["brier_choices"] = ((p_NK - is_label_NK) ** 2).sum(axis=1)  # from 0 to 2 (Brier 1950)
        scores["nll_choices"] = _nats(p_NK[is_label_NK])
    return scores


def _nats(p: Floats) -> Floats:
    return -np.log(np.clip(p, _EPSILON, 1 - _EPSILON))


def _estimates(answers: Graded, draws: int, seed: int) -> dict[str, Any]:
    n, p_N1, scores = len(answers.correct), answers.confidence[:, None], _scores(answers)
    scores_SN, residuals_N1 = np.stack(list(scores.values())), answers.correct[:, None] - p_N1
    bins_2N = np.stack([equal_width(answers.confidence), equal_mass(answers.confidence)])
    members_EN = (bins_2N[:, None] == np.arange(BINS)[:, None]).reshape(-1, n).astype(np.float64)  # E = 2 BINS

    def errors(residuals_ND: Floats) -> Floats:
        return np.asarray(np.abs(members_EN @ residuals_ND).reshape(2, BINS, -1).sum(axis=1) / n)  # [2, D]

    def metrics(weights_ND: Floats) -> Floats:
        return np.concatenate([scores_SN @ weights_ND / n, errors(residuals_N1 * weights_ND)])

    values = metrics(np.ones((n, 1)))[:, 0].tolist()
    resampled = bootstrap(metrics, n, draws=draws, seed=seed)
    rng = np.random.default_rng(seed)
    calibrated = [errors((rng.random((n, size)) < p_N1) - p_N1) for size in block_sizes(n, draws)]
    by_chance = dict(zip(_ERRORS, np.concatenate(calibrated, axis=1), strict=True))
    estimates: dict[str, Any] = {}
    for name, value, sample in zip([*scores, *_ERRORS], values, resampled, strict=True):
        interval = percentiles(sample)
        if (chance := by_chance.get(name)) is not None:
            p_value = (1 + int((chance >= value - _TIE).sum())) / (1 + draws)
            interval = _error_interval(value, sample, p_value)
            estimates |= {f"{name}_expected_if_calibrated": float(chance.mean()), f"{name}_p_value": p_value}
        estimates |= {name: value, f"{name}_interval": interval if n > 1 else None}
    return estimates


def _error_interval(value: float, sample: Floats, p_value: float) -> Interval:
    """Return the interval of an error from its bootstrap sample, which is too high by twice the bias.

    The lower end is reflected at the value (basic bootstrap, Davison and Hinkley 1997, par. 5.2), or 0 where 0 is not
    rejected (p > 0.025); from the upper end the bias, mean - value, is subtracted.
    """
    upper = percentiles(sample)[1]
    low = 0.0 if p_value > 0.025 else max(0.0, 2 * value - upper)
    return min(low, value), max(upper - max(0.0, float(sample.mean()) - value), value)


def compare_definitions(predictions: Sequence[Prediction]) -> dict[str, dict[str, Any]]:
    """Measure each definition of confidence on the graded predictions that have it, JSON-ready.

    A question without an answer counts as 0; `auroc` is None where all answers are right, or all wrong.
    """
    from sklearn.metrics import roc_auc_score  # takes a second

    graded = [(p, p.confidences or {}) for p in predictions if p.correct is not None]
    keys = [key for name in ("average_confidence", "ece", "brier", "nll") for key in (name, f"{name}_interval")]
    metrics = {}
    for name in get_args(Definition):
        if not any(name in confidences for _, confidences in graded):
            continue
        rows = [replace(p, confidence=0.0 if p.blank else confidences.get(name)) for p, confidences in graded]
        rows = [row for row in rows if row.confidence is not None]
        answers = as_arrays(rows)
        calibration, ranking = calibrate(answers), selective(answers.confidence, answers.correct)
        both = 0 < answers.correct.mean() < 1
        metrics[name] = {
            "n": len(rows),
            "without_confidence": len(graded) - len(rows),
            **{key: calibration[key] for key in (*keys, "ece_expected_if_calibrated")},
            "aurc": ranking.aurc,
            "aurc_interval": ranking.aurc_interval,
            "auroc": float(roc_auc_score(answers.correct, answers.confidence)) if both else None,
        }
    return metrics
