"""The dependence of two sides, against the closed form for Gaussians, and of a real student's two views."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from limbeck.data import View
from limbeck.errors import LimbeckError
from limbeck.metrics.critic import Critic, evaluated, fit, gains, whitening
from limbeck.metrics.dependence import dependence, infonce
from limbeck.models import StudentSettings
from limbeck.models.loading import load
from limbeck.models.student import Student
from limbeck.schema import Example
from tests import builders


def gaussians(n: int, nats: float, dimensions: int, noise: int = 0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of mutual information `nats`, = -d/2 log(1 - r^2), with dimensions of pure noise, rotated on each side."""
    rng = np.random.default_rng(seed)
    r = math.sqrt(1 - math.exp(-2 * nats / dimensions))
    x, e = rng.standard_normal((2, n, dimensions))
    sides = [
        np.hstack([side, rng.standard_normal((n, noise))])
        @ np.linalg.qr(rng.standard_normal((dimensions + noise, dimensions + noise)))[0]
        for side in (x, r * x + math.sqrt(1 - r * r) * e)
    ]
    return sides[0], sides[1]


@pytest.mark.parametrize(("nats", "dimensions", "noise"), [(0.5, 1, 3), (3, 4, 0)])
def test_the_information_of_gaussians_is_found(nats, dimensions, noise):
    found = infonce(*gaussians(2000, nats, dimensions, noise), shuffles=1)
    assert found.nats == pytest.approx(nats, rel=0.1)
    assert found.interval[0] < found.nats < found.interval[1]
    assert 0.04 < found.interval[1] - found.interval[0] < 0.25
    assert abs(found.chance) < 0.05
    assert found.chance_upper < found.nats
    assert found.ceiling == math.log(400)
    assert found.near_ceiling is False
    assert found.n == 2000
    assert found.components == (dimensions + noise,) * 2
    assert found.reason is None


@pytest.mark.parametrize(("n", "dimensions"), [(1000, 2), (300, 30)])
def test_of_independent_sides_little_is_found_by_few_pairs_too(n, dimensions):
    found = infonce(*gaussians(n, 0, dimensions), shuffles=2)
    assert abs(found.nats) < 0.05
    assert abs(found.chance) < 0.05
    assert found.chance <= found.chance_upper < 0.05


def test_of_independent_sides_less_than_nothing_is_found_too():
    """Were critics chosen by the pairs held out, none would lose on them."""
    assert min(infonce(*gaussians(150, 0, 3, seed=seed), shuffles=0).nats for seed in range(3)) < 0


def test_a_critic_that_gains_nothing_on_other_pairs_is_none():
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    assert fit((x, x), (x[:50], -x[:50]), torch.Generator()) is None
    assert fit((x, x), (x[:50], x[:50]), torch.Generator()) is not None


def test_few_pairs_give_less_than_there_is_never_more():
    """Pairs held out that were learnt from, or stopped by, would give more."""
    found = [infonce(*gaussians(300, 1, 20, seed=seed), seed, components=20, shuffles=0).nats for seed in range(3)]
    assert 0.15 < np.mean(found) < 0.75


def test_dependence_that_is_no_correlation_is_found():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 1000, 2))
    y[:, 0] = np.abs(x[:, 0]) + 0.2 * y[:, 0]
    found = infonce(x, y, shuffles=0)
    assert 0.7 < found.nats < 1.1  # 1.077, by integration
    assert found.chance is found.chance_upper is None


def test_sides_that_tell_all_are_at_the_ceiling():
    x, _ = gaussians(200, 0, 8)
    found = infonce(x, 3 * x + 1, shuffles=0)
    assert found.near_ceiling is True
    assert found.ceiling == math.log(40)
    assert 0.9 * found.ceiling < found.nats < found.ceiling + 1e-4


def test_the_same_seed_gives_the_same_and_scale_and_place_do_not_count():
    x, y = gaussians(150, 0.5, 3)
    one = infonce(x, y, 5, shuffles=0)
    assert infonce(x, y, 5, shuffles=0) == one
    assert infonce(x, y, 6, shuffles=0) != one
    state = torch.get_rng_state()
    moved = infonce(x * [1e-3, 1, 1e3] - 7, 100 * y + 3, 5, shuffles=0)
    assert moved.nats == pytest.approx(one.nats, abs=0.02)
    assert torch.equal(torch.get_rng_state(), state)


def test_sides_that_do_not_vary_tell_nothing():
    x, _ = gaussians(200, 0, 3)
    for constant in (np.full((200, 4), 0.1), np.zeros((200, 1))):
        found = infonce(x, constant, shuffles=1)
        assert (found.nats, found.interval, found.chance_upper) == (0, (0, 0), 0)
        assert found.components == (3, 0)


def test_heavy_tails_rule_nothing():
    x, y = np.random.default_rng(1).standard_cauchy((2, 500, 3))
    assert abs(infonce(x, y, shuffles=0).nats) < 0.05
    outlier = np.zeros((500, 3))
    outlier[0] = 1e9
    close, near = gaussians(500, 1, 3)
    assert -0.05 < infonce(close + outlier, near, shuffles=0).nats < 1.1


