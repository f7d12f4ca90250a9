"""Calibration against scikit-learn, torchmetrics, plain loops, and predictors whose calibration is known."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import binary_calibration_error

from limbeck.errors import LimbeckError
from limbeck.metrics.calibration import calibrate
from limbeck.metrics.estimates import Drawn, Null, error_interval
from limbeck.metrics.reliability import equal_mass, equal_width, reliability
from limbeck.metrics.temperature import Temperature, fit_temperature
from limbeck.stats.intervals import wilson

KEYS = (
    "n accuracy ece ece_interval ece_expected_if_calibrated adaptive_ece mce brier nll average_confidence temperature"
)


UNFITTED = Temperature(None, None, 0, "most of the time goes into temperatures, and these are not looked at")


def answers(n, seed=0, power=1.0):
    """Confidences and correctness; calibrated for power 1, over-confident for more."""
    rng = np.random.default_rng(seed)
    confidence = rng.beta(4, 1.5, n)
    return confidence, rng.random(n) < confidence**power


def choices(n, k=5, temperature=1.0, seed=0):
    """Probabilities of k choices, `temperature` times as bold as they should be, and labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, k))
    label = (logits + rng.gumbel(size=(n, k))).argmax(axis=1)
    bold = np.exp(temperature * logits)
    return bold / bold.sum(axis=1, keepdims=True), label


@pytest.mark.parametrize("n", [1, 7, 200, 3000])
def test_ece_mce_brier_and_nll_are_the_libraries(n):
    confidence, correct = answers(n, seed=n, power=2)
    measured = calibrate(confidence, correct, draws=50)
    given_ = torch.tensor(confidence), torch.tensor(correct, dtype=torch.long)
    ece, mce = (binary_calibration_error(*given_, n_bins=10, norm=norm).item() for norm in ("l1", "max"))
    assert measured.ece.value == pytest.approx(ece, abs=1e-9)
    assert measured.mce.value == pytest.approx(mce, abs=1e-9)
    assert measured.brier.value == pytest.approx(brier_score_loss(correct, confidence, labels=[0, 1]), abs=1e-9)
    assert measured.nll.value == pytest.approx(log_loss(correct, confidence, labels=[0, 1]), abs=1e-9)
    assert measured.average_confidence.value == pytest.approx(confidence.mean(), abs=1e-12)
    assert measured.accuracy.value == correct.mean()


def test_scores_of_choices_are_the_libraries():
    probabilities, labels = choices(500, temperature=1.7)
    top = probabilities.argmax(axis=1)
    measured = calibrate(probabilities.max(axis=1), top == labels, probabilities, labels, draws=50)
    classes = [
        binary_calibration_error(
            torch.tensor(probabilities[:, k]), torch.tensor(labels == k, dtype=torch.long), n_bins=10, norm="l1"
        ).item()
        for k in range(5)
    ]
    brier = brier_score_loss(labels, probabilities, labels=range(5), scale_by_half=False)
    assert measured.classwise_ece.value == pytest.approx(np.mean(classes), abs=1e-9)
    assert measured.brier_choices.value == pytest.approx(brier, abs=1e-9)
    assert measured.nll_choices.value == pytest.approx(log_loss(labels, probabilities), abs=1e-9)
    plain = calibrate(probabilities.max(axis=1), top == labels, draws=50)
    assert (plain.classwise_ece, plain.brier_choices, plain.nll_choices) == (None, None, None)


