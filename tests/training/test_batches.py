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
from limbeck.models import load as load_student
from limbeck.objectives import objective
from limbeck.training import Collator, TrainingSet, token_ids, tokenise
from limbeck.training.batches import BucketSampler, bucketed
from limbeck.training.tokens import TokenTable
from tests.training.test_training import PARTIAL, scratch, trainer

VIEWS = (View.PREDICT, View.EXPLAIN)
rows = st.lists(st.lists(st.integers(0, 99), max_size=20), min_size=4, max_size=4)


def random_set(n: int, seed: int = 0) -> TrainingSet:
    rng = np.random.default_rng(seed)
    draw = lambda low, high: [rng.integers(1, 50, size).tolist() for size in rng.integers(low, high, 2 * n)]  # noqa: E731
    return TrainingSet(VIEWS, TokenTable.of(draw(5, 90)), TokenTable.of(draw(0, 60)))


def costs(widths, weights, order, size) -> list[int]:
    """What each batch costs, by a plain loop."""
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    return [len(b) * sum(w * max(widths[i][k] for i in b) for k, w in enumerate(weights)) for b in batches]


def padded(rows, value, multiple):
    """Lists filled up to the longest, one by one."""
    width = max(len(row) for row in rows)
    while width % multiple:
        width += 1
    return torch.tensor([row + [value] * (max(width, 1) - len(row)) for row in rows])


@settings(max_examples=100, deadline=None)
@given(examples=st.lists(rows, min_size=1, max_size=6), multiple=st.sampled_from([1, 8]))
def test_a_batch_is_what_padding_lists_gives(examples, multiple):
    sources, targets = ([row[k] for k in pair for row in examples] for pair in ((0, 1), (2, 3)))
    sources = [[7, *row] for row in sources]
    targets[0] = [7]
    training_set = TrainingSet(VIEWS, TokenTable.of(sources), TokenTable.of(targets))
    everything = list(range(len(examples)))[::-1]
    for chosen in (everything, everything[1:] or everything):  # with the table's end in the batch, and without
        batch = Collator(9, multiple)(training_set.__getitems__(chosen))
        read = [[i for i in chosen if targets[v * len(examples) + i]] or chosen[:1] for v in (0, 1)]
        picked = [sources[v * len(examples) + i] for v in (0, 1) for i in read[v]]
        assert torch.equal(batch["input_ids"], padded(picked, 9, multiple))
        assert torch.equal(batch["attention_mask"], padded([[1] * len(row) for row in picked], 0, multiple))
        for v, view in enumerate(VIEWS):
            expected = padded([targets[v * len(examples) + i] for i in chosen], -100, multiple)
            assert torch.equal(batch["labels"][view], expected.to(torch.int64))
            assert [chosen[place] for place in batch["rows"][view].tolist()] == read[v]
        tensors = [batch["input_ids"], batch["attention_mask"], *batch["labels"].values()]
        assert {tensor.dtype for tensor in tensors} == {torch.int64}


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 300), size=st.integers(1, 40), seed=st.integers(0, 9))
def test_an_epoch_is_a_permutation_that_seed_and_epoch_decide(n, size, seed):
    sampler = BucketSampler(random_set(n).lengths(), size, 8, seed)
    first = list(sampler)
    assert sorted(first) == list(range(n)) and len(sampler) == n
    assert list(sampler) == first
    assert list(BucketSampler(random_set(n).lengths(), size, 8, seed)) == first
    sampler.set_epoch(1)
    second = list(sampler)
    sampler.set_epoch(0)
    assert list(sampler) == first
    if n > 50 and size > 1:
        assert second != first
        assert list(BucketSampler(random_set(n).lengths(), size, 8, seed + 1)) != first


def test_what_is_alike_comes_together_and_the_dearest_batch_first():
    kinds = np.array(list(itertools.product((8, 64), (8, 16), (8, 96))))
    widths = np.repeat(kinds, 10, axis=0)
    for seed in range(5):
        order = bucketed(widths, np.array([2, 1, 1]), 10, np.random.default_rng(seed))
        assert all(len({tuple(widths[i]) for i in batch}) == 1 for batch in order.reshape(-1, 10))
        assert widths[order[0]].tolist() == [64, 16, 96]


def test_it_pads_less_than_sorting_and_mixes_anew_each_epoch():
    training_set = random_set(700)
    sampler = BucketSampler(training_set.lengths(), 32, 8, 3)
    by_source = np.argsort(training_set.widths()[:, 0], kind="stable")
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        order = list(sampler)
        ours, theirs, chance = (
            sum(costs(sampler.widths, (2, 1, 1), some, 32))
            for some in (order, by_source, np.random.default_rng(epoch).permutation(700))
        )
        assert ours < 0.95 * theirs < theirs < chance
        batches = costs(sampler.widths, (2, 1, 1), order, 32)
        assert batches[0] == max(batches)
        assert abs(np.corrcoef(range(20), batches[1:21])[0, 1]) < 0.7  # lengths do not drift through an epoch
        epochs.append({frozenset(order[i : i + 32]) for i in range(0, 700, 32)})
    assert len(epochs[0] & epochs[1]) <= 2
    remainders = [
        set(order[-28:]) for order in (list(BucketSampler(training_set.lengths(), 32, 8, seed)) for seed in range(2))
    ]
    assert remainders[0] != remainders[1]


