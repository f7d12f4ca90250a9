"""The fused head: gradients against the plain version in float64, in every type, chunk and graph."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from limbeck.data import View
from limbeck.models import VocabularyHead
from limbeck.objectives import (
    IGNORE,
    METHODS,
    POOLS,
    AlignmentTerm,
    Objective,
    ObjectiveSettings,
    TokenTerm,
    ViewStates,
    losses,
    objective,
    term_counts,
)
from limbeck.objectives.fused import walk
from tests.objectives import oracle


def random_batch(views, vocabulary, width, batch=6):
    """Fresh states and labels, padded here and there, one example without its rationale."""
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


def gradients(compute, method, states, parameters, dtype, parts=1, soft_cap=None):
    """The loss and every gradient, taken over `parts` slices of the batch under the whole batch's counts."""
    weight, bias = (one.detach().to(dtype).requires_grad_() for one in parameters)
    hidden = {view: state.hidden.detach().to(dtype).requires_grad_() for view, state in states.items()}
    counts = term_counts(method, {view: state.labels for view, state in states.items()})
    total = 0.0
    for some in torch.arange(len(next(iter(hidden.values())))).chunk(parts):
        part = slice(int(some[0]), int(some[-1]) + 1)
        slices = {view: ViewStates(hidden[view][part], state.labels[part]) for view, state in states.items()}
        loss, _ = compute(method, slices, VocabularyHead(weight, bias, soft_cap), counts)
        (3 * loss).backward()  # a scaled loss: the gradient that comes in is not 1
        total += loss.item()
    return total, [weight.grad, bias.grad, *(states.grad for states in hidden.values())]


def relative_errors(found, expected):
    return [((a.double() - b).norm() / b.norm()).item() for a, b in zip(found, expected, strict=True)]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


CHANGES = [
    {},
    {"a3": 100.0},
    {"symmetric": True, "detach": "label"},
    {"symmetric": True, "detach": "none"},
    {"pool": "mean", "detach": "none"},
]
VARIANTS = [(name, changes) for name in METHODS for changes in CHANGES if objective(name).pools or not changes]


@pytest.mark.parametrize("examples", [1, 3, None])
@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_gradients_agree_with_the_plain_version_in_float64(name, changes, examples, parts):
    method = ObjectiveSettings(name=name, **changes).build()
    soft_cap = 4.0 if torch.rand(()) < 0.5 else None
    states, parameters = random_batch(method.views, vocabulary=211, width=16)

    def fused(*arguments):
        return losses(*arguments, examples=examples)

    loss, found = gradients(fused, method, states, parameters, torch.float32, parts, soft_cap)
    plain, expected = gradients(oracle.losses, method, states, parameters, torch.float64, 1, soft_cap)
    assert loss == pytest.approx(plain, rel=1e-5)
    assert max(relative_errors(found, expected)) <= 1e-5


@pytest.mark.parametrize("examples", [2, None])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_gradients_under_autocast_are_as_near_as_the_type_allows(name, changes, dtype, examples):
    method = ObjectiveSettings(name=name, **changes).build()

    def fused(*arguments):
        return losses(*arguments, examples=examples)

    states, parameters = random_batch(method.views, vocabulary=211, width=16)
    # numbers the type can hold: once an input is rounded, the largest logit may be another, whatever the head does
    states = {view: ViewStates(state.hidden.to(dtype).double(), state.labels) for view, state in states.items()}
    parameters = [one.to(dtype).double() for one in parameters]
    _, expected = gradients(oracle.losses, method, states, parameters, torch.float64)
    with torch.autocast("cpu", dtype):
        _, found = gradients(fused, method, states, parameters, torch.float32)
    assert all(gradient.dtype == torch.float32 for gradient in found)
    assert max(relative_errors(found, expected)) <= 1e-2


def test_gradients_of_many_tokens_do_not_vanish_in_float16():
    """The mean over a million tokens has gradients below float16's smallest number; none may be lost."""
    method = objective("mi")
    states, parameters = random_batch(method.views, vocabulary=50, width=8)
    head = [one.float().requires_grad_() for one in parameters]
    many = {view: ViewStates(state.hidden.float(), state.labels) for view, state in states.items()}
    counts = {
        name: count * 10**5 for name, count in term_counts(method, {v: s.labels for v, s in many.items()}).items()
    }
    with torch.autocast("cpu", torch.float16):
        losses(method, many, VocabularyHead(*head), counts)[0].backward()
    found, head[0].grad = head[0].grad, None
    oracle.losses(method, many, VocabularyHead(*head), counts)[0].backward()
    assert relative_errors([found], [head[0].grad.double()])[0] <= 1e-2


def test_a_head_in_bfloat16_gets_gradients_in_bfloat16():
    states, parameters = random_batch((View.PREDICT,), vocabulary=50, width=8)
    _, found = gradients(losses, objective("finetune"), states, parameters, torch.bfloat16)
    _, expected = gradients(oracle.losses, objective("finetune"), states, parameters, torch.float64)
    assert {gradient.dtype for gradient in found} == {torch.bfloat16}
    assert max(relative_errors(found, expected)) <= 2e-2


