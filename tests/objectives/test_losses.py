"""The fused head's values and gradients, against the plain version, loops, closed forms and the released values."""

import math
from dataclasses import replace

import pytest
import torch

from limbeck.data import View
from limbeck.models import VocabularyHead
from limbeck.objectives import (
    IGNORE,
    MEASURES,
    METHODS,
    AlignmentTerm,
    Objective,
    ObjectiveSettings,
    ViewStates,
    gradient_shares,
    losses,
    objective,
    term_counts,
)
from tests.objectives import oracle


def wave(scale: float, a: float, b: float, c: float, size: tuple[int, int, int]) -> torch.Tensor:
    """The logits of the design's check values: s * sin(a b + b t + c k + 0.1 b t k / (1 + k))."""
    i, t, k = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    return scale * torch.sin(a * i + b * t + c * k + 0.1 * i * t * k / (1 + k))


def term_of(name: str) -> AlignmentTerm:
    return next(term for term in METHODS[name].terms if isinstance(term, AlignmentTerm))


def alignment(term, p, labels, q, rationales):
    """The mean alignment over the examples of two sides' logits, which are taken for the states of a head left in."""
    alone = Objective("alone", (replace(term, weight=1.0),))
    states = dict(zip(term.views, (ViewStates(p, labels), ViewStates(q, rationales)), strict=True))
    return losses(alone, states, VocabularyHead(None), term_counts(alone, {v: s.labels for v, s in states.items()}))[0]


def real(batch: int, tokens: int) -> torch.Tensor:
    """Labels without padding."""
    return torch.ones(batch, tokens, dtype=torch.long)


@pytest.mark.parametrize(
    ("size", "scale", "loss", "norm"),
    [
        ((2, 3, 5, 11), 1.0, 3.243375372935352, 0.018698960439149894),
        ((3, 4, 7, 32), 3.0, 8.403169920584135, 0.01826236866118099),
    ],
)
def test_mi_official_gives_the_released_values(size, scale, loss, norm):
    batch, m, n, vocabulary = size
    p = wave(scale, 1.3, 0.7, 0.37, (batch, m, vocabulary))
    q = wave(scale, 0.9, 1.1, 0.53, (batch, n, vocabulary)).requires_grad_()
    value = alignment(term_of("mi-official"), p, real(batch, m), q, real(batch, n))
    value.backward()
    assert value.item() == pytest.approx(loss, abs=1e-10)
    assert q.grad.norm().item() == pytest.approx(norm, abs=1e-10)


def naive_mi(p_logits, labels, q_logits, rationales, pool, measure):
    """The term by loops over examples, tokens and vocabulary, from Eq. 9-11."""
    values = []
    for i in range(len(labels)):
        vectors = []
        for logits, targets in ((p_logits[i], labels[i]), (q_logits[i], rationales[i])):
            columns = []
            for k in range(logits.shape[-1]):
                probabilities = [
                    math.exp(logits[t, k]) / sum(math.exp(x) for x in logits[t])
                    for t in range(len(targets))
                    if targets[t] != IGNORE
                ]
                columns.append(max(probabilities) if pool == "max" else sum(probabilities) / len(probabilities))
            vectors.append([x / sum(columns) for x in columns])
        v, z = vectors
        if measure == "cross-entropy":
            values.append(-sum(a * math.log(b) for a, b in zip(v, z, strict=True)))
        elif measure == "kl":
            values.append(sum(a * math.log(a / b) for a, b in zip(v, z, strict=True)))
        else:
            raise AssertionError(f"no loop for {measure}")
    return values


@pytest.mark.parametrize(
    ("name", "pool", "measure"),
    [("mi", "max", "cross-entropy"), ("mi-mean", "mean", "cross-entropy"), ("kl", "max", "kl")],
)
def test_alignment_agrees_with_loops(name, pool, measure):
    torch.manual_seed(3)
    p, q = torch.randn(3, 4, 9, dtype=torch.float64), torch.randn(3, 6, 9, dtype=torch.float64)
    labels, rationales = real(3, 4), real(3, 6)
    labels[0, 2:], rationales[1, 1:], rationales[2, 5:] = IGNORE, IGNORE, IGNORE
    value = alignment(term_of(name), p, labels, q, rationales)
    expected = naive_mi(p, labels, q, rationales, pool, measure)
    assert value.item() == pytest.approx(sum(expected) / 3, rel=1e-12)


