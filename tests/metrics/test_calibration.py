"""Calibration against scikit-learn, torchmetrics, plain loops, and predictors whose calibration is known."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from torchmetrics.functional.classification import binary_calibration_error

from limbeck.metrics.calibration import TITLES, calibrate, compare_definitions, equal_mass, equal_width, fit_temperature
from limbeck.metrics.graded import Graded
from limbeck.metrics.selective import selective
from limbeck.schema import Prediction
from limbeck.stats.intervals import wilson


def graded(confidence, correct) -> Graded:
    return Graded(np.array(confidence, dtype=float), np.array(correct, dtype=bool))


UNFITTED = fit_temperature(graded([0.7], [True]))  # for tests of all else


def sample(n: int, seed: int = 0, power: float = 1.0) -> Graded:
    """Draw answers that are calibrated for power 1, over-confident for more."""
    rng = np.random.default_rng(seed)
    confidence = rng.beta(4, 1.5, n)
    return graded(confidence, rng.random(n) < confidence**power)


def sample_choices(n: int, seed: int = 0) -> Graded:
    """Draw answers with probabilities of five choices, 1.7 times as bold as they should be."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, 5))
    labels = (logits + rng.gumbel(size=(n, 5))).argmax(axis=1)
    p = softmax(1.7 * logits, axis=1)
    return Graded(p.max(axis=1), p.argmax(axis=1) == labels, p, labels)


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_metrics_are_those_of_the_libraries(n):
    answers, choices = sample(n, seed=n, power=2), sample_choices(n, seed=n)
    p, right = answers.confidence, answers.correct
    ece = binary_calibration_error(torch.tensor(p), torch.tensor(right, dtype=torch.long), n_bins=10, norm="l1").item()
    expected = {
        "ece": ece,
        "brier": brier_score_loss(right, p, labels=[0, 1]),
        "nll": log_loss(right, p, labels=[0, 1]),
        "average_confidence": p.mean(),
        "brier_choices": brier_score_loss(choices.labels, choices.probabilities, labels=range(5), scale_by_half=False),
        "nll_choices": log_loss(choices.labels, choices.probabilities, labels=range(5)),
    }
    metrics, over_choices = calibrate(answers, draws=20), calibrate(choices, draws=20)
    assert metrics["brier_choices"] is metrics["nll_choices"] is None
    metrics |= {name: over_choices[name] for name in ("brier_choices", "nll_choices")}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_edges_belong_to_the_bin_below_and_0_to_the_first():
    edges = [0, 1e-300, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert equal_width(np.array(edges)).tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert equal_width(np.nextafter(edges[2:-1], 1)).tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_adaptive_ece_is_that_of_tenths():
    answers = sample(230, power=2)
    residuals = (answers.correct - answers.confidence)[np.argsort(answers.confidence)]
    expected = sum(abs(tenth.sum()) for tenth in np.array_split(residuals, 10)) / 230
    assert calibrate(answers, draws=10)["adaptive_ece"] == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), min_size=1, max_size=40))
@settings(max_examples=30, deadline=None)
def test_equal_confidences_share_a_bin_of_equal_mass(values):
    bins = equal_mass(np.array(values))
    assert len(set(zip(values, bins.tolist(), strict=True))) == len(set(values))
    assert 0 <= bins.min() <= bins.max() <= 9
    assert np.all(np.diff(bins[np.argsort(values)]) >= 0)


def test_the_reliability_diagram_by_hand():
    answers = graded([0.0, 0.1, 0.15, 0.95, 0.96, 0.97, 1.0], [False, True, True, True, True, False, True])
    bins = calibrate(answers, draws=10)["bins"]
    assert [bin["n"] for bin in bins] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 4]
    assert (bins[0]["low"], bins[0]["confidence"], bins[0]["accuracy"]) == (0, 0.05, 0.5)
    assert (bins[9]["high"], bins[9]["accuracy"], bins[9]["interval"]) == (1, 0.75, wilson(3, 4))
    assert bins[5] == {"low": 0.5, "high": 0.6, "n": 0, "confidence": None, "accuracy": None, "interval": None}


def test_p_values_at_their_ends_and_of_ties():
    assert calibrate(sample(1000, power=3), draws=200)["ece_p_value"] == 1 / 201
    half = calibrate(graded([0.5] * 10, [True, False] * 5), draws=200)
    assert (half["ece"], half["ece_p_value"]) == (0, 1)  # an error of 0 comes often, and no error is less
    tied = calibrate(graded([0.3] * 10, [True] * 5 + [False] * 5), draws=20_000)  # |k/10 - 0.3| >= 0.2: k < 2 or k > 4
    expected = sum(math.comb(10, k) * 0.3**k * 0.7 ** (10 - k) for k in (0, 1, 5, 6, 7, 8, 9, 10))
    assert tied["ece_p_value"] == pytest.approx(expected, abs=0.015)


def test_intervals_of_means_are_those_of_the_central_limit():
    answers = sample(2000, power=2)
    metrics = calibrate(answers, draws=2000, temperature=UNFITTED)
    means = {"average_confidence": answers.confidence, "brier": (answers.confidence - answers.correct) ** 2}
    for name, values in means.items():
        half = 1.96 * values.std() / np.sqrt(2000)
        ends = [values.mean() - half, values.mean() + half]
        assert list(metrics[f"{name}_interval"]) == pytest.approx(ends, abs=half / 5)


