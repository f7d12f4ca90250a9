"""The fused head: values and gradients against the plain version in float64, in every type, chunk and graph."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch._subclasses.fake_tensor import FakeTensorMode

from limbeck.data import View
from limbeck.models.families import VocabularyHead
from limbeck.models.tokenization import IGNORE, numbered
from limbeck.objectives import METHODS, ObjectiveSettings, fused
from limbeck.objectives.fused import Targets, gradient_shares, losses, term_counts
from tests.objectives import oracle

DEVICE = torch.device(os.environ.get("LIMBECK_TEST_DEVICE", "cpu"))
DTYPE = getattr(torch, os.environ.get("LIMBECK_TEST_DTYPE", "float32"))
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 3e-3}[DTYPE]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def random_batch(views, vocabulary=50, width=8, batch=6):
    """Make a batch padded here and there, one example of which lacks its rationale."""
    hidden, labels = {}, {}
    for view in views:
        length = int(torch.randint(3, 14, ()))
        labels[view] = torch.randint(0, vocabulary, (batch, length))
        for row in labels[view]:
            row[torch.randint(1, length + 1, ()) :] = IGNORE
        if view is not View.PREDICT:
            labels[view][torch.randint(0, batch, ())] = IGNORE
        hidden[view] = torch.randn(batch, length, width, dtype=torch.float64)
    parameters = torch.randn(vocabulary, width, dtype=torch.float64) * width**-0.5, torch.randn(vocabulary).double()
    return Batch(hidden, labels, parameters)


class Batch(NamedTuple):
    """The head's input and the target ids by view, both padded, and the head's weight and bias."""

    hidden: dict[View, torch.Tensor]
    labels: dict[View, torch.Tensor]
    parameters: Sequence[torch.Tensor]

    def rounded(self, dtype):
        """Return the batch with numbers that `dtype` can hold, so that arg-maxes stay the same."""
        hidden = {view: states.to(dtype).double() for view, states in self.hidden.items()}
        return Batch(hidden, self.labels, [tensor.to(dtype).double() for tensor in self.parameters])

    def counts(self, method):
        """Return the terms' counts."""
        return method.counts({view: (ids != IGNORE).sum(1) for view, ids in self.labels.items()})


def gradients(compute, method, batch, *, dtype=DTYPE, device=DEVICE, splits=1, soft_cap=None, counts=None):
    """Return the loss and every gradient, taken over slices of the batch under the whole batch's counts."""
    weight, bias = (tensor.to(device, dtype, copy=True).requires_grad_() for tensor in batch.parameters)
    hidden = {view: states.to(device, dtype, copy=True).requires_grad_() for view, states in batch.hidden.items()}
    counts = counts or batch.counts(method)
    total = 0.0
    for rows in torch.arange(len(next(iter(hidden.values())))).chunk(splits):
        states = {view: leaf[rows] for view, leaf in hidden.items()}
        labels = {view: ids[rows].to(device) for view, ids in batch.labels.items()}
        targets = oracle.packed(method, states, labels)
        loss, _ = compute(method, targets, head=VocabularyHead(weight, bias, soft_cap), counts=counts)
        (3 * loss).backward()  # a scaled loss: the gradient that comes in is not 1
        total += loss.item()
    leaves = (weight, bias, *hidden.values())
    return total, [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad.cpu() for leaf in leaves]


def expected_gradients(method, batch, **options):
    return gradients(oracle.losses, method, batch, dtype=torch.float64, device="cpu", **options)


def error(gradients, expected):
    return max(((a.double() - b).norm() / b.norm()).item() for a, b in zip(gradients, expected, strict=True))


CHANGES = [
    {},
    {"alignment_weight": 100.0},
    {"symmetric": True, "detach": "label"},
    {"symmetric": True, "detach": "none"},
    {"pool": "mean", "detach": "none"},
]
ALIGNED = [name for name, method in METHODS.items() if any(term.name == "alignment" for term in method.terms)]
VARIANTS = [(name, changes) for name in METHODS for changes in CHANGES if name in ALIGNED or not changes]


