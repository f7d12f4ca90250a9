"""Temperature scaling (Guo et al. 2017, arXiv 1706.04599): one number that makes confidences milder or bolder.

The top answer's confidence p alone becomes sigmoid(logit(p) / T). Where every choice has a probability they become
softmax(log p / T). The first is the second with choices "right" (p) and "wrong" (1 - p), so all is done for choices.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp, ndtri

from limbeck.metrics.reliability import ece
from limbeck.stats.graded import Flags, Floats, Graded, Ints, graded
from limbeck.stats.intervals import Interval

# Probabilities are kept this far from 0 and 1 before a logarithm is taken (2.2e-16, as scikit-learn does): being sure
# and wrong costs at most 36 nats.
EPSILON = float(np.finfo(np.float64).eps)

_RANGE = 100.0  # T is looked for from 1/100 to 100
_FLAT = 1e-12  # nats: losses that are closer are the same


@dataclass(frozen=True, slots=True)
class Temperature:
    """The T that makes n answers likeliest, and its 95 % interval. None where there is none; `reason` then says why."""

    value: float | None
    interval: Interval | None
    n: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Scaling:
    """What a temperature does to answers that it was not fitted on. None where undefined.

    Negative log-likelihood is that of correctness, or where choices have probabilities that of the label; the
    calibration error (equal-width) is that of the confidence, or of the likeliest choice.
    """

    nll_before: float | None
    nll_after: float | None
    ece_before: float | None
    ece_after: float | None
    reason: str | None = None  # why there is no "after"


@dataclass(frozen=True, slots=True)
class _Choices:
    log: Floats  # [N, K], log-probabilities; -inf for what is no choice of that row
    label: Ints  # [N]
    binary: bool  # whether the choices are "right" and "wrong"

    def rows(self, which: Ints) -> "_Choices":
        return _Choices(self.log[which], self.label[which], self.binary)


def fit_temperature(
    confidence: ArrayLike, correct: ArrayLike, probabilities: ArrayLike | None = None, labels: ArrayLike | None = None
) -> Temperature:
    """T at the least mean negative log-likelihood, on validation data. Arguments as `calibrate` has them.

    The loss is convex in 1/T, so the minimum is the only one. T does not exist (None, with the reason) for n < 2, where
    no temperature changes the loss (all confidences 1/2, or one choice), and where the loss keeps falling to an end of
    the range 0.01 to 100 (every answer is right and likeliest; or confidence says nothing). A choice of probability 0
    keeps it. The interval is Wald's for log T with the sandwich variance: T exp(+-1.96 sqrt(sum g^2) / sum h / s) for
    s = 1/T, where g and h are a row's first and second derivative of the loss by s.

    Raises:
        LimbeckError: as `graded`.
    """
    return _fit(_choices(graded(confidence, correct, probabilities, labels)))


def scaling(answers: Graded, fitted: Temperature | None, seed: int) -> Scaling:
    """Before and after on `answers`: at the temperature fitted on other data, or by two-fold cross-fitting.

    Cross-fitting: the answers are halved at random, and each half is scaled by the temperature of the other half.
    """
    choices = _choices(answers)
    if not len(choices.label):
        return Scaling(None, None, None, None, "no answers")
    after, reason = _at(choices, fitted) if fitted else _crossed(choices, seed)
    later = (_nll(after), _ece(after)) if after else (None, None)
    return Scaling(_nll(choices), later[0], _ece(choices), later[1], reason)


def _at(choices: _Choices, fitted: Temperature) -> tuple[_Choices | None, str | None]:
    if fitted.value is None:
        return None, fitted.reason
    return _Choices(log_softmax(choices.log / fitted.value, axis=1), choices.label, choices.binary), None


def _crossed(choices: _Choices, seed: int) -> tuple[_Choices | None, str | None]:
    order = np.random.default_rng(seed).permutation(len(choices.label))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    log = np.empty_like(choices.log)
    for half, other in (halves, halves[::-1]):
        scaled, reason = _at(choices.rows(half), _fit(choices.rows(other)))
        if scaled is None:
            return None, f"in one half of the answers: {reason}"
        log[half] = scaled.log
    return _Choices(log, choices.label, choices.binary), None


def _choices(answers: Graded) -> _Choices:
    if answers.probabilities is None or answers.labels is None:
        return _Choices(_two(answers.confidence), np.where(answers.correct, 0, 1), True)
    with np.errstate(divide="ignore"):
        return _Choices(np.log(answers.probabilities), answers.labels, False)


def _two(confidence: Floats) -> Floats:
    clipped = np.clip(confidence, EPSILON, 1 - EPSILON)
    return np.stack([np.log(clipped), np.log1p(-clipped)], axis=1)


def _fit(choices: _Choices) -> Temperature:
    n = len(choices.label)
    if n < 2:
        return Temperature(None, None, n, "fewer than two answers")

    def loss(log_temperature: float) -> float:
        return _nll(choices, float(np.exp(log_temperature)))

    end = float(np.log(_RANGE))
    found = minimize_scalar(loss, bounds=(-end, end), method="bounded", options={"xatol": 1e-9})
    cold, hot = (loss(at) - found.fun < _FLAT for at in (-end, end))
    if cold and hot:
        return Temperature(None, None, n, "no temperature changes these confidences")
    if cold:
        return Temperature(None, None, n, "the colder the likelier: the likeliest is always right, none is best")
    if hot:
        return Temperature(None, None, n, "the milder the likelier: surer answers are no oftener right, none is best")
    value = float(np.exp(found.x))
    return Temperature(value, _interval(choices, value), n)


def _nll(choices: _Choices, temperature: float = 1.0) -> float:
    scaled = choices.log / temperature
    of_label = np.take_along_axis(scaled, choices.label[:, None], axis=1)[:, 0]
    return float(np.minimum(logsumexp(scaled, axis=1) - of_label, -np.log(EPSILON)).mean())


def _interval(choices: _Choices, value: float) -> Interval:
    log = np.where(np.isfinite(choices.log), choices.log, 0.0)
    weight = np.exp(log_softmax(choices.log / value, axis=1))
    mean = (weight * log).sum(axis=1)
    of_label = np.take_along_axis(choices.log, choices.label[:, None], axis=1)[:, 0]
    slope = np.where(np.isfinite(of_label), mean - of_label, 0.0)
    curvature = (weight * (log - mean[:, None]) ** 2).sum()
    half = ndtri(0.975) * np.sqrt((slope**2).sum()) / curvature * value
    return float(value * np.exp(-half)), float(value * np.exp(half))


def _ece(choices: _Choices) -> float | None:
    probabilities = np.exp(choices.log)
    if choices.binary:
        return ece(probabilities[:, 0], choices.label == 0)
    top: Flags = probabilities.argmax(axis=1) == choices.label
    return ece(np.minimum(probabilities.max(axis=1), 1.0), top)