def test_answers_that_are_no_choice_are_no_class():
    """A student may write what is none of its choices: then that has a probability, in its own row."""
    probabilities, labels = choices(60, k=3)
    labels[labels == 2] = 0  # a class that no label is of counts
    wide = np.hstack([probabilities * 0.5, np.zeros((60, 30))])
    wide[np.arange(60), 3 + np.arange(60) // 2] = 0.5
    measured = calibrate(wide.max(axis=1), wide.argmax(axis=1) == labels, wide, labels, draws=400).classwise_ece
    of_class = [
        binary_calibration_error(
            torch.tensor(wide[:, k]), torch.tensor(labels == k, dtype=torch.long), n_bins=10, norm="l1"
        ).item()
        for k in range(3)
    ]
    assert measured.value == pytest.approx(np.mean(of_class), abs=1e-9)
    rng, errors = np.random.default_rng(0), []
    for _ in range(400):
        drawn = (np.log(wide + 1e-300) + rng.gumbel(size=wide.shape)).argmax(axis=1)
        gaps = [np.bincount(equal_width(wide[:, k]), weights=(drawn == k) - wide[:, k]) for k in range(3)]
        errors.append(np.mean([np.abs(one).sum() / 60 for one in gaps]))
    assert measured.if_calibrated.expected == pytest.approx(np.mean(errors), rel=0.05)


def test_being_sure_and_wrong_costs_what_scikit_learn_says():
    assert calibrate([1.0, 0.5], [False, True], draws=10).nll.value == pytest.approx(log_loss([0, 1], [1.0, 0.5]))
    probabilities = np.array([[0.0, 1.0], [0.5, 0.5]])
    measured = calibrate([1.0, 0.5], [False, True], probabilities, [0, 1], draws=10)
    assert measured.nll_choices.value == pytest.approx(log_loss([0, 1], probabilities))
    assert measured.scaling.nll_before == pytest.approx(measured.nll_choices.value)


def test_edges_belong_to_the_bin_below_and_0_to_the_first():
    edges = [0, 1e-300, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert equal_width(np.array(edges)).tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert equal_width(np.nextafter(edges[2:-1], 1)).tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_adaptive_ece_is_that_of_tenths():
    confidence, correct = answers(230, power=2)
    order = np.argsort(confidence)
    gaps = [abs(correct[part].sum() - confidence[part].sum()) for part in np.array_split(order, 10)]
    assert calibrate(confidence, correct, draws=10).adaptive_ece.value == pytest.approx(sum(gaps) / 230, abs=1e-12)


@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), min_size=1, max_size=40), st.randoms())
@settings(max_examples=60, deadline=None)
def test_equal_confidences_share_a_bin_of_equal_mass(values, random):
    bins = equal_mass(np.array(values))
    assert len({(value, where) for value, where in zip(values, bins, strict=True)}) == len(set(values))
    assert bins.min() >= 0 and bins.max() <= 9
    assert np.all(np.diff(bins[np.argsort(values)]) >= 0)
    order = list(range(len(values)))
    random.shuffle(order)
    assert equal_mass(np.array(values)[order]).tolist() == bins[order].tolist()


@pytest.mark.parametrize("n", [200, 1000, 10_000])
def test_what_a_calibrated_predictor_shows_is_foretold(n):
    """Over many calibrated predictors, the errors have the foretold mean and range, and p below 0.05 a twentieth."""
    confidence, _ = answers(n)
    rng = np.random.default_rng(n)
    foretold = calibrate(confidence, confidence > 0.5, draws=1000, seed=1)
    seen = {"ece": [], "adaptive_ece": [], "mce": []}
    bins = {"ece": equal_width(confidence), "adaptive_ece": equal_mass(confidence)}
    for _ in range(400):
        residual = (rng.random(n) < confidence) - confidence
        for name, where in bins.items():
            seen[name].append(np.abs(np.bincount(where, weights=residual)).sum() / n)
        counts = np.bincount(bins["ece"])
        gaps = np.abs(np.bincount(bins["ece"], weights=residual))
        seen["mce"].append(np.max(gaps[counts > 0] / counts[counts > 0]))
    for name, errors in seen.items():
        null = getattr(foretold, name).if_calibrated
        tolerance = 5 * np.std(errors) * np.sqrt(1 / 400 + 1 / 1000)
        assert null.expected == pytest.approx(np.mean(errors), abs=tolerance)
        inside = np.mean([null.range[0] <= error <= null.range[1] for error in errors])
        assert inside >= 0.90
        assert inside <= 0.99 or name == "mce"  # of few values where a bin holds few answers