def test_too_few_pairs_and_broken_features():
    x, y = gaussians(100, 1, 2)
    few = infonce(x[:99], y[:99])
    assert few.nats is None
    assert few.n == 99
    assert "99 pairs are too few" in few.reason
    assert infonce(np.empty((0, 1)), np.empty((0, 5))).n == 0
    assert infonce(x, y, shuffles=0).nats is not None
    broken = x.copy()
    broken[3, 1] = math.nan
    for args, words in [((x, y[:50]), "100 rows .* 50"), ((broken, y), "not finite"), ((x[:, 0], y), "shape")]:
        with pytest.raises(LimbeckError, match=words):
            infonce(*args)


def test_gains_are_the_bounds_summands():
    scores = np.random.default_rng(0).standard_normal((5, 5)) * 3
    naive = [math.log(math.exp(scores[i, i]) / (sum(math.exp(s) for s in scores[i]) / 5)) for i in range(5)]
    assert gains(torch.tensor(scores)).tolist() == pytest.approx(naive, abs=1e-12)
    assert gains(100 * torch.eye(7)).tolist() == pytest.approx([math.log(7)] * 7)
    assert gains(torch.ones(7, 7)).tolist() == pytest.approx([0] * 7, abs=1e-6)


def test_no_more_candidates_than_asked_and_no_pair_is_lost():
    generator = torch.Generator().manual_seed(0)
    critic = Critic(3, 2, generator).double()
    for weight in critic.parameters():
        torch.nn.init.normal_(weight, generator=generator)
    x, y = (torch.randn(25, size, generator=generator, dtype=torch.float64) for size in (3, 2))
    blocks = [range(9), range(9, 17), range(17, 25)]  # three, of 10 at most
    found = evaluated(critic, (x, y), 10).tolist()
    with torch.no_grad():
        g, h = critic.g(x), critic.h(y)
        score = [[float(a @ b - b @ b / 2) for b in h] for a in g]
    for block in blocks:
        for i in block:
            among = np.logaddexp.reduce([score[i][j] for j in block]) - math.log(len(block))
            assert found[i] == pytest.approx(score[i][i] - among, abs=1e-9)


def test_whitening_is_of_the_rows_it_was_fitted_on():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 5)) @ rng.standard_normal((5, 5)) * [1, 100, 1, 1e-4, 1] + 50
    rows = np.hstack([rows, np.full((400, 1), 1 / 3), rows[:, :1] * 2])  # one constant, one twice
    white = whitening(rows, 64)(rows).numpy()
    assert white.shape == (400, 5)
    clear = whitening(rows, 3)(rows).numpy()
    assert clear.shape == (400, 3)
    np.testing.assert_allclose(clear, white[:, :3], atol=1e-6)
    np.testing.assert_allclose(clear.T @ clear / 400, np.eye(3), atol=0.03)  # but for what was moved in
    standard = (rows[:, :5] - rows[:, :5].mean(0)) / rows[:, :5].std(0)
    standard = np.hstack([standard, standard[:, :1]])
    first = np.linalg.svd(standard)[2][0]
    assert abs(np.corrcoef(standard @ first, clear[:, 0])[0, 1]) == pytest.approx(1, abs=1e-3)


@pytest.fixture
def student(tmp_path) -> Student:
    student = load(StudentSettings(name=str(builders.t5(tmp_path)), max_target_length=40), ())
    torch.manual_seed(0)
    for weight in student.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    student.train()
    return student


def questions(n: int) -> list[Example]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(n):
        a, b = (int(number) for number in rng.integers(2, 99, 2))
        made.append(Example(str(i), (f"Luke scored {a} points in {b} rounds",), f"{a} / {b}", f"He scored {a} in {b}."))
    return made


def test_pooled_states_are_the_means_over_real_tokens_whatever_shares_a_batch(student):
    questions, targets = ["He scored 84 points", "no", "How many points a round?"], ["yes", "84 / 2 is 42.", "no maybe"]
    texts = ["predict: " + question for question in questions]
    examples = [Example("", (question,), target) for question, target in zip(questions, targets, strict=True)]
    found = student.pooled(examples, View.PREDICT, batch_size=2)
    assert student.training
    student.eval()
    for row, text, target in zip(found, texts, targets, strict=True):
        ids, labels = (torch.tensor(student.tokenizer([one])["input_ids"]) for one in (text, target))
        fed = torch.cat([torch.zeros_like(labels[:, :1]), labels[:, :-1]], 1)
        with torch.no_grad():
            made = student.model(input_ids=ids, decoder_input_ids=fed, output_hidden_states=True)
        torch.testing.assert_close(row, made.decoder_hidden_states[-1][0].mean(0), rtol=1e-4, atol=1e-5)
    assert student.pooled([], View.PREDICT, batch_size=2).shape[0] == 0


def test_a_students_two_views_tell_of_each_other(student):
    """They read the same input: and against rationales of other questions they do not."""
    examples = questions(200)
    found = dependence(student, examples, components=2, shuffles=1, batch_size=32)
    assert found.n == 200
    assert found.components == (2, 2)
    assert found.nats > found.chance_upper + 0.3
    left_out = [replace(examples[0], rationale=None), replace(examples[1], label=""), *examples[2:]]
    assert dependence(student, left_out, components=2, shuffles=0).n == 198
    assert dependence(student, left_out[:2]).reason is not None
    assert student.training


def test_the_two_sides_are_the_predict_and_the_explain_view(student):
    examples = questions(120)
    predict, explain = (student.pooled(examples, view, batch_size=64) for view in (View.PREDICT, View.EXPLAIN))
    found = dependence(student, examples, seed=3, components=2, shuffles=0)
    assert found.nats == pytest.approx(infonce(predict, explain, 3, 2, 0).nats, abs=1e-6)
