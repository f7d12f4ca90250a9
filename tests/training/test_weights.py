"""Weights of target tokens over an epoch, on the lengths of the released SVAMP rows.

The Trainer goes through an epoch with a learning rate of 0, and the gradients of its steps are added up. By a plain
model and automatic differentiation the gradient of each term is taken for each tenth of the rows, from the shortest
targets to the longest. The weights are the coefficients that make the first out of the second: by least squares.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from limbeck.data import DataSettings, View, load, source, target
from limbeck.models import ScratchSettings, StudentSettings
from limbeck.models.loading import load as load_student
from limbeck.models.tokenization import IGNORE, pad, padded_inputs
from limbeck.objectives import METHODS, AlignmentTerm
from limbeck.tasks import get
from tests.objectives import oracle
from tests.training.small import flat, trainer

VIEWS = (View.PREDICT, View.EXPLAIN)


@pytest.fixture(scope="module")
def rows(dss):
    """Return 177 SVAMP rows: neither batches nor accumulated batches come out even."""
    settings = DataSettings.parse({"task": "svamp", "source": {"kind": "archive", "root": str(dss)}}, "test")
    return [example for example in load(settings).train if example.rationale][::3][:177]


@pytest.fixture(scope="module")
def student(rows):
    torch.manual_seed(0)
    tiny = ScratchSettings(vocab_size=1000, d_model=8, d_kv=8, d_ff=8, num_heads=1, num_layers=1, dropout_rate=0.0)
    texts = (text for e in rows for view in VIEWS for text in (source(e, view).text("\n"), target(e, view) or ""))
    return load_student(StudentSettings(scratch=tiny), texts, get("svamp")).double()


def without_some_rationales(rows, share):
    mask = np.random.default_rng(7).permutation(len(rows)) < round(share * len(rows))
    return [row if keep else replace(row, rationale=None) for row, keep in zip(rows, mask, strict=True)]


class Gradients(TrainerCallback):
    """The sum of the steps' gradients."""

    total = torch.zeros(())

    def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
        self.total = self.total + flat(parameter.grad for parameter in model.parameters())


def epoch(student, rows, name, folder, **changes):
    """Return the summed gradients of an epoch's steps, and its one log entry."""
    values = {"max_steps": -1, "num_train_epochs": 1, "learning_rate": 0, "optim": "sgd", "max_grad_norm": 0}
    values |= {"eval_strategy": "no", "save_strategy": "no", "logging_steps": -(-len(rows) // 16)}
    training, gradients = trainer(student, name, folder, examples=rows, **values, **changes), Gradients()
    training.add_callback(gradients)
    training.train()
    return gradients.total, training.state.log_history[0]


def plain_gradients(student, rows, term):
    """Compute the gradient of a term's mean by tenths of the rows, the shortest targets first, `[10, P]`."""
    ids = {view: student.target_ids([target(row, view) or "" for row in rows]) for view in term.views}
    usable = [i for i, row in enumerate(rows) if all(target(row, view) for view in term.views)]
    usable.sort(key=lambda i: max(len(ids[view][i]) for view in term.views))
    count = len(usable) if isinstance(term, AlignmentTerm) else sum(len(ids[term.view][i]) for i in usable)
    gradients_10P = []
    for tenth in np.array_split(usable, 10):
        student.zero_grad()
        inputs = [plain_inputs(student, [rows[i] for i in tenth], view) for view in term.views]
        sides = [tensor for side in inputs for tensor in (student.model(**side).logits, side["labels"])]
        values = oracle.alignment(term, *sides) if isinstance(term, AlignmentTerm) else oracle.token_loss(*sides)
        (values.sum() / count).backward()
        gradients_10P.append(flat(parameter.grad for parameter in student.parameters()))
    return torch.stack(gradients_10P)


def plain_inputs(student, rows, view):
    """Return the inputs of the plain model: padded sources, their mask, and padded targets."""
    sources, _ = student.source_ids([source(row, view) for row in rows])
    targets = student.target_ids([target(row, view) for row in rows])
    return {**padded_inputs(sources, student.pad_id), "labels": pad(targets, IGNORE)}


@pytest.mark.parametrize(
    ("name", "share", "batch", "accumulate"), [("mi", 0.27, 8, 3), ("kl", 0.75, 16, 1), ("single-task", 0.27, 16, 3)]
)
def test_every_tenth_of_the_rows_weighs_the_same(name, share, batch, accumulate, *, rows, student, tmp_path):
    rows = without_some_rationales(rows, share)
    changes = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulate}
    summed, _ = epoch(student, rows, name, tmp_path, **changes)
    terms = METHODS[name].terms
    usable = sum(all(target(row, view) for view in terms[0].views) for row in rows)
    gradients_10P = torch.cat([term.weight * plain_gradients(student, rows, term) for term in terms])
    mean = summed * batch * accumulate / usable  # an epoch has so many steps, of which the last is a part
    weights = torch.linalg.lstsq(gradients_10P.T, mean.unsqueeze(1)).solution.view(len(terms), 10)
    torch.testing.assert_close(weights, torch.ones_like(weights), rtol=0.01, atol=0)


def test_the_logs_means_are_over_all_there_was(rows, student, tmp_path):
    rows = without_some_rationales(rows, 0.27)
    _, entry = epoch(student, rows, "dss", tmp_path, per_device_train_batch_size=16)
    inputs = [plain_inputs(student, [row for row in rows if target(row, view)], view) for view in VIEWS]
    with torch.no_grad():
        label, rationale = (student.model(**side).loss.item() for side in inputs)
    expected = {"term_label": label, "term_rationale": rationale, "loss": (label + rationale) / 2}
    assert {name: entry[name] for name in expected} == pytest.approx(expected, rel=1e-6)