@pytest.mark.parametrize(
    ("chunk_bytes", "splits", "soft_cap", "smoothing"),
    [(1, 1, None, 0.0), (2**16, 4, 4.0, 0.3), (2**24, 4, None, 0.0), (2**24, 1, 4.0, 0.0)],
)
@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_values_and_gradients_agree_with_the_plain_version(
    name, changes, *, chunk_bytes, splits, soft_cap, smoothing, monkeypatch
):
    """In float64 at any size of chunk, summed over parts of a batch, with logits capped and labels smoothed."""
    monkeypatch.setattr(fused, "_CPU_BYTES", chunk_bytes)
    method = ObjectiveSettings(name=name, **changes).build().smoothed(smoothing)
    batch = random_batch(method.views, 211, 16)
    loss, computed = gradients(losses, method, batch, splits=splits, soft_cap=soft_cap)
    # a contrast is among the questions of a part
    plain, expected = expected_gradients(
        method, batch, soft_cap=soft_cap, splits=splits if method.across_examples else 1
    )
    assert loss == pytest.approx(plain, rel=TOLERANCE)
    assert error(computed, expected) <= TOLERANCE


@pytest.mark.parametrize("chunk_bytes", [1, 2**24])
@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_examples_and_whole_views_may_lack_targets(name, changes, chunk_bytes, monkeypatch):
    monkeypatch.setattr(fused, "_CPU_BYTES", chunk_bytes)
    method = ObjectiveSettings(name=name, **changes).build()
    for absent in (slice(0, 5), slice(None)):
        batch = random_batch(method.views)
        batch.labels[method.views[-1]][absent] = IGNORE
        loss, computed = gradients(losses, method, batch)
        plain, expected = expected_gradients(method, batch)
        assert loss == pytest.approx(plain, rel=TOLERANCE)
        for gradient, other in zip(computed, expected, strict=True):
            torch.testing.assert_close(gradient.double(), other, rtol=1e-3, atol=TOLERANCE)


@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_in_float64_they_agree_to_ten_digits(name, changes, monkeypatch):
    monkeypatch.setattr(fused, "_CPU_BYTES", 2**16)
    method = ObjectiveSettings(name=name, **changes).build().smoothed(0.1)
    batch = random_batch(method.views, 211, 16)
    loss, computed = gradients(losses, method, batch, dtype=torch.float64)
    plain, expected = expected_gradients(method, batch)
    assert loss == pytest.approx(plain, rel=1e-10)
    assert error(computed, expected) <= 1e-10


def test_one_long_target_does_not_widen_the_other_chunks(monkeypatch):
    monkeypatch.setattr(fused, "_CPU_BYTES", 2**12)
    method, sizes = METHODS["mi"], [2, 2, 40, 2]
    labels, states = torch.zeros(46, dtype=torch.long), torch.randn(46, 8)
    view = Targets(states, labels, torch.ones(46), torch.zeros(46), numbered(sizes), sizes)
    head = VocabularyHead(torch.randn(50, 8))
    parts = [part for _, part in fused._chunks(dict.fromkeys(method.views, view), head)]
    assert len(parts) > 1
    assert all(part.index.shape[1] == max(part.sizes) for chunk in parts for part in chunk.values())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_gradients_under_autocast_are_as_near_as_the_type_allows(monkeypatch, name, changes, dtype):
    monkeypatch.setattr(fused, "_CPU_BYTES", 2**16)
    method = ObjectiveSettings(name=name, **changes).build()
    batch = random_batch(method.views, 211, 16).rounded(dtype)
    _, expected = expected_gradients(method, batch)
    with torch.autocast("cpu", dtype):
        _, computed = gradients(losses, method, batch)
    assert all(gradient.dtype == torch.float32 for gradient in computed)
    assert error(computed, expected) <= 1e-2