def test_what_chance_alone_gives_the_classes_is_foretold():
    probabilities, labels = choices(300, k=3)
    right = probabilities.argmax(axis=1) == labels
    foretold = calibrate(probabilities.max(axis=1), right, probabilities, labels, draws=1000).classwise_ece
    errors = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        drawn = (np.log(probabilities) + rng.gumbel(size=probabilities.shape)).argmax(axis=1)
        parts = []
        for k in range(3):
            gaps = np.bincount(equal_width(probabilities[:, k]), weights=(drawn == k) - probabilities[:, k])
            parts.append(np.abs(gaps).sum() / 300)
        errors.append(np.mean(parts))
    assert foretold.if_calibrated.expected == pytest.approx(np.mean(errors), abs=5 * np.std(errors) / np.sqrt(250))
    assert (
        0.9
        <= np.mean([foretold.if_calibrated.range[0] <= one <= foretold.if_calibrated.range[1] for one in errors])
        <= 0.99
    )


def test_p_values_of_calibrated_predictors_are_even_and_of_others_small():
    p_values = [
        calibrate(*answers(300, seed=seed), draws=200, validation=UNFITTED).ece.if_calibrated.p_value
        for seed in range(150)
    ]
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.1)
    assert np.mean(np.array(p_values) <= 0.05) <= 0.12
    assert calibrate(*answers(1000, power=3), draws=200).ece.if_calibrated.p_value == 1 / 201


def test_equal_errors_count_as_equal():
    """All confidences 1/2: an error of 0 comes often, and no error is less."""
    half = calibrate([0.5] * 10, [True, False] * 5, draws=200)
    assert half.ece.value == 0
    assert half.ece.if_calibrated.p_value == 1
    one = calibrate([0.3] * 10, [True] * 10, draws=4000)  # 10 right of 10: 0.3^10
    assert one.ece.if_calibrated.p_value < 0.001
    few = calibrate([0.3] * 10, [True] * 5 + [False] * 5, draws=20_000).ece  # |k/10 - 0.3| >= 0.2: k <= 1 or k >= 5
    expected = sum(math.comb(10, k) * 0.3**k * 0.7 ** (10 - k) for k in (0, 1, 5, 6, 7, 8, 9, 10))
    assert few.if_calibrated.p_value == pytest.approx(expected, abs=0.015)


def test_intervals_of_means_are_those_of_the_central_limit():
    confidence, correct = answers(2000, power=2)
    measured = calibrate(confidence, correct, draws=4000)
    rows = {
        "average_confidence": confidence,
        "brier": (confidence - correct) ** 2,
        "nll": -np.log(np.where(correct, confidence, 1 - confidence)),
    }
    for name, values in rows.items():
        half = 1.96 * values.std() / np.sqrt(2000)
        expected = [values.mean() - half, values.mean() + half]
        assert list(getattr(measured, name).interval) == pytest.approx(expected, abs=half / 8)
    low, high = binomtest(int(correct.sum()), 2000).proportion_ci(method="wilson")
    assert measured.accuracy.interval == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(("power", "least"), [(1, 0.93), (1.5, 0.87), (4, 0.87)])
def test_the_interval_of_an_error_holds_the_true_one(power, least):
    """The percentile interval holds it in no case of the first, since resampling adds to the error."""
    sure, _ = answers(2_000_000, seed=99)
    true = np.abs(np.bincount(equal_width(sure), weights=sure**power - sure)).sum() / len(sure)
    held = 0
    for seed in range(120):
        given_ = answers(400, seed=seed, power=power)
        measured = calibrate(*given_, draws=200, seed=seed + 1000, validation=UNFITTED).ece
        held += measured.interval[0] <= true + 1e-3 and measured.interval[1] >= true
        assert measured.interval[0] <= measured.value <= measured.interval[1]
    assert held / 120 >= least


