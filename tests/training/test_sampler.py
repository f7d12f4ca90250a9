"""Bucketed batches: every example once, the same after a resume, and less padding than by sorting."""

import itertools

import numpy as np
import pytest
import torch
from accelerate import skip_first_batches
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import RandomSampler

from limbeck.data import DataSettings, View, load, read, source, target
from limbeck.models import ScratchSettings, StudentSettings
from limbeck.models.loading import load as load_student
from limbeck.objectives import METHODS, objective
from limbeck.training.dataset import Collator, TokenTable, TrainingSet
from limbeck.training.preprocessing import tokenize
from limbeck.training.sampler import BucketSampler, bucketed
from tests.training.small import PARTIAL, scratch, trainer

VIEWS = (View.PREDICT, View.EXPLAIN)
rows = st.lists(st.lists(st.integers(0, 99), max_size=20), min_size=4, max_size=4)


def random_set(n: int, seed: int = 0) -> TrainingSet:
    rng = np.random.default_rng(seed)

    def table(low: int, high: int) -> TokenTable:
        return TokenTable.of([rng.integers(1, 50, size).tolist() for size in rng.integers(low, high, 2 * n)])

    return TrainingSet(VIEWS, table(5, 90), table(0, 60))


def sampler_of(lengths, size: int, seed: int = 0) -> BucketSampler:
    return BucketSampler(lengths, batch_size=size, multiple=8, seed=seed)


def costs(widths, weights, order, size) -> list[int]:
    """Compute the cost of each batch by a plain loop."""
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    return [len(b) * sum(w * max(widths[i][k] for i in b) for k, w in enumerate(weights)) for b in batches]


def padded(rows, value, multiple):
    """Fill lists up to the longest, one by one."""
    width = max(len(row) for row in rows)
    while width % multiple:
        width += 1
    return torch.tensor([row + [value] * (max(width, 1) - len(row)) for row in rows])


