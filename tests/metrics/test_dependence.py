"""The dependence of two sides, against the closed form for Gaussians, and of a real student's two views."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from limbeck.data import View
from limbeck.metrics.dependence import dependence, infonce, pair_gains
from limbeck.schema import Example


def gaussians(n: int, nats: float, dimensions: int, noise: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs of mutual information `nats` = -d/2 log(1 - r^2), with dimensions of noise, each side rotated."""
    rng = np.random.default_rng(0)
    r = math.sqrt(1 - math.exp(-2 * nats / dimensions))
    x, e = rng.standard_normal((2, n, dimensions))
    sides = [
        np.hstack([side, rng.standard_normal((n, noise))])
        @ np.linalg.qr(rng.standard_normal((dimensions + noise, dimensions + noise)))[0]
        for side in (x, r * x + math.sqrt(1 - r * r) * e)
    ]
    return sides[0], sides[1]


@pytest.mark.parametrize(("nats", "dimensions", "noise"), [(0.5, 1, 3), pytest.param(3, 4, 0, marks=pytest.mark.slow)])
def test_the_information_of_gaussians(nats, dimensions, noise):
    bound = infonce(*gaussians(2000, nats, dimensions, noise), shuffles=1)
    assert bound.nats == pytest.approx(nats, rel=0.1)
    assert bound.interval[0] < bound.nats < bound.interval[1]
    assert 0.04 < bound.interval[1] - bound.interval[0] < 0.25
    assert abs(bound.chance) < 0.05
    assert bound.chance_upper < bound.nats
    assert (bound.ceiling, bound.near_ceiling, bound.n, bound.reason) == (math.log(400), False, 2000, None)


def test_dependence_without_correlation():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 1000, 2))
    y[:, 0] = np.abs(x[:, 0]) + 0.2 * y[:, 0]
    bound = infonce(x, y, shuffles=0)
    assert 0.5 < bound.nats < 1.1  # 1.077, by integration
    assert bound.chance is bound.chance_upper is None


def test_equal_sides_are_at_the_ceiling_whatever_their_scale():
    x, _ = gaussians(200, 0, 8)
    bound = infonce(x, 3 * x + 1, shuffles=0)
    assert bound.near_ceiling is True
    assert bound.ceiling == math.log(40)
    assert 0.9 * bound.ceiling < bound.nats < bound.ceiling + 1e-4


def test_constant_sides_tell_nothing_and_too_few_pairs_have_a_reason():
    x, y = gaussians(200, 1, 3)
    bound = infonce(x, np.full((200, 4), 0.1), shuffles=1)
    assert (bound.nats, bound.interval, bound.chance_upper) == (0, (0, 0), 0)
    few = infonce(x[:99], y[:99])
    assert (few.nats, few.n, "99 pairs" in few.reason) == (None, 99, True)


def test_gains_are_the_terms_of_the_bound():
    g, h = np.random.default_rng(0).standard_normal((2, 5, 3))
    scores = [[sum(a * b for a, b in zip(u, v, strict=True)) - sum(b * b for b in v) / 2 for v in h] for u in g]
    naive = [math.log(math.exp(scores[i][i]) / (sum(map(math.exp, scores[i])) / 5)) for i in range(5)]
    assert pair_gains(g, h).tolist() == pytest.approx(naive, abs=1e-12)
    assert pair_gains(100 * np.eye(7), 100 * np.eye(7)).tolist() == pytest.approx([math.log(7)] * 7)


def test_pooled_states_are_means_over_real_tokens_whatever_shares_a_batch(student):
    texts, targets = ["He scored 84 points", "no", "How many points a round?"], ["yes", "84 / 2 is 42.", "no maybe"]
    examples = [Example("", (text,), target) for text, target in zip(texts, targets, strict=True)]
    states = student.train().pooled(examples, View.PREDICT, batch_size=2)
    student.eval()
    for state, text, target in zip(states, texts, targets, strict=True):
        ids, labels = (torch.tensor(student.tokenizer([words])["input_ids"]) for words in ("predict: " + text, target))
        decoder_ids = torch.cat([torch.zeros_like(labels[:, :1]), labels[:, :-1]], 1)
        with torch.no_grad():
            output = student.model(input_ids=ids, decoder_input_ids=decoder_ids, output_hidden_states=True)
        torch.testing.assert_close(state, output.decoder_hidden_states[-1][0].mean(0), rtol=1e-4, atol=1e-5)


def test_the_two_sides_are_the_predict_and_the_explain_view(student):
    pairs = np.random.default_rng(0).integers(2, 99, (100, 2)).tolist()
    examples = [
        Example(str(a), (f"Luke scored {a} points in {b} rounds",), f"{a} / {b}", f"He scored {a} in {b}.")
        for a, b in pairs
    ]
    views = (View.PREDICT, View.EXPLAIN)
    x, y = (student.train().pooled(examples, view, batch_size=64).double().numpy() for view in views)
    incomplete = [replace(examples[0], rationale=None), replace(examples[1], label="")]
    assert dependence(student, [*examples, *incomplete], seed=3, components=2) == infonce(x, y, seed=3, components=2)
    assert student.training
