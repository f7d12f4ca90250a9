"""Training of decoder-only students: every objective against its plain form, accumulation, and resuming an adapter."""

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from transformers import set_seed

from limbeck.models import StudentSettings
from limbeck.models.loading import load
from limbeck.objectives import METHODS
from limbeck.objectives.fused import losses, term_counts
from limbeck.tasks import get
from limbeck.training.dataset import tokenize
from limbeck.training.trainer import Distiller
from tests.helpers import decoders
from tests.objectives import oracle
from tests.training.small import PARTIAL, StopAt, flat, trainer, weights_of

LORA = {"r": 4, "lora_dropout": 0.1}


@cache
def _student(lora: bool):
    with TemporaryDirectory() as folder:
        settings = {"name": str(decoders.decoder(Path(folder), "llama")), "max_target_length": 100}
        set_seed(0)
        return load(StudentSettings(**settings, lora=LORA if lora else None), [], get("svamp"))


def student_of(lora: bool = False):
    return copy.deepcopy(_student(lora))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("lora", [False, True])
def test_the_fused_loss_is_the_plain_one(name, lora):
    student, method = student_of(lora).eval(), METHODS[name]
    data = tokenize(PARTIAL, method.views, student)
    batch = student.collator(method.reads_padding)([data[i] for i in range(len(data))])
    counts, results = term_counts(method, *(batch[name] for name in ("labels", "weights", "index"))), []
    for function in (losses, oracle.losses):
        student.zero_grad()
        loss, _ = function(method, oracle.targets(student, batch), head=student.head(), counts=counts)
        loss.backward()
        results.append((loss.detach(), flat(p.grad for p in student.parameters() if p.grad is not None)))
    (fused, by_fused), (plain, by_plain) = results
    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(by_fused, by_plain, rtol=1e-4, atol=1e-5 * by_plain.abs().max().item())


def test_accumulated_batches_give_the_weights_of_a_whole_one(tmp_path):
    weights = []
    for size, accumulated in ((8, 1), (4, 2), (2, 4)):
        student = student_of()
        options = {"per_device_train_batch_size": size, "gradient_accumulation_steps": accumulated, "max_steps": 2}
        options |= {"train_sampling_strategy": "random", "optim": "sgd"}
        trainer(student, "mi", tmp_path / str(size), eval_strategy="no", **options).fit()
        weights.append(weights_of(student))
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weights[0], weights[2], rtol=1e-5, atol=1e-6)


def test_gradient_checkpointing_changes_no_adapter(tmp_path):
    weights = []
    for enabled in (False, True):
        student = student_of(lora=True)
        trainer(student, "mi", tmp_path / str(enabled), gradient_checkpointing=enabled, max_steps=2).fit()
        weights.append(weights_of(student))
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-4)


def test_an_adapter_goes_on_to_the_same_bytes_wherever_it_was_stopped(tmp_path):
    def fit(name, stop=None):
        accuracies = [0.1, 0.5, 0.4, 0.3, 0.9, 0.2, 0.2, 0.2][{7: 1, 31: 6}.get(began, 0) :]
        training = trainer(
            student_of(lora=True), "mi", tmp_path / name, max_steps=40, eval_steps=5, accuracies=accuracies
        )
        if stop is not None:
            training.add_callback(StopAt(stop))
        training.fit()
        return training

    began = 0
    unbroken = fit("unbroken")
    fit("broken", stop=7)
    began = 7
    fit("broken", stop=31)
    began = 31
    resumed = fit("broken")
    assert unbroken.state.best_global_step == resumed.state.best_global_step == 25
    files = [tmp_path / name / "checkpoints/checkpoint-40/adapter_model.safetensors" for name in ("unbroken", "broken")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert torch.equal(weights_of(unbroken.distiller.student), weights_of(resumed.distiller.student))
    start = weights_of(student_of(lora=True))
    assert not torch.equal(start, weights_of(resumed.distiller.student))


@pytest.mark.parametrize("name", [name for name in METHODS if name != "finetune"])
def test_a_rationale_three_times_has_the_loss_and_gradients_of_one(name):
    """So that the label's share of a loss is that of one rationale, whatever their number."""
    student, method = student_of().eval(), METHODS[name]
    results = []
    tripled = [replace(row, rationales=(row.rationale,) * 3) if n % 2 else row for n, row in enumerate(PARTIAL)]
    for rows in (PARTIAL, tripled):
        student.zero_grad()
        data = tokenize(rows, method.views, student)
        batch = student.collator(method.reads_padding)([data[i] for i in range(len(data))])
        output = Distiller(student, method)(**batch)
        output["loss"].backward()
        results.append((output, flat(p.grad for p in student.parameters() if p.grad is not None)))
    (single, by_single), (triple, by_triple) = results
    for term, value in single["terms"].items():
        torch.testing.assert_close(triple["terms"][term], value, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(by_triple, by_single, rtol=1e-4, atol=1e-5 * by_single.abs().max().item())