@pytest.mark.parametrize("factor", [0.1, 0.6])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", METHODS)
def test_label_smoothing_is_torchs_own(name, dtype, tolerance, factor):
    """The plain version smooths by torch's `cross_entropy(label_smoothing=...)`; padding counts nothing."""
    method = objective(name).smoothed(factor)
    soft_cap = 4.0 if torch.rand(()) < 0.5 else None
    states, parameters = random_batch(method.views, vocabulary=211, width=16)
    loss, found = gradients(losses, method, states, parameters, dtype, 4, soft_cap)
    plain, expected = gradients(oracle.losses, method, states, parameters, torch.float64, 1, soft_cap)
    unsmoothed, _ = gradients(oracle.losses, objective(name), states, parameters, torch.float64, 1, soft_cap)
    assert loss == pytest.approx(plain, rel=tolerance)
    assert max(relative_errors(found, expected)) <= tolerance
    assert abs(plain - unsmoothed) > 1e-6


def test_the_gradient_of_a_smoothed_loss_is_that_of_finite_differences():
    torch.manual_seed(3)
    method = objective("kl").smoothed(0.2)
    states, parameters = random_batch(method.views, vocabulary=7, width=5)
    labels = {view: state.labels for view, state in states.items()}
    counts = term_counts(method, labels)

    def value(weight, bias, *hidden):
        some = {view: ViewStates(h, labels[view]) for view, h in zip(method.views, hidden, strict=True)}
        return losses(method, some, VocabularyHead(weight, bias), counts)[0]

    inputs = [one.clone().requires_grad_() for one in (*parameters, *(state.hidden for state in states.values()))]
    value(*inputs).backward()
    for chosen in range(len(inputs)):
        direction = torch.randn_like(inputs[chosen])
        steps = []
        for sign in (1, -1):
            moved = [one.detach() for one in inputs]
            moved[chosen] = moved[chosen] + sign * 1e-6 * direction
            steps.append(value(*moved).item())
        slope = (inputs[chosen].grad * direction).sum().item()
        assert (steps[0] - steps[1]) / 2e-6 == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_counts_may_be_fractions_and_a_rare_term_does_not_overflow_in_float16(scale):
    """A term that one example in 100,000 has expects that part of an example in a step."""
    torch.manual_seed(0)
    method = objective("mi")
    states, parameters = random_batch(method.views, vocabulary=50, width=8)
    states = {view: ViewStates(state.hidden.half().float(), state.labels) for view, state in states.items()}
    counts = {"label": torch.tensor(300.0), "rationale": torch.tensor(0.01), "alignment": torch.tensor(scale * 1e-3)}
    found = {}
    for compute, dtype in ((losses, torch.float32), (oracle.losses, torch.float64)):
        head = [one.half().to(dtype).requires_grad_() for one in parameters]
        typed = {view: ViewStates(state.hidden.to(dtype), state.labels) for view, state in states.items()}
        with torch.autocast("cpu", torch.float16, enabled=dtype == torch.float32):
            compute(method, typed, VocabularyHead(*head), counts)[0].backward()
        found[dtype] = [one.grad for one in head]
    assert max(relative_errors(found[torch.float32], found[torch.float64])) <= 1e-2


