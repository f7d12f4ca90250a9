"""The fused head: values and gradients against the plain version in float64, in every type, chunk and graph."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from limbeck.data import View
from limbeck.models.families import VocabularyHead
from limbeck.models.tokenization import IGNORE
from limbeck.objectives import METHODS, ObjectiveSettings, fused
from limbeck.objectives.fused import ViewStates, gradient_shares, losses, term_counts
from tests.helpers.devices import DEVICE, DTYPE, TOLERANCE
from tests.objectives import oracle


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def random_batch(views, vocabulary=50, width=8, batch=6):
    """Make states and labels, padded here and there, one example without its rationale, and the head's parameters."""
    states = {}
    for view in views:
        length = int(torch.randint(3, 14, ()))
        labels = torch.randint(0, vocabulary, (batch, length))
        for i in range(batch):
            labels[i, torch.randint(1, length + 1, ()) :] = IGNORE
        if view is not View.PREDICT:
            labels[torch.randint(0, batch, ())] = IGNORE
        states[view] = ViewStates(torch.randn(batch, length, width, dtype=torch.float64), labels)
    parameters = torch.randn(vocabulary, width, dtype=torch.float64) * width**-0.5, torch.randn(vocabulary).double()
    return states, parameters


def counts_of(method, states):
    return term_counts(method, {view: state.labels for view, state in states.items()})


def gradients(compute, method, states, parameters, *, dtype=DTYPE, device=DEVICE, splits=1, soft_cap=None, counts=None):
    """Return the loss and every gradient, taken over slices of the batch under the whole batch's counts."""
    weight, bias = (tensor.detach().to(device, dtype).requires_grad_() for tensor in parameters)
    hidden = {view: state.hidden.detach().to(device, dtype).requires_grad_() for view, state in states.items()}
    counts = counts or counts_of(method, states)
    total = 0.0
    for rows in torch.arange(len(next(iter(hidden.values())))).chunk(splits):
        slices = {view: ViewStates(hidden[view][rows], state.labels[rows].to(device)) for view, state in states.items()}
        loss, _ = compute(method, slices, VocabularyHead(weight, bias, soft_cap), counts=counts)
        (3 * loss).backward()  # a scaled loss: the gradient that comes in is not 1
        total += loss.item()
    return total, [leaf.grad.cpu() for leaf in (weight, bias, *hidden.values())]


def expected_gradients(method, states, parameters, **options):
    return gradients(oracle.losses, method, states, parameters, dtype=torch.float64, device="cpu", **options)


def error(gradients, expected):
    """Return the largest relative error."""
    return max(((a.double() - b).norm() / b.norm()).item() for a, b in zip(gradients, expected, strict=True))


CHANGES = [
    {},
    {"alignment_weight": 100.0},
    {"symmetric": True, "detach": "label"},
    {"symmetric": True, "detach": "none"},
    {"pool": "mean", "detach": "none"},
]
VARIANTS = [(name, changes) for name in METHODS for changes in CHANGES if len(METHODS[name].terms) > 2 or not changes]


@pytest.mark.parametrize(("chunk_bytes", "splits"), [(1, 1), (2**16, 4), (2**24, 1)])
@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_gradients_agree_with_the_plain_version_in_float64(monkeypatch, name, changes, *, chunk_bytes, splits):
    monkeypatch.setattr(fused, "_CPU_BYTES", chunk_bytes)
    method, soft_cap = ObjectiveSettings(name=name, **changes).build(), 4.0 if splits == 1 else None
    states, parameters = random_batch(method.views, 211, 16)
    loss, computed = gradients(losses, method, states, parameters, splits=splits, soft_cap=soft_cap)
    plain, expected = expected_gradients(method, states, parameters, soft_cap=soft_cap)
    assert loss == pytest.approx(plain, rel=TOLERANCE)
    assert error(computed, expected) <= TOLERANCE


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_gradients_under_autocast_are_as_near_as_the_type_allows(monkeypatch, name, changes, dtype):
    monkeypatch.setattr(fused, "_CPU_BYTES", 2**16)
    method = ObjectiveSettings(name=name, **changes).build()
    states, parameters = random_batch(method.views, 211, 16)
    # numbers the type can hold: once an input is rounded, the largest logit may be another, whatever the head does
    states = {view: ViewStates(state.hidden.to(dtype).double(), state.labels) for view, state in states.items()}
    parameters = [tensor.to(dtype).double() for tensor in parameters]
    _, expected = expected_gradients(method, states, parameters)
    with torch.autocast("cpu", dtype):
        _, computed = gradients(losses, method, states, parameters)
    assert all(gradient.dtype == torch.float32 for gradient in computed)
    assert error(computed, expected) <= 1e-2


@pytest.mark.parametrize("factor", [1e5, 1e-5, 1.0])
def test_no_gradient_vanishes_or_overflows_in_float16(factor):
    """The mean over a million tokens is below float16's smallest number; a rare term expects 1e-5 of an example."""
    method = METHODS["mi"]
    states, parameters = random_batch(method.views)
    states = {view: ViewStates(state.hidden.half().double(), state.labels) for view, state in states.items()}
    parameters = [tensor.half().double() for tensor in parameters]
    counts = counts_of(method, states)
    counts = {name: count * (1e5 if factor > 1 else 1.0) for name, count in counts.items()}
    counts["rationale"] = counts["rationale"] * min(factor, 1.0)
    with torch.autocast("cpu", torch.float16):
        _, computed = gradients(losses, method, states, parameters, counts=counts)
    assert error(computed, expected_gradients(method, states, parameters, counts=counts)[1]) <= 1e-2