@pytest.mark.parametrize("power", [1, 1.5])
def test_the_interval_of_an_error_holds_the_true_error(power):
    """Percentile intervals hold it in no case of power 1, since resampling adds to the error."""
    confidence = sample(500_000, seed=99).confidence
    true = np.abs(np.bincount(equal_width(confidence), weights=confidence**power - confidence)).sum() / 500_000
    covered = 0
    for seed in range(30):
        metrics = calibrate(sample(400, seed=seed, power=power), draws=200, seed=seed + 1000, temperature=UNFITTED)
        low, high = metrics["ece_interval"]
        covered += low <= true + 1e-3 and high >= true
        assert low <= metrics["ece"] <= high
    assert covered / 30 >= 0.83


def test_the_temperature_is_at_the_minimum_of_the_loss():
    answers = sample(150, power=2)
    logit = np.log(answers.confidence / (1 - answers.confidence))

    def loss(log_t):
        return np.logaddexp(0, np.where(answers.correct, -1, 1) * logit / np.exp(log_t[0])).mean()

    expected = np.exp(minimize(loss, [0.0], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-15}).x[0])
    assert fit_temperature(answers).value == pytest.approx(expected, rel=1e-5)
    fitted = fit_temperature(sample_choices(4000))
    assert fitted.interval[0] < 1.7 < fitted.interval[1]
    assert fitted.value == pytest.approx(1.7, abs=0.1)


def scaled(confidence, temperature):
    """Compute sigmoid(logit(p) / T)."""
    p = np.clip(confidence, 2**-52, 1 - 2**-52)
    return 1 / (1 + ((1 - p) / p) ** (1 / temperature))


def test_validation_scales_or_each_half_scales_the_other():
    answers = sample(600, power=3)
    confidence, correct = answers.confidence, answers.correct
    valid = fit_temperature(sample(600, power=3, seed=1))
    metrics = calibrate(answers, draws=10, temperature=valid)
    assert (metrics["temperature"], metrics["temperature_fitted_on"]) == (valid.value, "validation")
    after = scaled(confidence, valid.value)
    assert metrics["scaling"] == {
        "nll_before": pytest.approx(metrics["nll"]),
        "ece_before": pytest.approx(metrics["ece"]),
        "nll_after": pytest.approx(log_loss(correct, after)),
        "ece_after": pytest.approx(calibrate(graded(after, correct), draws=10)["ece"]),
        "reason": None,
    }
    halves = np.split(np.random.default_rng(4).permutation(600), 2)
    crossed = confidence.copy()
    for half, other_half in (halves, halves[::-1]):
        fitted = fit_temperature(graded(confidence[other_half], correct[other_half]))
        crossed[half] = scaled(confidence[half], fitted.value)
    metrics = calibrate(answers, draws=10, seed=4)
    assert metrics["temperature_fitted_on"] == "these answers"
    assert metrics["scaling"]["nll_after"] == pytest.approx(log_loss(correct, crossed))


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [([0.7], [1]), ([0.7, 0.9, 0.99], [1, 1, 1]), ([0.7, 0.9, 0.99], [0, 0, 0]), ([0.5, 0.5], [0, 1])],
)
def test_answers_without_a_best_temperature_have_a_reason(confidence, correct):
    metrics = calibrate(graded(confidence, correct), draws=20)
    assert metrics["temperature"] is metrics["temperature_interval"] is metrics["scaling"]["nll_after"] is None
    assert metrics["temperature_reason"]
    assert metrics["scaling"]["reason"]
    assert metrics.keys() >= TITLES.keys()
    assert (metrics["ece_interval"] is None) == (metrics["brier_interval"] is None) == (len(confidence) == 1)
    json.dumps(metrics, allow_nan=False)


def test_every_definition_is_measured_on_the_answers_that_have_it():
    rng = np.random.default_rng(1)
    confidence, right = rng.integers(0, 20, size=60) / 20, rng.uniform(size=60) < 0.5

    def prediction(id: int, correct: bool | None, by_definition: dict[str, float] | None) -> Prediction:
        return Prediction(str(id), "?", "a", "a", correct, correct, confidence=None, confidences=by_definition)

    roots = confidence**0.5  # a square root changes no order
    rows = [prediction(i, bool(right[i]), {"sequence": confidence[i], "normalised": roots[i]}) for i in range(60)]
    metrics = compare_definitions([*rows, prediction(60, None, {"first-token": 0.5})])  # not graded
    assert list(metrics) == ["sequence", "normalised"]
    ranking = {"auroc": roc_auc_score(right, confidence), "aurc": selective(confidence, right).aurc}
    for name, values in (("sequence", confidence), ("normalised", roots)):
        expected = {"average_confidence": values.mean(), "brier": brier_score_loss(right, values), **ranking}
        assert {key: metrics[name][key] for key in expected} == pytest.approx(expected)
    metrics = compare_definitions([*rows, prediction(60, True, {"sequence": 0.5})])  # lacks a definition
    assert [(row["n"], row["without_confidence"]) for row in metrics.values()] == [(61, 0), (60, 1)]
    assert compare_definitions([prediction(0, True, None)]) == compare_definitions([]) == {}
    assert compare_definitions([prediction(0, True, {"sequence": 0.5})])["sequence"]["auroc"] is None