def test_the_ends_of_an_errors_interval():
    """A value of 0.3 whose draws have mean 0.32 and go from 0.25 to 0.45."""
    drawn = Drawn(0.3, 0.32, (0.25, 0.45))
    assert error_interval(drawn, Null(0.1, (0, 0.2), 0.01)) == pytest.approx((0.15, 0.43))
    assert error_interval(drawn, Null(0.1, (0, 0.2), 0.03)) == pytest.approx((0, 0.43))
    assert error_interval(Drawn(0.3, 0.5, (0.4, 0.49)), Null(0.1, (0, 0.2), 0.01)) == pytest.approx((0.11, 0.3))


def test_an_interval_excludes_0_where_the_error_is_plain():
    measured = calibrate(*answers(2000, power=3), draws=300)
    for name in ("ece", "adaptive_ece"):
        one = getattr(measured, name)
        assert 0 < one.interval[0] < one.value < one.interval[1] < 2 * one.value


def test_reliability_is_every_bin_by_hand():
    confidence = np.array([0.0, 0.1, 0.15, 0.95, 0.96, 0.97, 1.0])
    bins = reliability(confidence, np.array([False, True, True, True, True, False, True]))
    assert [one.n for one in bins] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 4]
    assert (bins[0].low, bins[0].high, bins[9].low, bins[9].high) == (0, 0.1, 0.9, 1)
    assert (bins[0].confidence, bins[0].accuracy) == (0.05, 0.5)
    assert bins[9].accuracy == 0.75
    assert bins[9].confidence == pytest.approx(0.97)
    low, high = binomtest(3, 4).proportion_ci(method="wilson")
    assert bins[9].interval == pytest.approx((low, high), abs=1e-12)
    assert (bins[5].confidence, bins[5].accuracy, bins[5].interval) == (None, None, None)
    assert wilson(0, 5)[0] == 0
    assert wilson(5, 5)[1] == 1


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_a_known_temperature_comes_back(true):
    """Of ten choices one sample of 20,000 will do; right or wrong tells less, 1.1 % at best: there the mean."""
    probabilities, labels = choices(20_000, k=10, temperature=true, seed=3)
    sure = probabilities.max(axis=1)
    fitted = fit_temperature(sure, probabilities.argmax(axis=1) == labels, probabilities, labels)
    assert fitted.value == pytest.approx(true, rel=0.02)
    assert fitted.interval[0] < true < fitted.interval[1]
    alone = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        logit = rng.normal(1, 2.5, 20_000)
        correct = rng.random(20_000) < 1 / (1 + np.exp(-logit))
        alone.append(fit_temperature(1 / (1 + np.exp(-true * logit)), correct))
    assert np.mean([one.value for one in alone]) == pytest.approx(true, rel=0.01)
    assert max(abs(one.value / true - 1) for one in alone) < 0.045
    assert sum(one.interval[0] < true < one.interval[1] for one in alone) >= 8


def test_the_temperature_is_the_least_of_the_loss():
    confidence, correct = answers(150, power=2)
    logit = np.log(confidence / (1 - confidence))

    def loss(log_t):
        return np.logaddexp(0, np.where(correct, -1, 1) * logit / np.exp(log_t[0])).mean()

    expected = np.exp(minimize(loss, [0.0], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-15}).x[0])
    assert fit_temperature(confidence, correct).value == pytest.approx(expected, rel=1e-5)


def test_the_interval_of_a_temperature_is_that_of_refits():
    confidence, correct = answers(800, power=2)
    fitted = fit_temperature(confidence, correct)
    rng = np.random.default_rng(0)
    refits = [fit_temperature(confidence[i], correct[i]).value for i in rng.integers(0, 800, (150, 800))]
    width = np.log(fitted.interval[1] / fitted.interval[0]) / (2 * 1.96)
    assert width == pytest.approx(np.std(np.log(refits)), rel=0.25)
    assert math.sqrt(fitted.interval[0] * fitted.interval[1]) == pytest.approx(fitted.value)


