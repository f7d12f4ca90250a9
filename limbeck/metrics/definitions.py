"""The definitions of confidence side by side, so that one can be chosen: which is calibrated, which ranks best."""

from collections.abc import Sequence
from typing import Any, get_args

from numpy.typing import ArrayLike
from scipy.stats import rankdata

from limbeck.metrics.calibration import calibrate
from limbeck.metrics.selective import selective
from limbeck.models import Definition
from limbeck.schema import Prediction
from limbeck.stats.graded import graded

_CALIBRATED = ("average_confidence", "ece", "brier", "nll")


def by_definition(predictions: Sequence[Prediction], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return each definition's measures, of the graded predictions that have it, JSON-ready.

    A question without an answer counts with a confidence of 0 by every definition.

    Returns:
        By definition: `n` and `without_confidence`, answers measured and left out; `average_confidence`, `ece`, `brier`
        and `nll` with `..._interval`, and `ece_expected_if_calibrated`, as `Calibration` has them, of the confidence as
        it is (no temperature); `aurc` with its interval as `Selective` has it; `auroc`. The last two are about the
        order of the answers alone, so that no temperature changes them.
    """
    answers = [one for one in predictions if one.correct is not None]
    found = {}
    for name in get_args(Definition):
        values = [(one.confidences or {}).get(name) if one.prediction.strip() else 0.0 for one in answers]
        known = [(value, bool(one.correct)) for one, value in zip(answers, values, strict=True) if value is not None]
        if any(name in (one.confidences or {}) for one in answers):
            sure, correct = zip(*known, strict=True)
            calibration, ranked = calibrate(sure, correct, seed=seed).to_dict(), selective(sure, correct, seed=seed)
            kept = [key for one in _CALIBRATED for key in (one, f"{one}_interval")]
            found[name] = {
                "n": len(known),
                "without_confidence": len(answers) - len(known),
                **{key: calibration[key] for key in (*kept, "ece_expected_if_calibrated")},
                "aurc": ranked.aurc,
                "aurc_interval": ranked.aurc_interval,
                "auroc": auroc(sure, correct),
            }
    return found


def auroc(confidence: ArrayLike, correct: ArrayLike) -> float | None:
    """How often a right answer is surer than a wrong one, of all such pairs; equals count half.

    That is the area under the ROC curve, (R - k (k + 1) / 2) / (k (n - k)), R the sum of the mid-ranks of the k right
    ones (Mann and Whitney). None where all answers are right, or all wrong.

    Raises:
        LimbeckError: as `graded`.
    """
    answers = graded(confidence, correct)
    k, n = int(answers.correct.sum()), len(answers.correct)
    if k in (0, n):
        return None
    ranks = float(rankdata(answers.confidence)[answers.correct].sum())
    return (ranks - k * (k + 1) / 2) / (k * (n - k))