def padded(logits, labels, more):
    """The same batch with `more` positions of padding, their logits arbitrary."""
    batch, _, vocabulary = logits.shape
    junk = 5 * torch.randn(batch, more, vocabulary, dtype=logits.dtype)
    return torch.cat([logits, junk], 1), torch.cat([labels, torch.full((batch, more), IGNORE)], 1)


@pytest.mark.parametrize(("name", "changes"), [("mi", False), ("mi-mean", False), ("kl", False), ("mi-official", True)])
def test_only_the_official_term_depends_on_padding(name, changes):
    torch.manual_seed(5)
    p, q = torch.randn(4, 3, 30), torch.randn(4, 8, 30)
    labels, rationales = real(4, 3), real(4, 8)
    before = alignment(term_of(name), p, labels, q, rationales)
    after = alignment(term_of(name), *padded(p, labels, 5), *padded(q, rationales, 8))
    assert (abs(before - after).item() > 1e-3) if changes else (abs(before - after).item() < 1e-6)


def gradient(term, p, q):
    p, q = p.clone().requires_grad_(), q.clone().requires_grad_()
    alignment(term, p, real(*p.shape[:2]), q, real(*q.shape[:2])).backward()
    return p.grad, q.grad


def test_kl_with_the_label_side_detached_has_the_gradient_of_mi():
    torch.manual_seed(7)
    p, q = torch.randn(3, 4, 12, dtype=torch.float64), torch.randn(3, 5, 12, dtype=torch.float64)
    detached = ObjectiveSettings(name="kl", detach="label").build().terms[-1]
    _, of_kl = gradient(detached, p, q)
    _, of_mi = gradient(term_of("mi"), p, q)
    torch.testing.assert_close(of_kl, of_mi, rtol=1e-12, atol=1e-15)
    _, free = gradient(term_of("kl"), p, q)
    torch.testing.assert_close(free, of_mi, rtol=1e-12, atol=1e-15)  # z's gradient never saw the detaching
    label_side, _ = gradient(term_of("kl"), p, q)
    assert label_side.abs().max() > 1e-4  # but v's is free


def test_detach_label_leaves_the_label_side_without_gradient():
    p, q = torch.randn(2, 3, 8), torch.randn(2, 4, 8)
    label_side, rationale_side = gradient(term_of("mi"), p, q)
    assert label_side.abs().max() == 0
    assert rationale_side.abs().sum() > 0


def test_symmetric_is_the_mean_of_both_directions():
    torch.manual_seed(11)
    p, q = torch.randn(2, 3, 8, dtype=torch.float64), torch.randn(2, 5, 8, dtype=torch.float64)
    one = term_of("mi")
    both = ObjectiveSettings(name="mi", symmetric=True).build().terms[-1]
    there = alignment(one, p, real(2, 3), q, real(2, 5))
    back = alignment(one, q, real(2, 5), p, real(2, 3))
    torch.testing.assert_close(alignment(both, p, real(2, 3), q, real(2, 5)), (there + back) / 2)


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_gives_one_finite_number_an_example(name):
    log_v, log_z = torch.randn(5, 20).log_softmax(-1), (30 * torch.randn(5, 20)).log_softmax(-1)
    value = MEASURES[name](log_v, log_z)
    assert value.shape == (5,)
    assert value.isfinite().all()


def test_kl_of_equal_distributions_is_zero_and_cross_entropy_their_entropy():
    uniform = torch.full((1, 8), -math.log(8), dtype=torch.float64)
    assert MEASURES["kl"](uniform, uniform).item() == pytest.approx(0, abs=1e-15)
    assert MEASURES["cross-entropy"](uniform, uniform).item() == pytest.approx(math.log(8))


def test_extreme_logits_stay_finite():
    q = torch.tensor([[[400.0, -400.0, 0.0]]]).requires_grad_()
    value = alignment(term_of("mi"), torch.zeros(1, 1, 3), real(1, 1), q, real(1, 1))
    value.backward()
    assert value.isfinite()
    assert q.grad.isfinite().all()


