"""Temperature scaling (Guo et al. 2017, arXiv 1706.04599): one number that makes confidences milder or bolder.

The top answer's confidence p alone becomes sigmoid(logit(p) / T). Where every choice has a probability they become
softmax(log p / T). The first is the second with the choices "right" (p) and "wrong" (1 - p), so all is for choices.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from limbeck.metrics.graded import Graded
from limbeck.metrics.reliability import ece
from limbeck.stats.intervals import Floats, Interval, Ints, Z

# Probabilities are kept this far from 0 and 1 before a logarithm is taken (2.2e-16, as scikit-learn does): being sure
# and wrong costs at most 36 nats.
EPSILON = float(np.finfo(np.float64).eps)

_LOG_RANGE = float(np.log(100.0))  # T is searched from 1/100 to 100
_FLAT = 1e-12  # nats: losses closer than this are equal


@dataclass(frozen=True, slots=True)
class Temperature:
    """The T that makes n answers likeliest, and its 95 % interval; None with a `reason` where there is none."""

    value: float | None
    interval: Interval | None
    n: int
    reason: str | None = None


def fit_temperature(answers: Graded) -> Temperature:
    """Fit T at the least mean negative log-likelihood.

    The loss is convex in 1/T, so its minimum is unique. T does not exist for n < 2, where no temperature changes the
    loss (all confidences 1/2, or one choice), and where the loss keeps falling to an end of the range 0.01 to 100
    (every answer is right and likeliest; or confidence says nothing). The interval is Wald's for log T with the
    sandwich variance: T exp(+-1.96 sqrt(sum g^2) / sum h / s) for s = 1/T, where g and h are a row's first and second
    derivative of the loss by s.
    """
    return _fit(*_choices(answers))


def scaling(answers: Graded, temperature: Temperature | None, *, seed: int) -> dict[str, Any]:
    """Measure what scaling does to answers that the temperature was not fitted on.

    Without a `temperature` from validation data the answers are halved at random, and each half is scaled by the other
    half's temperature (cross-fitting).

    Returns:
        `nll_before`, `nll_after`: mean negative log-likelihood of correctness, or of the label where all choices have
        probabilities; `ece_before`, `ece_after`: equal-width calibration error of the confidence, or of the likeliest
        choice; None with a `reason` where undefined.
    """
    n = len(answers)
    if n == 0:
        return dict.fromkeys(("nll_before", "nll_after", "ece_before", "ece_after")) | {"reason": "no answers"}
    log_p, labels = _choices(answers)
    if temperature:
        parts = [(np.arange(n), temperature)]
    else:
        order = np.random.default_rng(seed).permutation(n)
        halves = order[: n // 2], order[n // 2 :]
        parts = [(rows, _fit(log_p[fitted], labels[fitted])) for rows, fitted in (halves, halves[::-1])]
    reason = next((fitted.reason for _, fitted in parts if fitted.value is None), None)
    scaled = np.empty_like(log_p)
    for rows, fitted in parts:
        scaled[rows] = log_softmax(log_p[rows] / (fitted.value or 1.0), axis=1)
    binary = answers.probabilities is None
    return {
        "nll_before": _nll(log_p, labels),
        "nll_after": None if reason else _nll(scaled, labels),
        "ece_before": _ece(log_p, labels, binary),
        "ece_after": None if reason else _ece(scaled, labels, binary),
        "reason": reason,
    }


def _choices(answers: Graded) -> tuple[Floats, Ints]:
    """Return log-probabilities [N, K], -inf for what is no choice of that row, and the labels' columns [N]."""
    if answers.probabilities is None or answers.labels is None:
        clipped = np.clip(answers.confidence, EPSILON, 1 - EPSILON)
        return np.stack([np.log(clipped), np.log1p(-clipped)], axis=1), np.where(answers.correct, 0, 1)
    with np.errstate(divide="ignore"):
        return np.log(answers.probabilities), answers.labels


def _fit(log_p: Floats, labels: Ints) -> Temperature:
    n = len(labels)
    if n < 2:
        return Temperature(None, None, n, "fewer than two answers")

    def loss(log_temperature: float) -> float:
        return _nll(log_p / float(np.exp(log_temperature)), labels)

    minimum = minimize_scalar(loss, bounds=(-_LOG_RANGE, _LOG_RANGE), method="bounded", options={"xatol": 1e-9})
    cold, hot = (loss(end) - minimum.fun < _FLAT for end in (-_LOG_RANGE, _LOG_RANGE))
    if cold and hot:
        return Temperature(None, None, n, "no temperature changes these confidences")
    if cold:
        return Temperature(None, None, n, "the colder the likelier: the likeliest answer is always right")
    if hot:
        return Temperature(None, None, n, "the milder the likelier: surer answers are not right more often")
    value = float(np.exp(minimum.x))
    return Temperature(value, _interval(log_p, labels, value), n)


def _nll(log_p: Floats, labels: Ints) -> float:
    """Return the mean negative log-likelihood of labels; rows of `log_p` need not be normalised."""
    nll = -np.take_along_axis(log_softmax(log_p, axis=1), labels[:, None], axis=1)
    return float(np.minimum(nll, -np.log(EPSILON)).mean())


def _interval(log_p: Floats, labels: Ints, value: float) -> Interval:
    finite = np.where(np.isfinite(log_p), log_p, 0.0)
    weight = np.exp(log_softmax(log_p / value, axis=1))
    mean = (weight * finite).sum(axis=1)
    label_log_p = np.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    slope = np.where(np.isfinite(label_log_p), mean - label_log_p, 0.0)
    curvature = (weight * (finite - mean[:, None]) ** 2).sum()
    half = Z * np.sqrt((slope**2).sum()) / curvature * value
    return float(value * np.exp(-half)), float(value * np.exp(half))


def _ece(log_p: Floats, labels: Ints, binary: bool) -> float | None:
    p = np.exp(log_p)
    if binary:
        return ece(p[:, 0], labels == 0)
    return ece(np.minimum(p.max(axis=1), 1.0), p.argmax(axis=1) == labels)
