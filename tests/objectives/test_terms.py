"""Terms against loops, closed forms and the released values; and changes of them in a recipe."""

import math
from dataclasses import replace

import pytest
import torch

from limbeck.errors import LimbeckError
from limbeck.models.families import VocabularyHead
from limbeck.models.tokenization import IGNORE, numbered
from limbeck.objectives import METHODS, POOLS, AlignmentTerm, Objective, ObjectiveSettings
from limbeck.objectives.fused import losses
from tests.objectives import oracle


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def wave(scale: float, factors: tuple[float, float, float], size: tuple[int, int, int]) -> torch.Tensor:
    a, b, c = factors
    i, t, k = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    return scale * torch.sin(a * i + b * t + c * k + 0.1 * i * t * k / (1 + k))


def term_of(name: str) -> AlignmentTerm:
    return METHODS[name].terms[-1]


ALIGNED = [name for name, method in METHODS.items() if isinstance(method.terms[-1], AlignmentTerm)]


def alignment(term, p, labels, q, rationales):
    """Compute the mean alignment of two sides' logits."""
    method = Objective("alignment", (replace(term, weight=1.0),))
    hidden = dict(zip(term.views, (p, q), strict=True))
    ids = dict(zip(term.views, (labels, rationales), strict=True))
    head = VocabularyHead(torch.eye(p.shape[-1], dtype=p.dtype))  # whose logits are its states
    return losses(method, oracle.packed(method, hidden, ids), head=head, counts={"alignment": torch.tensor(len(p))})[0]


def unpadded(batch: int, tokens: int) -> torch.Tensor:
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
    p = wave(scale, (1.3, 0.7, 0.37), (batch, m, vocabulary))
    q = wave(scale, (0.9, 1.1, 0.53), (batch, n, vocabulary)).requires_grad_()
    value = alignment(term_of("mi-official"), p, unpadded(batch, m), q, unpadded(batch, n))
    value.backward()
    assert value.item() == pytest.approx(loss, abs=1e-10)
    assert q.grad.norm().item() == pytest.approx(norm, abs=1e-10)


def naive_divergence(v, z, divergence):
    if divergence == "cross-entropy":
        return -sum(a * math.log(b) for a, b in zip(v, z, strict=True))
    assert divergence == "kl", f"no loop for {divergence}"
    return sum(a * math.log(a / b) for a, b in zip(v, z, strict=True))


def naive_pool(logits, targets, pool):
    """Pool by loops over tokens and vocabulary, and normalise, from Eq. 9-11."""
    columns = []
    for k in range(logits.shape[-1]):
        rows = [row for row, target in zip(logits.tolist(), targets, strict=True) if target != IGNORE]
        probabilities = [math.exp(row[k]) / sum(map(math.exp, row)) for row in rows]
        columns.append(max(probabilities) if pool == "max" else sum(probabilities) / len(probabilities))
    return [x / sum(columns) for x in columns]


@pytest.mark.parametrize("name", [name for name in ALIGNED if term_of(name).normalise])
def test_alignment_agrees_with_loops(name):
    p, q = torch.randn(3, 4, 9, dtype=torch.float64), torch.randn(3, 6, 9, dtype=torch.float64)
    labels, rationales = unpadded(3, 4), unpadded(3, 6)
    labels[0, 2:], rationales[1, 1:], rationales[2, 5:] = IGNORE, IGNORE, IGNORE
    term, sides = term_of(name), ((p, labels), (q, rationales))
    v, z = [[naive_pool(*row, term.pool) for row in zip(*side, strict=True)] for side in sides]
    expected = [naive_divergence(*pair, term.divergence) for pair in zip(v, z, strict=True)]
    value = alignment(term, p, labels, q, rationales)
    assert value.item() == pytest.approx(sum(expected) / 3, rel=1e-12)