def batch_key(batch) -> tuple:
    return tuple(batch["input_ids"].flatten().tolist())


def test_the_trainers_loader_follows_it_also_after_a_skip_and_with_workers(tmp_path):
    one = trainer(scratch(), "mi", tmp_path, per_device_train_batch_size=5, data_seed=11)
    sampler = BucketSampler(one.train_dataset.lengths(), 5, 8, 11)
    loader = one.get_train_dataloader()
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        sampler.set_epoch(epoch)
        order = list(sampler)
        expected = [
            batch_key(one.data_collator(one.train_dataset.__getitems__(order[i : i + 5]))) for i in range(0, 12, 5)
        ]
        assert [batch_key(batch) for batch in loader] == expected
        resumed = skip_first_batches(loader, 1)
        resumed.set_epoch(epoch)
        assert [batch_key(batch) for batch in resumed] == expected[1:]
    with_workers = trainer(
        scratch(), "mi", tmp_path, per_device_train_batch_size=5, data_seed=11, dataloader_num_workers=2
    ).get_train_dataloader()
    with_workers.set_epoch(1)
    assert [batch_key(batch) for batch in with_workers] == expected
    short = trainer(scratch(), "mi", tmp_path, per_device_train_batch_size=5, dataloader_drop_last=True)
    assert [len(batch["labels"][View.PREDICT]) for batch in short.get_train_dataloader()] == [5, 5]


@pytest.mark.parametrize("name", ["mi", "mi-official", "finetune"])
def test_random_batches_are_for_the_asking_alike_for_every_objective(name, tmp_path):
    assert isinstance(trainer(scratch(), name, tmp_path)._get_train_sampler(), BucketSampler)
    asked = trainer(scratch(), name, tmp_path, train_sampling_strategy="random")
    assert isinstance(asked._get_train_sampler(), RandomSampler)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 300), size=st.integers(1, 40), share=st.floats(0, 1), seed=st.integers(0, 9))
def test_every_batch_has_its_quota_of_rows_without_a_rationale(n, size, share, seed):
    lengths = random_set(n, seed).lengths() + 1
    lengths[np.random.default_rng(seed).random(n) >= share, 2] = 0
    order = list(BucketSampler(lengths, size, 8, seed))
    assert sorted(order) == list(range(n))
    taught = [int((lengths[order[i : i + size], 2] > 0).sum()) for i in range(0, n, size)]
    whole = taught[: n // size]
    assert not whole or max(whole) - min(whole) <= 1
    assert abs(taught[-1] - (lengths[:, 2] > 0).sum() * (n - (len(taught) - 1) * size) / n) < 1 or len(whole) == len(
        taught
    )


def test_the_remainder_takes_from_both_kinds_alike():
    """One row in ten has a rationale, and half a row is left over in the mean."""
    lengths = random_set(45).lengths() + 1
    lengths[5:, 2] = 0
    left = [sum(i < 5 for i in list(BucketSampler(lengths, 20, 8, seed))[-5:]) for seed in range(400)]
    assert abs(np.mean(left) - 5 * 5 / 45) < 0.08


@pytest.mark.parametrize(("task", "least"), [("svamp", 0.74), ("cqa", 0.85), ("esnli", 0.78)])
def test_the_share_of_real_tokens_on_the_released_data(task, least, dss):
    settings = DataSettings.parse({"task": task, "source": {"kind": "archive", "root": str(dss)}}, "test")
    # e-SNLI's training rows are not here
    examples = read(settings)["valid"] if task == "esnli" else load(settings).train
    texts = (text for e in examples for v in VIEWS for text in (source(e, v).text("\n"), target(e, v) or ""))
    tiny = ScratchSettings(vocab_size=8000, d_model=8, d_kv=4, d_ff=8, num_heads=1, num_layers=1)
    made = tokenise(examples, VIEWS, load_student(StudentSettings(scratch=tiny), texts))
    for size in (16, 64):
        sampler = BucketSampler(made.lengths(), size, 8, 0)
        fed = sum(costs(sampler.widths.tolist(), (2, 1, 1), list(sampler), size))
        assert (len(made.sources.ids) + len(made.targets.ids)) / fed >= least


@pytest.mark.parametrize("name", ["finetune", "single-task"])
def test_batches_are_made_by_input_and_rationale_whatever_the_objective_reads(name):
    """Also where no row has a rationale, for an objective that needs none."""
    student = scratch()
    rows = PARTIAL if name == "single-task" else PARTIAL[:1] * 9
    usable = [row for row in rows if row.rationale] if name == "single-task" else rows
    made = tokenise(rows, objective(name).views, student)
    assert made.lengths().tolist() == token_ids(usable, VIEWS, student).widths().tolist()
    assert sorted(BucketSampler(made.lengths(), 4, 8, 0)) == list(range(len(made)))
