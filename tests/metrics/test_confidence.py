"""The definitions of confidence against plain arithmetic, and beside one another against scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax as scipy_softmax
from sklearn.metrics import brier_score_loss, roc_auc_score

from limbeck.metrics.confidence import compare_definitions, confidences
from limbeck.metrics.selective import selective
from limbeck.schema import Prediction

LOG_P = st.floats(-2000, 0)


@settings(max_examples=40)
@given(st.lists(LOG_P, min_size=1, max_size=100), LOG_P, st.lists(LOG_P, max_size=6))
def test_definitions_are_their_equations(log_p, first, alternatives):
    choices = {str(i): value for i, value in enumerate([math.fsum(log_p), *alternatives])}
    by_definition, probabilities = confidences(log_p, first, choices=choices, answer="0")
    assert by_definition["sequence"] == pytest.approx(math.prod(map(math.exp, log_p)), rel=1e-6, abs=1e-300)
    assert by_definition["normalised"] == pytest.approx(math.exp(sum(log_p) / len(log_p)), rel=1e-6)
    assert by_definition["first-token"] == pytest.approx(math.exp(first), rel=1e-6)
    expected = scipy_softmax(list(choices.values())).tolist()
    assert list(probabilities.values()) == pytest.approx(expected, rel=1e-6)
    assert by_definition["choices"] == probabilities["0"]
    assert all(0 <= p <= 1 for p in [*by_definition.values(), *probabilities.values()])


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_broken_student_has_no_confidence(index):
    numbers = [-1.0, -1.0, -1.0]
    numbers[index] = math.nan
    assert confidences([numbers[0]], numbers[1], choices={"a": -1.0, "b": numbers[2]}, answer="a") is None


WORDS = ["", "yes", "sir", "Rationale:", "so", "Answer:", "yes", ""]


def prediction(id: int, correct: bool | None, by_definition: dict[str, float] | None) -> Prediction:
    return Prediction(str(id), "?", "a", "a", correct, correct, confidence=None, confidences=by_definition)


def test_every_definition_is_measured_on_the_answers_that_have_it():
    rng = np.random.default_rng(1)
    confidence, right = rng.integers(0, 20, size=60) / 20, rng.uniform(size=60) < 0.5
    rows = [
        prediction(i, bool(right[i]), {"sequence": float(confidence[i]), "normalised": float(confidence[i] ** 0.5)})
        for i in range(60)
    ]
    metrics = compare_definitions([*rows, prediction(60, None, {"first-token": 0.5})])  # not graded
    assert list(metrics) == ["sequence", "normalised"]
    for name, values in (("sequence", confidence), ("normalised", confidence**0.5)):
        assert metrics[name]["average_confidence"] == pytest.approx(values.mean())
        assert metrics[name]["brier"] == pytest.approx(brier_score_loss(right, values))
        # a square root changes no order
        assert metrics[name]["auroc"] == pytest.approx(roc_auc_score(right, confidence))
        assert metrics[name]["aurc"] == selective(confidence, right).aurc
    metrics = compare_definitions([*rows, prediction(60, True, {"sequence": 0.5})])  # lacks a definition
    assert [(row["n"], row["without_confidence"]) for row in metrics.values()] == [(61, 0), (60, 1)]
    assert compare_definitions([prediction(0, True, None)]) == compare_definitions([]) == {}
    assert compare_definitions([prediction(0, True, {"sequence": 0.5})])["sequence"]["auroc"] is None