def at(confidence, temperature):
    """sigmoid(logit(p) / T)."""
    p = np.clip(confidence, 2**-52, 1 - 2**-52)
    return 1 / (1 + ((1 - p) / p) ** (1 / temperature))


def choices_at(probabilities, temperature):
    """softmax(log p / T)."""
    powers = probabilities ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def test_validation_decides_or_each_half_decides_for_the_other():
    confidence, correct = answers(600, power=3)
    valid = fit_temperature(*answers(600, power=3, seed=1))
    scaled = at(confidence, valid.value)
    there = calibrate(confidence, correct, draws=10, validation=valid)
    assert (there.temperature, there.fitted_on) == (valid, "validation")
    assert there.scaling.nll_after == pytest.approx(log_loss(correct, scaled))
    assert there.scaling.ece_after == pytest.approx(calibrate(scaled, correct, draws=10).ece.value)
    assert there.scaling.nll_before == pytest.approx(there.nll.value)
    assert there.scaling.ece_before == pytest.approx(there.ece.value)
    assert there.scaling.nll_after < there.scaling.nll_before
    here = calibrate(confidence, correct, draws=10, seed=4)
    order = np.random.default_rng(4).permutation(600)
    crossed = confidence.copy()
    for half, other in ((order[:300], order[300:]), (order[300:], order[:300])):
        crossed[half] = at(confidence[half], fit_temperature(confidence[other], correct[other]).value)
    assert (here.temperature, here.fitted_on) == (fit_temperature(confidence, correct), "these answers")
    assert here.scaling.nll_after == pytest.approx(log_loss(correct, crossed))
    assert log_loss(correct, at(confidence, here.temperature.value)) < here.scaling.nll_after


def test_choices_are_scaled_as_choices():
    probabilities, labels = choices(400, temperature=3.0)
    right = probabilities.argmax(axis=1) == labels
    valid = fit_temperature(probabilities.max(axis=1), right, probabilities, labels)
    after = choices_at(probabilities, valid.value)
    found = calibrate(probabilities.max(axis=1), right, probabilities, labels, draws=10, validation=valid).scaling
    assert found.nll_before == pytest.approx(log_loss(labels, probabilities))
    assert found.nll_after == pytest.approx(log_loss(labels, after))
    assert found.ece_before == pytest.approx(calibrate(probabilities.max(axis=1), right, draws=10).ece.value)
    assert found.ece_after == pytest.approx(calibrate(after.max(axis=1), right, draws=10).ece.value)


@pytest.mark.parametrize(
    ("confidence", "correct", "reason"),
    [
        ([], [], "fewer than two"),
        ([0.7], [True], "fewer than two"),
        ([0.7, 0.9, 0.99], [True] * 3, "the likeliest is always right"),
        ([1.0, 1.0, 1.0], [True] * 3, "the likeliest is always right"),
        ([0.7, 0.9, 0.99], [False] * 3, "surer answers are no oftener right"),
        ([1.0, 0.0], [False, True], "surer answers are no oftener right"),
        ([0.5, 0.5], [False, True], "no temperature changes"),
    ],
)
def test_where_no_temperature_is_best_it_says_why(confidence, correct, reason):
    fitted = fit_temperature(confidence, correct)
    assert (fitted.value, fitted.interval, fitted.n) == (None, None, len(correct))
    assert reason in fitted.reason
    measured = calibrate(confidence, correct, draws=20)
    assert measured.scaling.nll_after is None
    assert measured.scaling.reason
    text = json.dumps(measured.to_dict(), allow_nan=False)
    assert json.loads(text)["temperature"] is None


def test_sure_answers_some_of_them_wrong_have_a_temperature():
    correct = [True] * 9 + [False]
    fitted = fit_temperature([1.0] * 10, correct)
    assert at([1.0], fitted.value)[0] == pytest.approx(0.9, abs=1e-4)


