"""Temperature scaling (Guo et al. 2017, arXiv 1706.04599): one number that makes confidences milder or bolder.

The top answer's confidence p alone becomes sigmoid(logit(p) / T). Where every choice has a probability they become
softmax(log p / T). The first is the second with the choices "right" (p) and "wrong" (1 - p), so all is for choices.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from limbeck.metrics.graded import Graded
from limbeck.metrics.reliability import ece
from limbeck.stats.intervals import Floats, Interval, Ints, Z

# Probabilities are kept this far from 0 and 1 before a logarithm is taken (2.2e-16, as scikit-learn does): being sure
# and wrong costs at most 36 nats.
EPSILON = float(np.finfo(np.float64).eps)

_LOG_RANGE = float(np.log(100.0))  # T is searched from 1/100 to 100
_FLAT = 1e-12  # nats: losses closer than this are equal

_Choices = tuple[Floats, Ints]
"""Log-probabilities [N, K], -inf for what is no choice of that row, and the labels' columns [N]."""


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
    return _fit(_choices(answers))


def scaling(answers: Graded, temperature: Temperature | None, *, seed: int) -> dict[str, Any]:
    """Measure what scaling does to answers that the temperature was not fitted on.

    Without a `temperature` from validation data the answers are halved at random, and each half is scaled by the other
    half's temperature (cross-fitting).

    Returns:
        `nll_before`, `nll_after`: mean negative log-likelihood of correctness, or of the label where all choices have
        probabilities; `ece_before`, `ece_after`: equal-width calibration error of the confidence, or of the likeliest
        choice; None with a `reason` where undefined.
    """
    if not len(answers):
        return dict.fromkeys(("nll_before", "nll_after", "ece_before", "ece_after")) | {"reason": "no answers"}
    binary = answers.probabilities is None
    before = _choices(answers)
    after, reason = _scaled(before, temperature) if temperature else _cross_fitted(before, seed)
    return {
        "nll_before": _nll(before),
        "nll_after": _nll(after) if after else None,
        "ece_before": _ece(before, binary),
        "ece_after": _ece(after, binary) if after else None,
        "reason": reason,
    }


def _choices(answers: Graded) -> _Choices:
    if answers.probabilities is None or answers.labels is None:
        clipped = np.clip(answers.confidence, EPSILON, 1 - EPSILON)
        return np.stack([np.log(clipped), np.log1p(-clipped)], axis=1), np.where(answers.correct, 0, 1)
    with np.errstate(divide="ignore"):
        return np.log(answers.probabilities), answers.labels


def _scaled(choices: _Choices, temperature: Temperature) -> tuple[_Choices | None, str | None]:
    if temperature.value is None:
        return None, temperature.reason
    return (log_softmax(choices[0] / temperature.value, axis=1), choices[1]), None


def _cross_fitted(choices: _Choices, seed: int) -> tuple[_Choices | None, str | None]:
    log_p, labels = choices
    order = np.random.default_rng(seed).permutation(len(labels))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    scaled_log_p = np.empty_like(log_p)
    for half, fitted_half in (halves, halves[::-1]):
        temperature = _fit((log_p[fitted_half], labels[fitted_half]))
        scaled, reason = _scaled((log_p[half], labels[half]), temperature)
        if scaled is None:
            return None, f"in one half of the answers: {reason}"
        scaled_log_p[half] = scaled[0]
    return (scaled_log_p, labels), None


def _fit(choices: _Choices) -> Temperature:
    n = len(choices[1])
    if n < 2:
        return Temperature(None, None, n, "fewer than two answers")

    def loss(log_temperature: float) -> float:
        return _nll(choices, float(np.exp(log_temperature)))

    minimum = minimize_scalar(loss, bounds=(-_LOG_RANGE, _LOG_RANGE), method="bounded", options={"xatol": 1e-9})
    cold, hot = (loss(end) - minimum.fun < _FLAT for end in (-_LOG_RANGE, _LOG_RANGE))
    if cold and hot:
        return Temperature(None, None, n, "no temperature changes these confidences")
    if cold:
        return Temperature(None, None, n, "the colder the likelier: the likeliest answer is always right")
    if hot:
        return Temperature(None, None, n, "the milder the likelier: surer answers are not right more often")
    value = float(np.exp(minimum.x))
    return Temperature(value, _interval(choices, value), n)


def _nll(choices: _Choices, temperature: float = 1.0) -> float:
    scaled = choices[0] / temperature
    label_log_p = np.take_along_axis(scaled, choices[1][:, None], axis=1)[:, 0]
    return float(np.minimum(logsumexp(scaled, axis=1) - label_log_p, -np.log(EPSILON)).mean())


def _interval(choices: _Choices, value: float) -> Interval:
    log_p, labels = choices
    finite = np.where(np.isfinite(log_p), log_p, 0.0)
    weight = np.exp(log_softmax(log_p / value, axis=1))
    mean = (weight * finite).sum(axis=1)
    label_log_p = np.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    slope = np.where(np.isfinite(label_log_p), mean - label_log_p, 0.0)
    curvature = (weight * (finite - mean[:, None]) ** 2).sum()
    half = Z * np.sqrt((slope**2).sum()) / curvature * value
    return float(value * np.exp(-half)), float(value * np.exp(half))


def _ece(choices: _Choices, binary: bool) -> float | None:
    probabilities, labels = np.exp(choices[0]), choices[1]
    if binary:
        return ece(probabilities[:, 0], labels == 0)
    return ece(np.minimum(probabilities.max(axis=1), 1.0), probabilities.argmax(axis=1) == labels)