def test_token_loss_agrees_with_a_loop():
    torch.manual_seed(1)
    logits, labels = torch.randn(2, 3, 5), torch.tensor([[1, 4, IGNORE], [0, IGNORE, IGNORE]])
    expected = [
        -math.log(math.exp(logits[b, t, labels[b, t]]) / sum(math.exp(x) for x in logits[b, t]))
        for b in range(2)
        for t in range(3)
        if labels[b, t] != IGNORE
    ]
    method, states = objective("finetune"), {View.PREDICT: ViewStates(logits, labels)}
    value, _ = losses(method, states, VocabularyHead(None), term_counts(method, {View.PREDICT: labels}))
    assert value.item() == pytest.approx(sum(expected) / 3, rel=1e-5)


def batch_of(views, vocabulary=17, width=6, batch=4):
    """States and labels for `views`, with padding, and one example without a rationale."""
    states = {}
    for length, view in enumerate(views, start=4):
        labels = torch.randint(0, vocabulary, (batch, length))
        labels[1, 2:] = IGNORE
        if view is View.EXPLAIN:
            labels[3] = IGNORE
        states[view] = ViewStates(torch.randn(batch, length, width, requires_grad=True), labels)
    return states, VocabularyHead(torch.randn(vocabulary, width, requires_grad=True))


@pytest.mark.parametrize("name", METHODS)
def test_terms_add_up_and_shares_sum_to_one(name):
    torch.manual_seed(2)
    method = objective(name)
    states, head = batch_of(method.views)
    counts = term_counts(method, {view: state.labels for view, state in states.items()})
    total, values = losses(method, states, head, counts)
    assert total.item() == pytest.approx(sum(term.weight * values[term.name].item() for term in method.terms), rel=1e-6)
    shares = gradient_shares(method, states, head, counts)
    assert sum(share.item() for share in shares.values()) == pytest.approx(1, rel=1e-5)
    assert all(share > 0 for share in shares.values())
    total.backward()
    assert all(state.hidden.grad.isfinite().all() for state in states.values())


def test_shares_agree_with_separate_backward_passes():
    torch.manual_seed(4)
    method = objective("mi")
    states, head = batch_of(method.views)
    counts = term_counts(method, {view: state.labels for view, state in states.items()})
    shares = gradient_shares(method, states, head, counts)
    norms = {}
    for term in method.terms:
        for state in states.values():
            state.hidden.grad = None
        (term.weight * oracle.losses(method, states, head, counts)[1][term.name]).backward()
        norms[term.name] = math.sqrt(
            sum(float(s.hidden.grad.square().sum()) for s in states.values() if s.hidden.grad is not None)
        )
    for name, norm in norms.items():
        assert shares[name].item() == pytest.approx(norm / sum(norms.values()), rel=1e-5)


def test_an_example_without_a_rationale_counts_for_the_label_alone():
    torch.manual_seed(6)
    method = objective("mi")
    states, head = batch_of(method.views)
    counts = term_counts(method, {view: state.labels for view, state in states.items()})
    whole = losses(method, states, head, counts)[1]
    complete = {view: ViewStates(state.hidden[:3], state.labels[:3]) for view, state in states.items()}
    without = losses(method, complete, head, term_counts(method, {view: s.labels for view, s in complete.items()}))[1]
    assert counts["alignment"] == 3
    assert whole["rationale"].item() == pytest.approx(without["rationale"].item(), rel=1e-6)
    assert whole["alignment"].item() == pytest.approx(without["alignment"].item(), rel=1e-6)
    assert whole["label"].item() != pytest.approx(without["label"].item(), rel=1e-3)


def test_halves_of_a_batch_add_up_to_the_whole_under_common_counts():
    torch.manual_seed(8)
    method = objective("kl")
    states, head = batch_of(method.views)
    counts = term_counts(method, {view: state.labels for view, state in states.items()})
    whole = losses(method, states, head, counts)[0]
    halves = [
        losses(method, {view: ViewStates(s.hidden[part], s.labels[part]) for view, s in states.items()}, head, counts)[
            0
        ]
        for part in (slice(0, 1), slice(1, 4))
    ]
    assert whole.item() == pytest.approx(sum(half.item() for half in halves), rel=1e-6)
