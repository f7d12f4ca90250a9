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
from benchmarks.naive import IGNORE, model_loss
from benchmarks.rows import time_row
from benchmarks.step import Side, steps
from limbeck.models.student import Student
from limbeck.objectives import objective
from limbeck.training.trainer import Distiller

SHAPE = Shape(4, 10, 5, 12)


@pytest.mark.parametrize("method", ["dss", "mi"])
def test_both_sides_have_one_loss_and_one_gradient(method):
    student = model(TINY, dropout=0.0)
    naive, limbeck = batches(SHAPE, TINY.vocab_size, "cpu")
    assert any((naive[view]["labels"] == IGNORE).any() for view in naive)
    results = []
    for loss in (
        model_loss(student, naive, method),
        Distiller(Student(student, tokenizer(TINY.vocab_size), 64, 64), objective(method))(**limbeck)["loss"],
    ):
        student.zero_grad()
        loss.backward()
        results.append((loss.detach(), {name: p.grad.clone() for name, p in student.named_parameters()}))
    (first, theirs), (second, ours) = results
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)
    for name, gradient in theirs.items():
        torch.testing.assert_close(gradient, ours[name], rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize("method", ["mi"])
def test_both_heads_have_one_loss_and_one_gradient(method):
    calls = [Call(Setup(way, method, SHAPE, 300, 16, "cpu")) for way in ("naive", "limbeck")]
    first, second = (call() for call in calls)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)
    torch.testing.assert_close(calls[0].weight.grad, calls[1].weight.grad, rtol=0, atol=1e-5)
    for view, states in calls[0].hidden.items():
        torch.testing.assert_close(states.grad, calls[1].hidden[view].grad, rtol=0, atol=1e-5)


def test_both_sides_take_the_same_steps():
    sides = [Side("naive"), Side("limbeck")]
    made = steps(sides, TINY, SHAPE, "cpu", dropout=0.0, count=2)
    losses = {side: [made[side]().item() for _ in range(4)] for side in sides}
    assert losses[sides[0]] == pytest.approx(losses[sides[1]], abs=1e-5)
    assert losses[sides[0]][2] < losses[sides[0]][0]  # the first batch again, two steps on


def test_flops_are_those_that_torch_counts():
    sizes = TINY.model_copy(update={"d_kv": 4, "num_heads": 3, "num_layers": 3, "num_decoder_layers": 2})
    student = model(sizes, dropout=0.0)
    for part in (student, student.encoder, student.decoder):
        part.set_attn_implementation("eager")  # torch does not count in every fused kernel
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
    times = Times({"slow": 2 * noisy, "fast": noisy})
    found = times.compare("slow", "fast")
    assert found.low <= found.ratio <= found.high
    assert found.ratio == pytest.approx(2)
    verdicts = [time_row("c", times, "slow", "fast", ("words", least))["met"] for least in (1.5, 2.5)]
    assert verdicts == ["yes", "no"]
    scattered = Times({"slow": noisy[::-1], "fast": noisy})
    assert "within noise" in time_row("c", scattered, "slow", "fast", ("words", 1.0))["met"]


@pytest.mark.slow
def test_the_command_writes_its_table(tmp_path, capsys):
    options = ["--tiny", "--device", "cpu", "--repeats", "2", "--out", str(tmp_path)]
    assert run.main(["--only", "step", "curve", "annotation", *options]) == 0
    table, page = (next(tmp_path.glob(pattern)) for pattern in ("*.json", "*.md"))
    found = json.loads(table.read_text())
    assert [row["case"].split()[0] for row in found["rows"]] == ["step", "curve", "annotation:", "annotation:"]
    assert {"device", "threads", "versions", "revision", "command"} <= set(found)
    printed = capsys.readouterr().out
    assert all(row["case"] in text for row in found["rows"] for text in (page.read_text(), printed))
