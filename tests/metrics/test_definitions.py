"""The definitions of confidence side by side, against scikit-learn and the measures taken one by one."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from limbeck.metrics.definitions import auroc, by_definition
from limbeck.metrics.selective import selective
from limbeck.schema import Prediction


def answered(id: int, correct: bool | None, confidences: dict[str, float] | None) -> Prediction:
    return Prediction(str(id), "?", "a", "a", correct, correct, confidence=None, confidences=confidences)


def test_the_area_is_scikit_learns_ties_and_all():
    rng = np.random.default_rng(0)
    for n in (2, 5, 300):
        confidence = rng.integers(0, 4, size=n) / 3
        correct = np.arange(n) % 3 == 0
        assert auroc(confidence, correct) == pytest.approx(roc_auc_score(correct, confidence), abs=1e-12)
    assert auroc([0.1, 0.9], [True, True]) is None
    assert auroc([], []) is None


def test_every_definition_on_the_answers_that_have_it():
    rng = np.random.default_rng(1)
    sure, right = rng.uniform(size=60), rng.uniform(size=60) < 0.5
    rows = [
        answered(i, bool(right[i]), {"sequence": float(sure[i]), "normalised": float(sure[i] ** 0.5)})
        for i in range(60)
    ]
    found = by_definition([*rows, answered(60, None, {"first-token": 0.5})])  # without a label it counts for nothing
    assert list(found) == ["sequence", "normalised"]
    for name, values in (("sequence", sure), ("normalised", sure**0.5)):
        assert found[name]["average_confidence"] == pytest.approx(values.mean())
        assert found[name]["brier"] == pytest.approx(brier_score_loss(right, values))
        low, high = found[name]["ece_interval"]
        assert low <= found[name]["ece"] <= high
    # a square root changes no order
    assert found["normalised"]["auroc"] == found["sequence"]["auroc"] == pytest.approx(roc_auc_score(right, sure))
    assert found["normalised"]["aurc"] == found["sequence"]["aurc"] == selective(sure, right).aurc
    found = by_definition([*rows, answered(60, True, {"sequence": 0.5})])  # one answer lacks a definition
    assert [(found[name]["n"], found[name]["without_confidence"]) for name in found] == [(61, 0), (60, 1)]
    assert found["normalised"]["average_confidence"] == pytest.approx((sure**0.5).mean())
    assert by_definition([answered(0, True, None)]) == by_definition([]) == {}