@settings(max_examples=60, deadline=None)
@given(examples=st.lists(rows, min_size=1, max_size=6), multiple=st.sampled_from([1, 8]))
def test_a_batch_is_what_padding_lists_gives(examples, multiple):
    sources, targets = ([row[k] for k in pair for row in examples] for pair in ((0, 1), (2, 3)))
    sources = [[7, *row] for row in sources]
    targets[0] = [7]
    training_set = TrainingSet(VIEWS, TokenTable.of(sources), TokenTable.of(targets))
    order = list(range(len(examples)))[::-1]
    for chosen in (order, order[1:] or order):  # with the table's end in the batch, and without
        batch = Collator(9, multiple)(training_set.__getitems__(chosen))
        taught = [[i for i in chosen if targets[v * len(examples) + i]] or chosen[:1] for v in (0, 1)]
        picked = [sources[v * len(examples) + i] for v in (0, 1) for i in taught[v]]
        assert torch.equal(batch["input_ids"], padded(picked, 9, multiple))
        assert torch.equal(batch["attention_mask"], padded([[1] * len(row) for row in picked], 0, multiple))
        for v, view in enumerate(VIEWS):
            expected = padded([targets[v * len(examples) + i] for i in chosen], -100, multiple)
            assert torch.equal(batch["labels"][view], expected.to(torch.int64))
            assert [chosen[index] for index in batch["rows"][view].tolist()] == taught[v]
        tensors = [batch["input_ids"], batch["attention_mask"], *batch["labels"].values()]
        assert {tensor.dtype for tensor in tensors} == {torch.int64}


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 300), size=st.integers(1, 40), share=st.floats(0, 1), seed=st.integers(0, 9))
def test_an_epoch_is_a_permutation_with_a_quota_of_both_kinds_in_every_batch(n, size, share, seed):
    lengths = random_set(n, seed).lengths() + 1
    lengths[np.random.default_rng(seed).random(n) >= share, 2] = 0
    sampler = sampler_of(lengths, size, seed)
    order = list(sampler)
    assert sorted(order) == list(range(n)) and len(sampler) == n
    assert list(sampler_of(lengths, size, seed)) == order
    taught = [int((lengths[order[i : i + size], 2] > 0).sum()) for i in range(0, n, size)]
    full = taught[: n // size]
    assert not full or max(full) - min(full) <= 1
    expected = (lengths[:, 2] > 0).sum() * (n - (len(taught) - 1) * size) / n
    assert len(full) == len(taught) or abs(taught[-1] - expected) < 1
    if n > 50 and size > 1:
        sampler.set_epoch(1)
        assert list(sampler) != order
        assert list(sampler_of(lengths, size, seed + 1)) != order


def test_examples_that_are_alike_come_together_and_the_dearest_batch_first():
    kinds = np.array(list(itertools.product((8, 64), (8, 16), (8, 96))))
    widths = np.repeat(kinds, 10, axis=0)
    for seed in range(5):
        order = bucketed(widths, np.array([2, 1, 1]), 10, np.random.default_rng(seed))
        assert all(len({tuple(widths[i]) for i in batch}) == 1 for batch in order.reshape(-1, 10))
        assert widths[order[0]].tolist() == [64, 16, 96]


def test_it_pads_less_than_sorting_and_mixes_anew_each_epoch():
    training_set = random_set(700)
    sampler = sampler_of(training_set.lengths(), 32, 3)
    by_source = np.argsort(training_set.widths()[:, 0], kind="stable")
    epochs = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        order = list(sampler)
        ours, sorting, chance = (
            sum(costs(sampler.widths, (2, 1, 1), rows, 32))
            for rows in (order, by_source, np.random.default_rng(epoch).permutation(700))
        )
        assert ours < 0.95 * sorting < sorting < chance
        batches = costs(sampler.widths, (2, 1, 1), order, 32)
        assert batches[0] == max(batches)
        assert abs(np.corrcoef(range(20), batches[1:21])[0, 1]) < 0.7  # lengths do not drift through an epoch
        epochs.append({frozenset(order[i : i + 32]) for i in range(0, 700, 32)})
    assert len(epochs[0] & epochs[1]) <= 2
    remainders = [set(list(sampler_of(training_set.lengths(), 32, seed))[-28:]) for seed in range(2)]
    assert remainders[0] != remainders[1]


def test_the_trainers_loader_follows_it_also_after_a_skip_and_with_workers(tmp_path):
    options = {"per_device_train_batch_size": 5, "data_seed": 11}
    training = trainer(scratch(), "mi", tmp_path, **options)
    sampler = sampler_of(training.train_dataset.lengths(), 5, 11)
    loader = training.get_train_dataloader()
    workers = trainer(scratch(), "mi", tmp_path, dataloader_num_workers=2, **options).get_train_dataloader()
    for epoch, workers_too in ((0, False), (1, True)):
        sampler.set_epoch(epoch)
        order = list(sampler)
        batches = [training.train_dataset.__getitems__(order[i : i + 5]) for i in range(0, 12, 5)]
        expected = [training.data_collator(rows)["input_ids"].tolist() for rows in batches]
        resumed = skip_first_batches(loader, 1)
        for source_of_batches, inputs in ((loader, expected), (resumed, expected[1:]), (workers, expected)):
            if source_of_batches is workers and not workers_too:
                continue
            source_of_batches.set_epoch(epoch)
            assert [batch["input_ids"].tolist() for batch in source_of_batches] == inputs
    short = trainer(scratch(), "mi", tmp_path, dataloader_drop_last=True, **options)
    assert [len(batch["labels"][View.PREDICT]) for batch in short.get_train_dataloader()] == [5, 5]


def test_the_remainder_takes_from_both_kinds_alike():
    """One row in ten has a rationale, and half a row is left over in the mean."""
    lengths = random_set(45).lengths() + 1
    lengths[5:, 2] = 0
    remainders = [sum(i < 5 for i in list(sampler_of(lengths, 20, seed))[-5:]) for seed in range(300)]
    assert abs(np.mean(remainders) - 5 * 5 / 45) < 0.1


@pytest.mark.parametrize("examples", [PARTIAL, PARTIAL[1:]])
def test_objectives_share_their_batches(examples, tmp_path):
    student, names = scratch(), [name for name in METHODS if objective(name).views[0] is View.PREDICT]
    if examples != PARTIAL:  # joint views leave rows without a rationale out
        names = list(METHODS)
    orders = {tuple(trainer(student, name, tmp_path, examples=examples)._get_train_sampler()) for name in names}
    assert len(orders) == 1
    random = trainer(student, "mi", tmp_path, train_sampling_strategy="random")
    assert isinstance(random._get_train_sampler(), RandomSampler)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "least"), [("svamp", 0.74), ("cqa", 0.85), ("esnli", 0.78)])
def test_the_share_of_real_tokens_on_the_released_data(task, least, dss):
    settings = DataSettings.parse({"task": task, "source": {"kind": "archive", "root": str(dss)}}, "test")
    # e-SNLI's training rows are not here
    examples = read(settings)["valid"] if task == "esnli" else load(settings).train
    texts = (text for e in examples for v in VIEWS for text in (source(e, v).text("\n"), target(e, v) or ""))
    tiny = ScratchSettings(vocab_size=8000, d_model=8, d_kv=4, d_ff=8, num_heads=1, num_layers=1)
    data = tokenize(examples, VIEWS, load_student(StudentSettings(scratch=tiny), texts))
    for size in (16, 64):
        sampler = sampler_of(data.lengths(), size)
        fed = sum(costs(sampler.widths.tolist(), (2, 1, 1), list(sampler), size))
        assert (len(data.sources.ids) + len(data.targets.ids)) / fed >= least