@pytest.mark.parametrize("factor", [1e5, 1e-5, 1.0])
def test_no_gradient_vanishes_or_overflows_in_float16(factor):
    """The mean over a million tokens is below float16's smallest number; a rare term expects 1e-5 of an example."""
    method = METHODS["mi"]
    batch = random_batch(method.views).rounded(torch.float16)
    counts = {name: count * max(factor, 1.0) for name, count in batch.counts(method).items()}
    counts["rationale"] = counts["rationale"] * min(factor, 1.0)
    with torch.autocast("cpu", torch.float16):
        _, computed = gradients(losses, method, batch, counts=counts)
    assert error(computed, expected_gradients(method, batch, counts=counts)[1]) <= 1e-2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fused_head_never_waits_for_the_device(monkeypatch, dtype):
    """Under fake tensors, which hold no numbers, whatever looked at a value would raise."""
    monkeypatch.setattr(fused, "_CPU_BYTES", 1)
    method, options = METHODS["kl"], {"dtype": dtype, "requires_grad": True}
    with FakeTensorMode():
        head = VocabularyHead(torch.randn(50, 8, **options), torch.randn(50, **options))
        sizes, labels = [6, 2, 4], {view: torch.zeros(12, dtype=torch.long) for view in method.views}
        index = {view: torch.zeros(3, 6, dtype=torch.long) for view in method.views}
        hidden = {view: torch.randn(12, 8, **options) for view in method.views}
        weights, rows = {view: torch.ones(12) for view in method.views}, torch.zeros(12, dtype=torch.long)
        targets = {
            view: Targets(hidden[view], labels[view], weights[view], rows, index[view], sizes) for view in hidden
        }
        loss, values = losses(method, targets, head=head, counts=term_counts(method, labels, weights, index))
        loss.backward()
    assert {value.dtype for value in values.values()} == {torch.float32}
    tensors = [head.weight, head.bias, *hidden.values()]
    assert all(tensor.grad.shape == tensor.shape and tensor.grad.dtype == dtype for tensor in tensors)


def test_the_fused_head_compiles_into_one_graph():
    method = METHODS["mi"]
    batch = random_batch(method.views)
    torch.compiler.reset()
    compiled = torch.compile(losses, fullgraph=True, backend="aot_eager")
    loss, computed = gradients(compiled, method, batch)
    same, expected = gradients(losses, method, batch)
    assert loss == pytest.approx(same, rel=1e-6)
    assert error(computed, [gradient.double() for gradient in expected]) <= 1e-6


def test_a_loss_in_several_chunks_is_not_compiled_anew_for_every_batch(monkeypatch):
    monkeypatch.setattr(fused, "_CPU_BYTES", 2**12)
    torch.compiler.reset()
    method, counter = METHODS["mi"], CompileCounter()
    compiled = torch.compile(losses, backend=counter, dynamic=True)
    for _ in range(5):  # of other lengths each
        batch = random_batch(method.views)
        (loss, computed), (same, expected) = (gradients(compute, method, batch) for compute in (compiled, losses))
        assert (loss, error(computed, expected)) == (pytest.approx(same, rel=1e-6), pytest.approx(0, abs=1e-6))
    assert counter.frame_count <= 2


@pytest.mark.parametrize("name", ["finetune", "mi"])
def test_confident_tokens_keep_their_gradient(name):
    """Large logits, one of them so far ahead that its probability is 1 - 1e-4 or nearer."""
    method, logits = METHODS[name], {}
    labels = {view: torch.randint(0, 50, (2, 3)) for view in method.views}
    largest = torch.tensor([43.0, 45.0, 48.0], dtype=torch.float64).expand(2, 3).unsqueeze(-1)
    for view, ids in labels.items():
        logits[view] = torch.full((2, 3, 50), 30.0, dtype=torch.float64).scatter_(2, ids.unsqueeze(-1), largest)
    batch = Batch(logits, labels, (torch.eye(50), torch.zeros(50)))
    loss, computed = gradients(losses, method, batch)
    plain, expected = expected_gradients(method, batch)
    # float32 itself cannot tell 1 - 1e-4 better than this
    assert loss == pytest.approx(plain, rel=5e-3)
    assert error(computed, expected) <= 5e-3


@pytest.mark.parametrize("name", METHODS)
def test_shares_are_the_norms_of_separate_backward_passes(name):
    method = METHODS[name]
    batch = random_batch(method.views)
    targets = oracle.packed(method, batch.hidden, batch.labels)
    options = {"head": VocabularyHead(*batch.parameters), "counts": batch.counts(method)}
    shares = gradient_shares(method, targets, **options)
    leaves, norms = [view.states.requires_grad_() for view in targets.values()], {}
    for term in method.terms:
        value = term.weight * oracle.losses(method, targets, **options)[1][term.name]
        by_states = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
        norms[term.name] = sum(gradient.square().sum().item() for gradient in by_states) ** 0.5
    expected = {name: norm / sum(norms.values()) for name, norm in norms.items()}
    assert {name: share.item() for name, share in shares.items()} == pytest.approx(expected, rel=1e-5)
