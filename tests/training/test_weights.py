"""Weights of target tokens over an epoch, on the lengths of the released SVAMP rows.

The Trainer goes through an epoch with a learning rate of 0, and the gradients of its steps are added up. By a plain
model and automatic differentiation the gradient of each term is taken for each tenth of the rows, from the shortest
targets to the longest. The weights are the coefficients that make the first out of the second: by least squares.
"""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from limbeck import models
from limbeck.data import DataSettings, View, load, source, target
from limbeck.models import ScratchSettings, StudentSettings
from limbeck.objectives import IGNORE, METHODS, AlignmentTerm, objective
from limbeck.training import Distiller, Trainer, TrainingSettings, tokenise, training_arguments
from limbeck.training.batches import BucketSampler
from tests.objectives import oracle
from tests.training.two_processes import two_steps

SHARES = (0.1, 0.27, 0.75, 1.0)
VIEWS = (View.PREDICT, View.EXPLAIN)


@pytest.fixture(scope="module")
def rows(dss):
    """353 SVAMP rows: neither batches nor accumulated batches come out even."""
    settings = DataSettings.parse({"task": "svamp", "source": {"kind": "archive", "root": str(dss)}}, "test")
    return [example for example in load(settings).train if example.rationale][::2][:353]


@pytest.fixture(scope="module")
def student(rows):
    torch.manual_seed(0)
    tiny = ScratchSettings(vocab_size=1000, d_model=8, d_kv=8, d_ff=8, num_heads=1, num_layers=1, dropout_rate=0.0)
    texts = (text for e in rows for view in VIEWS for text in (source(e, view).text("\n"), target(e, view) or ""))
    return models.load(StudentSettings(scratch=tiny), texts).double()


def partly_taught(rows, share):
    """The rows, of which all but a share lose their rationale, by chance."""
    taught = np.random.default_rng(7).permutation(len(rows)) < round(share * len(rows))
    return [row if keep else replace(row, rationale=None) for row, keep in zip(rows, taught, strict=True)]


class Gradients(TrainerCallback):
    """The sum of the steps' gradients."""

    total = torch.zeros(())

    def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
        self.total = self.total + flat(parameter.grad for parameter in model.parameters())


def flat(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors])


def epoch(student, rows, name, folder, **changes):
    """The summed gradients of an epoch's steps, and its one log entry."""
    values = {
        "max_steps": -1,
        "num_train_epochs": 1,
        "learning_rate": 0,
        "optim": "sgd",
        "max_grad_norm": 0,
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_steps": -(-len(rows) // 16),
        **changes,
    }
    arguments = training_arguments(TrainingSettings.parse(values, "training"), folder, seed=5)
    method, gradients = objective(name), Gradients()
    training_set = tokenise(rows, method.views, student)
    training = Trainer(Distiller(student, method), arguments, training_set, dict, folder / "log.jsonl")
    training.add_callback(gradients)
    training.train()
    return gradients.total, training.state.log_history[0]


def plain_gradients(student, rows, term):
    """The gradient of a term's mean over all rows, in ten parts by the length of its longest target, `[10, P]`."""
    ids = {view: student.target_ids([target(row, view) or "" for row in rows])[0] for view in term.views}
    usable = [i for i, row in enumerate(rows) if all(target(row, view) for view in term.views)]
    usable.sort(key=lambda i: max(len(ids[view][i]) for view in term.views))
    count = len(usable) if isinstance(term, AlignmentTerm) else sum(len(ids[term.view][i]) for i in usable)
    parts = []
    for tenth in np.array_split(usable, 10):
        student.zero_grad()
        sides = []
        for view in term.views:
            inputs, mask = sources_of(student, [rows[i] for i in tenth], view)
            labels = padded([ids[view][i] for i in tenth], IGNORE)
            sides += [student.model(input_ids=inputs, attention_mask=mask, labels=labels).logits, labels]
        values = oracle.alignment(term, *sides) if isinstance(term, AlignmentTerm) else oracle.token_loss(*sides)
        (values.sum() / count).backward()
        parts.append(flat(parameter.grad.clone() for parameter in student.parameters()))
    return torch.stack(parts)


def sources_of(student, rows, view):
    """The padded sources and their mask."""
    ids, _ = student.source_ids([source(row, view) for row in rows])
    return padded(ids, student.pad_id), padded([[1] * len(row) for row in ids], 0)


def padded(rows, value):
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True, value)


