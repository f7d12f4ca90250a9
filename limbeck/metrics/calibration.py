"""Calibration: are answers given with confidence p right p of the time, and how sure can one be of that?

A new metric is a function and a row: of `SCORES`, if it is a mean over answers, or of `BINNINGS`, if it is a
calibration error over ten bins. It then has its interval, its line on the page and its key in the JSON.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from limbeck.metrics.graded import Graded
from limbeck.metrics.reliability import BINS, equal_mass, equal_width, reliability
from limbeck.metrics.temperature import EPSILON, Temperature, fit_temperature, scaling
from limbeck.stats.intervals import (
    DRAWS,
    Flags,
    Floats,
    Interval,
    Ints,
    block_sizes,
    group_sums,
    percentiles,
    resample,
    wilson,
)

_TIE = 1e-12  # sums in another order differ by rounding; errors this close are equal


def brier(answers: Graded) -> Floats:
    """Return (p - y)^2 of each answer."""
    return (answers.confidence - answers.correct) ** 2


def nll(answers: Graded) -> Floats:
    """Return -(y log p + (1 - y) log(1 - p)) of each answer, in nats."""
    return _negative_log(np.where(answers.correct, answers.confidence, 1 - answers.confidence))


def brier_choices(answers: Graded) -> Floats:
    """Return sum_k (p_k - [label = k])^2 of each answer, from 0 to 2 (Brier 1950)."""
    assert answers.probabilities is not None
    return ((answers.probabilities - _label_hits(answers)) ** 2).sum(axis=1)


def nll_choices(answers: Graded) -> Floats:
    """Return -log p_label of each answer, in nats."""
    assert answers.probabilities is not None
    return _negative_log(answers.probabilities[_label_hits(answers)])


def _label_hits(answers: Graded) -> Flags:
    assert answers.probabilities is not None
    assert answers.labels is not None
    return answers.labels[:, None] == np.arange(answers.probabilities.shape[1])


def _negative_log(probabilities: Floats) -> Floats:
    """Return -log p with p clipped to [2.2e-16, 1 - 2.2e-16]: being sure and wrong costs 36.04 nats."""
    return -np.log(np.clip(probabilities, EPSILON, 1 - EPSILON))


SCORES: dict[str, Callable[[Graded], Floats]] = {
    "average_confidence": lambda answers: answers.confidence,
    "brier": brier,
    "nll": nll,
    "brier_choices": brier_choices,
    "nll_choices": nll_choices,
}
BINNINGS: dict[str, Callable[[Floats], Ints]] = {"ece": equal_width, "adaptive_ece": equal_mass}
OF_CHOICES = ("brier_choices", "nll_choices")
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


def calibrate(
    answers: Graded, *, seed: int = 0, draws: int = DRAWS, temperature: Temperature | None = None
) -> dict[str, Any]:
    """Measure the calibration of answers.

    Args:
        answers: N graded answers, N >= 0.
        seed: of the bootstrap, of what chance would give, and of cross-fitting.
        draws: of the bootstrap, and of what chance would give.
        temperature: fitted on validation data; without it, one is fitted on these answers.

    Returns:
        JSON-ready, None where undefined: `n`; `accuracy` and every metric of `SCORES` (those of choices only where
        choices have probabilities) and `BINNINGS`, each with NAME`_interval` (None for n < 2). Calibration errors are
        above zero by chance even for calibrated answers, so each also has NAME`_expected_if_calibrated`,
        NAME`_range_if_calibrated` (middle 95 %) and NAME`_p_value`, with correctness drawn from Bernoulli(confidence).
        `temperature` with `_interval`, `_reason` and `_fitted_on`; `scaling` as `temperature.scaling`; `bins` as
        `reliability`.

        Intervals are Wilson's for the accuracy, bootstrap percentiles for means, `_error_interval` for errors.
    """
    fitted = temperature or fit_temperature(answers)
    return {
        "n": len(answers),
        **_no_estimates(),
        **(_estimates(answers, draws, seed) if len(answers) else {}),
        "temperature": fitted.value,
        "temperature_interval": fitted.interval,
        "temperature_reason": fitted.reason,
        "temperature_fitted_on": "validation" if temperature else "these answers",
        "scaling": scaling(answers, temperature, seed=seed),
        "bins": [asdict(reliability_bin) for reliability_bin in reliability(answers.confidence, answers.correct)],
    }


def _no_estimates() -> dict[str, Any]:
    errors = [
        f"{name}_{key}" for name in BINNINGS for key in ("expected_if_calibrated", "range_if_calibrated", "p_value")
    ]
    return dict.fromkeys([*TITLES, *(f"{name}_interval" for name in TITLES), *errors])


def _estimates(answers: Graded, draws: int, seed: int) -> dict[str, Any]:
    n, confidence = len(answers), answers.confidence
    right = int(answers.correct.sum())
    per_answer = {
        name: score(answers)
        for name, score in SCORES.items()
        if name not in OF_CHOICES or answers.probabilities is not None
    }
    scores = np.stack(list(per_answer.values()))
    bins = [binning(confidence) for binning in BINNINGS.values()]
    gaps = [group_sums(binned, BINS, answers.correct - confidence) for binned in bins]

    def weighted(weights: Floats) -> Floats:
        errors = [np.abs(gap @ weights).sum(axis=0, keepdims=True) / n for gap in gaps]
        return np.concatenate([scores @ weights / n, *errors])

    values = weighted(np.ones((n, 1)))[:, 0]
    resampled = np.concatenate([weighted(weights) for weights in resample(n, draws, seed)], axis=1)
    by_chance = dict(zip(BINNINGS, _errors_by_chance(confidence, bins, draws, seed), strict=True))
    estimates: dict[str, Any] = {"accuracy": right / n, "accuracy_interval": wilson(right, n)}
    for name, value, drawn in zip([*per_answer, *BINNINGS], values.tolist(), resampled, strict=True):
        interval = percentiles(drawn)
        if (chance := by_chance.get(name)) is not None:
            p_value = (1 + int((chance >= value - _TIE).sum())) / (1 + draws)
            interval = _error_interval(value, drawn, p_value)
            estimates[f"{name}_expected_if_calibrated"] = float(chance.mean())
            estimates[f"{name}_range_if_calibrated"] = percentiles(chance)
            estimates[f"{name}_p_value"] = p_value
        estimates |= {name: value, f"{name}_interval": interval if n > 1 else None}
    return estimates


def _errors_by_chance(confidence: Floats, bins: list[Ints], draws: int, seed: int) -> Floats:
    """Return the errors [binnings, draws] of answers that are right exactly as often as their confidences say."""
    n, rng = len(confidence), np.random.default_rng(seed)
    members = [group_sums(binned, BINS) for binned in bins]
    blocks = []
    for size in block_sizes(n, draws):
        hits = (rng.random((n, size)) < confidence[:, None]).astype(np.float64)
        blocks.append([np.abs(m @ hits - (m @ confidence)[:, None]).sum(axis=0) / n for m in members])
    return np.concatenate(blocks, axis=1)


def _error_interval(value: float, drawn: Floats, p_value: float) -> Interval:
    """Return the interval of a calibration error from its bootstrap draws.

    A draw errs by chance on top of what the sample does by chance: the middle of the draws lies too high by twice the
    bias and never holds a true error of 0. So the lower end is reflected at the value (basic bootstrap, Davison and
    Hinkley 1997, par. 5.2), and is 0 where an error of 0 is not rejected (p > 0.025); the upper end is the draws' less
    their bias, mean - value. In simulations 90 to 98 % of such intervals hold the true error (n from 100; 85 % at
    n = 50), of plain ones 0 to 95 %.
    """
    upper = percentiles(drawn)[1]
    low = 0.0 if p_value > 0.025 else max(0.0, 2 * value - upper)
    return min(low, value), max(upper - max(0.0, float(drawn.mean()) - value), value)