@pytest.mark.parametrize("name", POOLS)
def test_a_pools_gradient_is_the_automatic_one(name):
    log_p = torch.randn(3, 5, 7, dtype=torch.float64).log_softmax(-1)
    log_p[0, 3:] = -math.inf
    log_p.requires_grad_()
    g = torch.randn(3, 7, dtype=torch.float64)
    log_v = POOLS[name].pool(log_p)
    log_v.backward(g)
    sums, add = POOLS[name].gradient(log_p.detach(), log_v.detach(), g)
    total = torch.full_like(log_p, 2.0)
    add(total)
    torch.testing.assert_close(total - 2, log_p.grad, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(sums, log_p.grad.sum(-1), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fused_head_never_waits_for_the_device(dtype):
    """Under fake tensors, which hold no numbers, whatever looked at a value would raise."""
    method, made = objective("kl"), {"dtype": dtype}
    with FakeTensorMode(), torch.no_grad():
        head = VocabularyHead(torch.randn(50, 8, **made), torch.randn(50, **made))
        hidden = {view: torch.randn(4, 6, 8, **made) for view in method.views}
        labels = {view: torch.zeros(4, 6, dtype=torch.long) for view in method.views}
        counts = term_counts(method, labels)
        values, gradients = walk(method, hidden, labels, head, counts, (True, True, True), 2)
    assert {value.dtype for value in values.values()} == {torch.float32}
    assert (gradients.weight.shape, gradients.weight.dtype, gradients.bias.shape) == ((50, 8), torch.float32, (50,))
    assert {gradient.dtype for gradient in gradients.hidden.values()} == {dtype}


@pytest.mark.parametrize("name", ["mi", "mi-mean", "mi-official", "kl", "finetune"])
def test_the_fused_head_compiles_into_one_graph(name):
    method = objective(name)
    states, parameters = random_batch(method.views, vocabulary=50, width=8)
    torch.compiler.reset()
    compiled = torch.compile(losses, fullgraph=True, backend="aot_eager")
    loss, found = gradients(compiled, method, states, parameters, torch.float32)
    same, expected = gradients(losses, method, states, parameters, torch.float32)
    assert loss == pytest.approx(same, rel=1e-6)
    assert max(relative_errors(found, [one.double() for one in expected])) <= 1e-6


def test_without_gradient_only_values_are_made():
    method = objective("mi")
    states, parameters = random_batch(method.views, vocabulary=50, width=8)
    head = VocabularyHead(*(one.requires_grad_() for one in parameters))
    counts = term_counts(method, {view: state.labels for view, state in states.items()})
    with torch.no_grad():
        loss, values = losses(method, states, head, counts)
        _, made = walk(
            method,
            {view: state.hidden for view, state in states.items()},
            {view: state.labels for view, state in states.items()},
            *(head, counts, (False, False, False), None),
        )
    assert (made.hidden, made.weight, made.bias) == ({}, None, None)
    plain, expected = oracle.losses(method, states, head, counts)
    assert not loss.requires_grad
    assert loss.item() == pytest.approx(plain.item(), rel=1e-6)
    assert {name: value.item() for name, value in values.items()} == pytest.approx(
        {name: value.item() for name, value in expected.items()}, rel=1e-5
    )


@pytest.mark.parametrize("name", ["finetune", "mi"])
def test_confident_tokens_keep_their_gradient(name):
    """Large logits, one of them so far ahead that its probability is 1 - 1e-4 or nearer."""
    method, vocabulary = objective(name), 50
    states = {}
    for view in method.views:
        labels = torch.randint(0, vocabulary, (2, 3))
        logits = torch.full((2, 3, vocabulary), 30.0, dtype=torch.float64)
        logits.scatter_(2, labels.unsqueeze(-1), torch.tensor([[43.0, 45.0, 48.0]] * 2).double().unsqueeze(-1))
        states[view] = ViewStates(logits, labels)
    counts = term_counts(method, {view: state.labels for view, state in states.items()})
    results = {}
    for kind, compute in ((torch.float32, losses), (torch.float64, oracle.losses)):
        given = {v: ViewStates(s.hidden.detach().to(kind).requires_grad_(), s.labels) for v, s in states.items()}
        loss, _ = compute(method, given, VocabularyHead(None), counts)
        loss.backward()
        results[kind] = loss.item(), [state.hidden.grad for state in given.values()]
    # float32 itself cannot tell 1 - 1e-4 better than this
    assert results[torch.float32][0] == pytest.approx(results[torch.float64][0], rel=5e-3)
    assert max(relative_errors(results[torch.float32][1], results[torch.float64][1])) <= 5e-3


def test_a_head_gradient_beyond_float16_is_right():
    """One token has a third of 12,000 rows, and one channel is large: the sum over rows exceeds 65,504."""
    torch.manual_seed(0)
    labels = torch.randint(0, 20, (12, 1000))
    labels[torch.rand(labels.shape) < 0.3] = 7
    hidden = torch.randn(12, 1000, 4)
    hidden[..., 0] = 20
    weight = torch.zeros(20, 4, requires_grad=True)
    method, states = objective("finetune"), {View.PREDICT: ViewStates(hidden, labels)}
    counts = term_counts(method, {View.PREDICT: labels})
    with torch.autocast("cpu", torch.float16):
        losses(method, states, VocabularyHead(weight), counts, examples=12)[0].backward()
    found, weight.grad = weight.grad, None
    oracle.losses(method, states, VocabularyHead(weight), counts)[0].backward()
    assert relative_errors([found], [weight.grad.double()])[0] <= 1e-2


def test_logits_of_a_head_left_in_are_not_rounded_by_autocast():
    states, _ = random_batch((View.PREDICT,), vocabulary=8, width=50)
    given = {View.PREDICT: ViewStates(states[View.PREDICT].hidden.float(), states[View.PREDICT].labels % 50)}
    given[View.PREDICT].labels[states[View.PREDICT].labels == IGNORE] = IGNORE
    method = objective("finetune")
    counts = term_counts(method, {View.PREDICT: given[View.PREDICT].labels})
    plain, _ = losses(method, given, VocabularyHead(None), counts)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, _ = losses(method, given, VocabularyHead(None), counts)
    assert rounded.item() == plain.item()


def test_two_token_terms_on_one_view_add_up():
    method = Objective("twice", (TokenTerm("one", View.PREDICT, 0.3), TokenTerm("two", View.PREDICT, 0.5)))
    states, parameters = random_batch(method.views, vocabulary=50, width=8)
    loss, found = gradients(losses, method, states, parameters, torch.float32)
    plain, expected = gradients(oracle.losses, method, states, parameters, torch.float64)
    assert loss == pytest.approx(plain, rel=1e-5)
    assert max(relative_errors(found, expected)) <= 1e-5


def test_alignments_that_see_padding_and_such_that_do_not_cannot_be_in_one_objective():
    with pytest.raises(ValueError, match="padding"):
        Objective("mixed", (AlignmentTerm(0.1), AlignmentTerm(0.1, mask_padding=False, name="other")))