@pytest.mark.parametrize(
    ("name", "share", "sizes"),
    [
        *(("mi", share, (16, 1)) for share in SHARES),
        ("mi", 0.27, (8, 3)),
        ("kl", 0.27, (16, 4)),
        ("single-task", 0.27, (16, 3)),
    ],
)
def test_every_tenth_of_the_rows_has_its_weight_in_an_epoch(name, share, sizes, rows, student, tmp_path):
    rows = partly_taught(rows, share)
    batch, accumulate = sizes
    summed, _ = epoch(
        *(student, rows, name, tmp_path), per_device_train_batch_size=batch, gradient_accumulation_steps=accumulate
    )
    terms = objective(name).terms
    usable = sum(all(target(row, view) for view in terms[0].views) for row in rows)
    parts = torch.cat([term.weight * plain_gradients(student, rows, term) for term in terms])
    mean = summed * batch * accumulate / usable  # an epoch has so many steps, of which the last is a part
    weights = torch.linalg.lstsq(parts.T, mean.unsqueeze(1)).solution.view(len(terms), 10)
    torch.testing.assert_close(weights, torch.ones_like(weights), rtol=0.01, atol=0)


def test_the_logs_means_are_over_all_there_was(rows, student, tmp_path):
    """With 27 % of the rows taught, in one window over a whole epoch, by an objective whose gradient we know."""
    rows = partly_taught(rows, 0.27)
    _, entry = epoch(student, rows, "dss", tmp_path, per_device_train_batch_size=16)
    plain = {}
    for view in VIEWS:
        taught = [row for row in rows if target(row, view)]
        inputs, mask = sources_of(student, taught, view)
        labels = padded(student.target_ids([target(row, view) for row in taught])[0], IGNORE)
        with torch.no_grad():
            plain[view] = student.model(input_ids=inputs, attention_mask=mask, labels=labels).loss.item()
    assert entry["term_label"] == pytest.approx(plain[View.PREDICT], rel=1e-6)
    assert entry["term_rationale"] == pytest.approx(plain[View.EXPLAIN], rel=1e-6)
    assert entry["loss"] == pytest.approx(sum(plain.values()) / 2, rel=1e-6)


def lacking(taught, batch, step):
    """The share of the steps that train no rationale at all; a step is so many batches."""
    steps = range(0, len(taught), batch * step)
    return sum(not taught[start : start + batch * step].any() for start in steps) / len(steps)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("batch", "step"), [(4, 1), (4, 4), (16, 1), (64, 1)])
def test_steps_lack_no_term_that_random_batches_would_have(share, batch, step, rows, student):
    rows = partly_taught(rows, share)
    training_set = tokenise(rows, VIEWS, student)
    taught = np.array([row.rationale is not None for row in rows])
    bucketed, random = [], []
    for seed in range(20):
        order = np.array(list(BucketSampler(training_set.lengths(), batch, 8, seed)))
        bucketed.append(lacking(taught[order], batch, step))
        random.append(lacking(np.random.default_rng(seed).permutation(taught), batch, step))
        per_batch = [taught[order[i : i + batch]].sum() for i in range(0, len(rows) - batch + 1, batch)]
        assert max(per_batch) - min(per_batch) <= 1
    assert np.mean(bucketed) <= np.mean(random) + 0.01


@pytest.mark.parametrize("share", [0.27, 1.0])
def test_objectives_share_their_batches(share, rows, student, tmp_path):
    rows = partly_taught(rows, share)
    names = METHODS if share == 1 else ["finetune", "dss", "mi", "mi-official", "mi-mean", "kl"]
    orders = set()
    for name in names:
        arguments = training_arguments(TrainingSettings.parse({"per_device_train_batch_size": 16}, "t"), tmp_path, 5)
        method = objective(name)
        training_set = tokenise(rows, method.views, student)
        training = Trainer(Distiller(student, method), arguments, training_set, dict, tmp_path / "log.jsonl")
        orders.add(tuple(training._get_train_sampler()))
    assert len(orders) == 1


def result(folder):
    return torch.load(folder / "weights.pt"), json.loads((folder / "entry.json").read_text())


def test_two_processes_take_the_steps_and_write_the_log_of_one(tmp_path):
    """Six rows a step: whatever the processes and the accumulation, the sums are divided by the same counts."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    command = [sys.executable, "-m", "tests.training.two_processes", str(two), "3", "1"]
    ranks = [{"RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1")]
    running = [subprocess.Popen(command, env={**os.environ, **world, **rank}) for rank in ranks]
    two_steps(one, 3, 2)
    assert [process.wait(timeout=240) for process in running] == [0, 0]
    (weights, entry), (expected, logged) = result(two), result(one)
    torch.testing.assert_close(weights, expected, rtol=1e-5, atol=1e-7)
    assert entry == pytest.approx(logged, rel=1e-5)