@pytest.mark.parametrize("name", ALIGNED)
def test_only_the_official_term_depends_on_padding(name):
    p, q = 5 * torch.randn(4, 8, 30), 5 * torch.randn(4, 16, 30)
    labels, rationales = unpadded(4, 8), unpadded(4, 16)
    before = alignment(term_of(name), p[:, :3], labels[:, :3], q[:, :8], rationales[:, :8])
    labels[:, 3:] = rationales[:, 8:] = IGNORE
    difference = abs(before - alignment(term_of(name), p, labels, q, rationales)).item()
    assert difference > 1e-3 if name == "mi-official" else difference < 1e-5


def test_kl_with_the_label_side_detached_has_the_gradient_of_mi():
    p, q = (torch.randn(3, length, 12, dtype=torch.float64, requires_grad=True) for length in (4, 5))
    terms = (term_of("mi"), ObjectiveSettings(name="kl", detach="label").build().terms[-1], term_of("kl"))
    values = (alignment(term, p, unpadded(3, 4), q, unpadded(3, 5)) for term in terms)
    (by_p, by_q), (_, detached_by_q), (kl_by_p, kl_by_q) = (torch.autograd.grad(value, (p, q)) for value in values)
    torch.testing.assert_close(detached_by_q, by_q, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(kl_by_q, by_q, rtol=1e-12, atol=1e-15)
    assert kl_by_p.abs().max() > 1e-4  # kl trains the label side too
    assert by_p.abs().max() == 0


@pytest.mark.parametrize("name", POOLS)
def test_a_pools_gradient_is_the_automatic_one(name):
    log_p, index = torch.randn(8, 7, dtype=torch.float64).log_softmax(-1).requires_grad_(), numbered([5, 1, 2])
    g = torch.randn(3, 7, dtype=torch.float64)
    POOLS[name](log_p, index)[0].backward(g)
    sums, add_gradient = POOLS[name](log_p.detach(), index)[1](g)
    total = torch.full_like(log_p, 2.0)
    add_gradient(total)
    torch.testing.assert_close(total - 2, log_p.grad, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(sums, log_p.grad.sum(-1), rtol=1e-10, atol=1e-12)


def test_extreme_logits_stay_finite():
    q = torch.tensor([[[400.0, -400.0, 0.0]]]).requires_grad_()
    value = alignment(term_of("mi"), torch.zeros(1, 1, 3), unpadded(1, 1), q, unpadded(1, 1))
    value.backward()
    assert value.isfinite()
    assert q.grad.isfinite().all()


@pytest.mark.parametrize("name", METHODS)
def test_a_bare_name_is_the_tables_row_and_its_resolved_form_reads_back(name):
    settings = ObjectiveSettings(name=name)
    assert settings.build() == METHODS[name]
    assert ObjectiveSettings.model_validate(settings.resolved()).build() == METHODS[name]


def test_changes_reach_their_terms():
    alignment = {"pool": "mean", "divergence": "kl", "mask_padding": False, "normalise": False, "detach": "none"}
    weights = {"label_weight": 0.3, "rationale_weight": 0.7, "alignment_weight": 2.0}
    terms = ObjectiveSettings(name="mi", **weights, **alignment, symmetric=True).build().terms
    assert [term.weight for term in terms] == [0.3, 0.7, 2.0]
    assert terms[2] == AlignmentTerm(2.0, **alignment, symmetric=True)
    assert [term.smoothing for term in METHODS["mi"].smoothed(0.3).terms[:2]] == [0.3, 0.3]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "mii"}, "did you mean 'mi'"),
        ({"name": "mi", "pool": "maximum"}, "pool"),
        ({"name": "dss", "alignment_weight": 0.1}, "alignment_weight has no meaning for dss"),
        ({"name": "mi", "alignment_weight": -1}, "alignment_weight"),
    ],
)
def test_what_has_no_meaning_is_refused(values, field):
    with pytest.raises(LimbeckError, match=field):
        ObjectiveSettings.parse(values, "here")