def test_a_head_in_bfloat16_gets_gradients_in_bfloat16():
    states, parameters = random_batch((View.PREDICT,))
    _, computed = gradients(losses, METHODS["finetune"], states, parameters, dtype=torch.bfloat16)
    assert {gradient.dtype for gradient in computed} == {torch.bfloat16}
    assert error(computed, expected_gradients(METHODS["finetune"], states, parameters)[1]) <= 2e-2


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", METHODS)
def test_label_smoothing_is_torchs_own(name, dtype, tolerance):
    """The plain version smooths by torch's `cross_entropy(label_smoothing=...)`; padding counts nothing."""
    method = METHODS[name].smoothed(0.3)
    states, parameters = random_batch(method.views, 211, 16)
    loss, computed = gradients(losses, method, states, parameters, dtype=dtype, splits=4, soft_cap=4.0)
    plain, expected = expected_gradients(method, states, parameters, soft_cap=4.0)
    unsmoothed, _ = expected_gradients(METHODS[name], states, parameters, soft_cap=4.0)
    assert loss == pytest.approx(plain, rel=tolerance)
    assert error(computed, expected) <= tolerance
    assert abs(plain - unsmoothed) > 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fused_head_never_waits_for_the_device(monkeypatch, dtype):
    """Under fake tensors, which hold no numbers, whatever looked at a value would raise."""
    monkeypatch.setattr(fused, "_CPU_BYTES", 1)
    method, options = METHODS["kl"], {"dtype": dtype, "requires_grad": True}
    with FakeTensorMode():
        head = VocabularyHead(torch.randn(50, 8, **options), torch.randn(50, **options))
        labels = torch.zeros(4, 6, dtype=torch.long)
        states = {view: ViewStates(torch.randn(4, 6, 8, **options), labels) for view in method.views}
        loss, values = losses(method, states, head, counts=counts_of(method, states))
        loss.backward()
    assert {value.dtype for value in values.values()} == {torch.float32}
    tensors = [head.weight, head.bias, *(state.hidden for state in states.values())]
    assert all(tensor.grad.shape == tensor.shape and tensor.grad.dtype == dtype for tensor in tensors)


def test_the_fused_head_compiles_into_one_graph():
    method = METHODS["mi"]
    states, parameters = random_batch(method.views)
    torch.compiler.reset()
    compiled = torch.compile(losses, fullgraph=True, backend="aot_eager")
    loss, computed = gradients(compiled, method, states, parameters)
    same, expected = gradients(losses, method, states, parameters)
    assert loss == pytest.approx(same, rel=1e-6)
    assert error(computed, [gradient.double() for gradient in expected]) <= 1e-6


@pytest.mark.parametrize("name", ["finetune", "mi"])
def test_confident_tokens_keep_their_gradient(name):
    """Large logits, one of them so far ahead that its probability is 1 - 1e-4 or nearer."""
    method, states, head = METHODS[name], {}, (torch.eye(50), torch.zeros(50))
    for view in method.views:
        labels = torch.randint(0, 50, (2, 3))
        logits = torch.full((2, 3, 50), 30.0, dtype=torch.float64)
        logits.scatter_(2, labels.unsqueeze(-1), torch.tensor([[43.0, 45.0, 48.0]] * 2).double().unsqueeze(-1))
        states[view] = ViewStates(logits, labels)
    loss, computed = gradients(losses, method, states, head)
    plain, expected = expected_gradients(method, states, head)
    # float32 itself cannot tell 1 - 1e-4 better than this
    assert loss == pytest.approx(plain, rel=5e-3)
    assert error(computed, expected) <= 5e-3


def test_a_head_gradient_beyond_float16_is_right():
    """One token has a third of 12,000 rows, and one channel is large: the sum over rows exceeds 65,504."""
    labels = torch.randint(0, 20, (12, 1000))
    labels[torch.rand(labels.shape) < 0.3] = 7
    hidden = torch.randn(12, 1000, 4)
    hidden[..., 0] = 20
    head, states = (torch.zeros(20, 4), torch.zeros(20)), {View.PREDICT: ViewStates(hidden, labels)}
    with torch.autocast("cpu", torch.float16):
        _, computed = gradients(losses, METHODS["finetune"], states, head)
    _, expected = expected_gradients(METHODS["finetune"], states, head)
    assert error(computed[:1], expected[:1]) <= 1e-2


@pytest.mark.parametrize("name", METHODS)
def test_shares_are_the_norms_of_separate_backward_passes(name):
    method = METHODS[name]
    states, parameters = random_batch(method.views)
    states = {view: ViewStates(state.hidden.requires_grad_(), state.labels) for view, state in states.items()}
    head, counts = VocabularyHead(*parameters), counts_of(method, states)
    shares = gradient_shares(method, states, head, counts=counts)
    norms = {}
    for term in method.terms:
        for state in states.values():
            state.hidden.grad = None
        (term.weight * oracle.losses(method, states, head, counts=counts)[1][term.name]).backward()
        squares = [float(s.hidden.grad.square().sum()) for s in states.values() if s.hidden.grad is not None]
        norms[term.name] = math.sqrt(sum(squares))
    expected = {name: norm / sum(norms.values()) for name, norm in norms.items()}
    assert {name: share.item() for name, share in shares.items()} == pytest.approx(expected, rel=1e-5)