def test_a_choice_that_a_row_lacks_stays_out():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.5, 0.3], [0.8, 0.1, 0.1]] * 5)
    labels = [0, 1, 1, 2] * 5
    fitted = fit_temperature([0.9, 0.6, 0.5, 0.8] * 5, [True, False, True, False] * 5, probabilities, labels)
    assert fitted.interval[0] < fitted.value < fitted.interval[1]
    assert np.all(choices_at(probabilities, fitted.value)[0::4, 2] == 0)
    lost = fit_temperature([0.9, 0.6] * 5, [True, False] * 5, probabilities[[0, 1] * 5], [0, 2] * 5)
    assert math.isfinite(lost.value or 0)
    one = fit_temperature([1.0, 1.0], [True, True], [[1.0], [1.0]], [0, 0])
    assert "no temperature changes" in one.reason


def test_nothing_and_one_answer_are_defined():
    none = calibrate([], [])
    assert (none.n, none.accuracy, none.ece, none.scaling.reason) == (0, None, None, "no answers")
    empty = json.loads(json.dumps(none.to_dict(), allow_nan=False))
    assert empty["ece_expected_if_calibrated"] is None
    one = calibrate([0.8], [True], draws=100)
    assert one.ece.value == one.adaptive_ece.value == one.mce.value == pytest.approx(0.2)
    assert (one.ece.interval, one.brier.interval) == (None, None)
    assert calibrate([], [], np.zeros((0, 3)), []).classwise_ece is None


def test_json_has_the_keys_and_the_seed_decides():
    probabilities, labels = choices(60)
    arguments = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, probabilities, labels
    first, again, other = (calibrate(*arguments, seed=seed, draws=100).to_dict() for seed in (0, 0, 1))
    assert set(KEYS.split()) <= first.keys()
    assert json.loads(json.dumps(first, allow_nan=False)) == json.loads(json.dumps(again))
    assert first["ece_interval"] != other["ece_interval"]
    assert all(isinstance(first[key], float) for key in KEYS.split() if key not in ("n", "ece_interval"))
    assert first["classwise_ece_p_value"] is not None


GOOD = [[0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0.5, float("nan"), 2.0], [1, 0, 1]), r"confidence\[1\] is nan"),
        (([0.5, None], [1, 0]), r"confidence\[1\] is nan"),
        (([0.5, 0.2, 1.0000001], [1, 0, 1]), r"confidence\[2\] is 1.0000001"),
        (([-0.1], [1]), r"confidence\[0\] is -0.1"),
        ((["sure"], [1]), "confidence are to be numbers"),
        (([[0.5]], [1]), "confidence have 2 dimensions"),
        (([0.5, 0.5], [1]), "confidence has 2 rows and correct 1"),
        (([0.5, 0.5], [1, 0.5]), r"correct\[1\] is 0.5"),
        (([0.5, 0.5], [None, 1]), r"correct\[0\] is nan"),
        (([0.5, 0.5], [1, 0], GOOD), "go together"),
        (([0.5, 0.5], [1, 0], [[0.5, 0.5], [0.5, 0.4]], [0, 1]), r"probabilities\[1\] is 0.9"),
        (([0.5, 0.5], [1, 0], [[0.5, 0.5], [1.5, -0.5]], [0, 1]), r"probabilities\[1\] is 1.5"),
        (([0.5, 0.5], [1, 0], GOOD, [0, 2]), r"labels\[1\] is 2.*from 0 to 1"),
        (([0.5, 0.5], [1, 0], GOOD, [0.5, 1]), r"labels\[0\] is 0.5"),
        (([0.5, 0.5], [1, 0], GOOD[:1], [0]), "probabilities 1"),
    ],
)
def test_what_is_no_confidence_is_named(arguments, words):
    for measure in (calibrate, fit_temperature):
        with pytest.raises(LimbeckError, match=words) as caught:
            measure(*arguments)
        assert "\n" not in str(caught.value)
