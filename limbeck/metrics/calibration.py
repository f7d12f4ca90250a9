"""Calibration: whether answers given with confidence p are right p of the time, and how sure one can be of that."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from limbeck.metrics.estimates import (
    BinnedError,
    Estimate,
    bootstrap,
    by_chance,
    error_interval,
    simulate_hits,
    simulate_labels,
)
from limbeck.metrics.reliability import Bin, equal_mass, equal_width, reliability
from limbeck.metrics.temperature import EPSILON, Scaling, Temperature, fit_temperature, scaling
from limbeck.stats.graded import Floats, Graded, Ints, graded
from limbeck.stats.intervals import DRAWS, wilson

_MEANS = ("accuracy", "average_confidence", "brier", "brier_choices", "nll", "nll_choices")
_ERRORS = ("ece", "adaptive_ece", "classwise_ece", "mce")


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well confidence p [N] tells correctness y [N] (0 or 1). None: undefined, or without choices' probabilities.

    Errors over ten bins b with gap_b = |mean y - mean p|:
    - `ece`: sum_b n_b/n gap_b, bins (0, .1] to (.9, 1], 0 in the first (Guo et al. 2017, arXiv 1706.04599, eq. 3).
    - `mce`: max_b gap_b over the same bins (eq. 5).
    - `adaptive_ece`: as `ece` over bins of equal mass (Nixon et al. 2019, arXiv 1904.01685).
    - `classwise_ece`: mean over choices k of the ece of p_k against [label = k] (Kull et al. 2019, arXiv 1910.12656);
      k are the choices that are some label or that every row has, so that what a student wrote once instead of one of
      them is no class.
    All are above zero by chance even where confidences are right, the more so the smaller n: `if_calibrated` says how
    far, with correctness drawn from Bernoulli(confidence) and labels from their probabilities.

    Proper scores: `brier` mean (p - y)^2; `brier_choices` mean sum_k (p_k - [label = k])^2, from 0 to 2 (Brier 1950);
    `nll` -mean(y log p + (1 - y) log(1 - p)); `nll_choices` -mean log p_label. For logarithms p is clipped to
    [2.2e-16, 1 - 2.2e-16], so that being sure and wrong costs 36.04 nats.

    Intervals are 95 %: Wilson's of `accuracy`, the percentile bootstrap over answers of the other means, and of the
    errors the bootstrap freed of its bias (`estimates.error_interval`; bins of equal mass stay where they are).

    `temperature` was fitted on these very answers, for use on others, or came from validation. `scaling` is what
    scaling does to answers that it was not fitted on: in the first case by two-fold cross-fitting.
    """

    n: int
    accuracy: Estimate | None
    average_confidence: Estimate | None
    ece: Estimate | None
    adaptive_ece: Estimate | None
    classwise_ece: Estimate | None
    mce: Estimate | None
    brier: Estimate | None
    brier_choices: Estimate | None
    nll: Estimate | None
    nll_choices: Estimate | None
    temperature: Temperature
    fitted_on: Literal["these answers", "validation"]
    scaling: Scaling
    bins: tuple[Bin, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: numbers under the fields' names, and beside `ece` for one `ece_interval`,
        `ece_expected_if_calibrated`, `ece_range_if_calibrated`, `ece_p_value`; None where undefined."""
        flat: dict[str, Any] = {"n": self.n}
        for name in (*_MEANS, *_ERRORS):
            one: Estimate | None = getattr(self, name)
            flat |= {name: one.value if one else None, f"{name}_interval": one.interval if one else None}
            if name in _ERRORS:
                chance = one.if_calibrated if one else None
                flat[f"{name}_expected_if_calibrated"] = chance.expected if chance else None
                flat[f"{name}_range_if_calibrated"] = chance.range if chance else None
                flat[f"{name}_p_value"] = chance.p_value if chance else None
        return flat | {
            "temperature": self.temperature.value,
            "temperature_interval": self.temperature.interval,
            "temperature_reason": self.temperature.reason,
            "temperature_fitted_on": self.fitted_on,
            "scaling": asdict(self.scaling),
            "bins": [asdict(one) for one in self.bins],
        }


def calibrate(
    confidence: ArrayLike,
    correct: ArrayLike,
    probabilities: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    validation: Temperature | None = None,
) -> Calibration:
    """Calibration of N answers: their `confidence` [N] in [0, 1], and whether they are `correct` [N].

    Args:
        probabilities: of all K choices, [N, K]; rows sum to one, a choice that a row lacks has 0.
        labels: the right choice's column, [N].
        draws: of the bootstrap, and of what chance would give.
        validation: what `fit_temperature` made of validation data.

    Raises:
        LimbeckError: as `graded`.
    """
    answers = graded(confidence, correct, probabilities, labels)
    n = len(answers.correct)
    found = _estimates(answers, draws, seed) if n else {}
    return Calibration(
        n=n,
        **{name: found.get(name) for name in (*_MEANS, *_ERRORS)},
        temperature=validation or fit_temperature(confidence, correct, probabilities, labels),
        fitted_on="validation" if validation else "these answers",
        scaling=scaling(answers, validation, seed),
        bins=reliability(answers.confidence, answers.correct),
    )


def _estimates(answers: Graded, draws: int, seed: int) -> dict[str, Estimate]:
    right, n = int(answers.correct.sum()), len(answers.correct)
    errors = _errors(answers)
    drawn = bootstrap(_means(answers), errors, draws, seed)
    values = {name: one.value for name, one in drawn.items()}
    top = {name: error for name, error in errors.items() if name != "classwise_ece"}
    nulls = by_chance(top, values, simulate_hits(answers.confidence, draws, seed))
    if answers.probabilities is not None:
        classes = {"classwise_ece": errors["classwise_ece"]}
        which = _classes(answers)
        hits = (block[:, which] for block in simulate_labels(answers.probabilities, draws, seed))
        nulls |= by_chance(classes, values, hits)
    found = {"accuracy": Estimate(right / n, wilson(right, n))}
    for name, one in drawn.items():
        chance = nulls.get(name)
        interval = error_interval(one, chance) if chance else one.middle
        found[name] = Estimate(one.value, interval if n > 1 else None, chance)
    return found


def _means(answers: Graded) -> dict[str, Floats]:
    """Of each score that is a mean over answers, every answer's, [N]."""
    p, y = answers.confidence, answers.correct
    scores = {"average_confidence": p, "brier": (p - y) ** 2, "nll": -np.log(_clip(np.where(y, p, 1 - p)))}
    if answers.probabilities is not None and answers.labels is not None:
        hit = answers.labels[:, None] == np.arange(answers.probabilities.shape[1])
        scores["brier_choices"] = ((answers.probabilities - hit) ** 2).sum(axis=1)
        scores["nll_choices"] = -np.log(_clip(answers.probabilities[hit]))
    return scores


def _errors(answers: Graded) -> dict[str, BinnedError]:
    p, y = answers.confidence[:, None], answers.correct[:, None]
    errors = {
        "ece": BinnedError(equal_width(p), p, y),
        "adaptive_ece": BinnedError(equal_mass(answers.confidence)[:, None], p, y),
        "mce": BinnedError(equal_width(p), p, y, largest=True),
    }
    if answers.probabilities is not None and answers.labels is not None:
        which = _classes(answers)
        among, hit = answers.probabilities[:, which], answers.labels[:, None] == which
        errors["classwise_ece"] = BinnedError(equal_width(among), among, hit)
    return errors


def _classes(answers: Graded) -> Ints:
    """The columns of the choices that are some label or have a probability in every row."""
    if answers.probabilities is None or answers.labels is None:
        return np.empty(0, dtype=np.int64)
    everywhere = np.flatnonzero((answers.probabilities > 0).all(axis=0))
    return np.union1d(everywhere, answers.labels)


def _clip(probabilities: Floats) -> Floats:
    return np.clip(probabilities, EPSILON, 1 - EPSILON)
