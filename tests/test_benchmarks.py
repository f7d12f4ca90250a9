"""The benchmarks: both sides compute the same, the instruments measure what is known, and the command runs."""

import json

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import run
from benchmarks.flops import step_flops, utilisation
from benchmarks.head import Call, Setup
from benchmarks.inputs import TINY, Shape, batches, model, tokenizer
from benchmarks.measure import Times, alternate
from benchmarks.naive import model_loss
from benchmarks.rows import time_row
from limbeck.models.encoder_decoder import EncoderDecoderStudent
from limbeck.objectives import METHODS
from limbeck.training.trainer import Distiller

SHAPE = Shape(4, 10, 5, 12)


@pytest.mark.parametrize("method", ["dss", "mi"])
def test_both_sides_have_one_loss_and_one_gradient(method):
    student = model(TINY, dropout=0.0)
    naive, batch = batches(SHAPE, TINY.vocab_size, "cpu")
    distiller = Distiller(EncoderDecoderStudent(student, tokenizer(TINY.vocab_size), 64, 64), METHODS[method])
    losses = [model_loss(student, naive, method), distiller(**batch)["loss"]]
    gradients = [torch.autograd.grad(loss, [*student.parameters()]) for loss in losses]
    torch.testing.assert_close(*losses, rtol=0, atol=1e-5)
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-5)


def test_both_heads_have_one_loss_and_one_gradient():
    calls = [Call(Setup(side, "mi", SHAPE, 300, 16, "cpu")) for side in ("naive", "limbeck")]
    torch.testing.assert_close(*(call() for call in calls), rtol=0, atol=1e-5)
    weights = [{"head": call.weight, **call.hidden} for call in calls]
    gradients = [{name: weight.grad for name, weight in side.items()} for side in weights]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-5)


def test_flops_are_those_that_torch_counts():
    sizes = TINY.model_copy(update={"d_kv": 4, "num_heads": 3, "num_layers": 3, "num_decoder_layers": 2})
    student = model(sizes, dropout=0.0)
    for module in (student, student.encoder, student.decoder):
        module.set_attn_implementation("eager")  # torch does not count in every fused kernel
    naive, _ = batches(SHAPE, TINY.vocab_size, "cpu")
    with FlopCounterMode(display=False) as counter:
        model_loss(student, naive, "dss").backward()
    assert counter.get_total_flops() == step_flops(sizes, SHAPE)
    assert utilisation(989 * 10**9, 0.001, "NVIDIA H200") == pytest.approx(1.0)
    assert utilisation(1, 1.0, "an unknown device") is None


def test_sides_take_turns_and_are_compared_by_medians():
    order = []
    times = alternate({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, "cpu", rounds=3, warm_up=1)
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"
    assert {name: len(rounds) for name, rounds in times.rounds.items()} == {"a": 3, "b": 3}
    noisy = np.random.default_rng(1).uniform(0.9, 1.1, 50)
    times, scattered = Times({"slow": 2 * noisy, "fast": noisy}), Times({"slow": noisy[::-1], "fast": noisy})
    comparison = times.compare("slow", "fast")
    assert comparison.ratio == pytest.approx(2)
    assert comparison.low <= comparison.ratio <= comparison.high
    cases = ((times, 1.5, "yes"), (times, 2.5, "no"), (scattered, 1.0, "within noise"))
    for measured, ratio, verdict in cases:
        assert verdict in time_row("c", measured, "slow", "fast", ("words", ratio))["met"]


@pytest.mark.slow
def test_the_command_writes_its_table(tmp_path, capsys):
    options = ["--tiny", "--device", "cpu", "--repeats", "2", "--out", str(tmp_path)]
    assert run.main(["--only", "step", "curve", "annotation", *options]) == 0
    table, page = (next(tmp_path.glob(pattern)) for pattern in ("*.json", "*.md"))
    results = json.loads(table.read_text())
    assert [row["case"].split()[0] for row in results["rows"]] == ["step", "curve", "annotation:", "annotation:"]
    assert {"device", "threads", "versions", "revision", "command"} <= set(results)
    printed = capsys.readouterr().out
    assert all(row["case"] in text for row in results["rows"] for text in (page.read_text(), printed))
