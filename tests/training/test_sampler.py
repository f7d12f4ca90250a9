"""Bucketed batches: every example once, the same after a resume, and less padding than by sorting."""

import itertools

import numpy as np
import pytest
from accelerate import skip_first_batches
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import View
from limbeck.objectives import METHODS
from limbeck.training.sampler import BucketSampler, StepShape
from tests.training.small import PARTIAL, scratch, trainer


def random_lengths(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(low, high, n) for low, high in ((5, 90), (1, 60), (1, 60))], 1)


def sampler_of(lengths, size: int, seed: int = 0) -> BucketSampler:
    return BucketSampler(lengths, shape=StepShape(size), multiple=8, seed=seed)


def order_of(sampler) -> list[int]:
    return list(itertools.chain.from_iterable(sampler))


def costs(widths, order, size) -> list[int]:
    """Compute the cost of each batch by a plain loop: a source counts for two views."""
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    return [len(b) * sum(w * max(widths[i][k] for i in b) for k, w in enumerate((2, 1, 1))) for b in batches]


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 300), size=st.integers(1, 40), share=st.floats(0, 1), seed=st.integers(0, 9))
def test_an_epoch_is_a_permutation_with_a_quota_of_both_kinds_in_every_batch(n, size, share, seed):
    lengths = random_lengths(n, seed)
    lengths[np.random.default_rng(seed).random(n) >= share, 2] = 0
    sampler = sampler_of(lengths, size, seed)
    order = order_of(sampler)
    assert sorted(order) == list(range(n)) and len(list(sampler)) == len(sampler) == -(-n // size)
    rationales = [int((lengths[order[i : i + size], 2] > 0).sum()) for i in range(0, n, size)]
    in_full_batches = rationales[: n // size]
    assert not in_full_batches or max(in_full_batches) - min(in_full_batches) <= 1
    expected = (lengths[:, 2] > 0).sum() * (n - (len(rationales) - 1) * size) / n
    assert len(in_full_batches) == len(rationales) or abs(rationales[-1] - expected) < 1
    if n > 50 and size > 1:
        sampler.epoch = 1
        assert order_of(sampler) != order
        assert order_of(sampler_of(lengths, size, seed + 1)) != order


def test_examples_that_are_alike_come_together_and_the_dearest_batch_first():
    widths = np.repeat(list(itertools.product((8, 64), (8, 16), (8, 96))), 10, axis=0)
    for seed in range(5):
        order = np.array(order_of(sampler_of(widths, 10, seed)))
        assert all(len({tuple(widths[i]) for i in batch}) == 1 for batch in order.reshape(-1, 10))
        assert widths[order[0]].tolist() == [64, 16, 96]


def test_it_pads_less_than_sorting_and_mixes_anew_each_epoch():
    lengths, epochs = random_lengths(700), []
    sampler = sampler_of(lengths, 32, 3)
    sorting = sum(costs(sampler.widths, np.argsort(lengths[:, 0], kind="stable"), 32))
    for epoch in range(2):
        sampler.epoch = epoch
        order = order_of(sampler)
        batches = costs(sampler.widths, order, 32)
        assert sum(batches) < 0.95 * sorting
        assert batches[0] == max(batches)
        assert abs(np.corrcoef(range(20), batches[1:21])[0, 1]) < 0.7  # lengths do not drift through an epoch
        epochs.append({frozenset(order[i : i + 32]) for i in range(0, 700, 32)})
    assert len(epochs[0] & epochs[1]) <= 2


def test_the_trainers_loader_follows_it_also_after_a_skip_and_with_workers(tmp_path):
    options = {"per_device_train_batch_size": 5, "data_seed": 11}
    training = trainer(scratch(), "mi", tmp_path, **options)
    with_workers = trainer(scratch(), "mi", tmp_path, dataloader_num_workers=2, **options)
    data, sampler = training.training_set, sampler_of(training.training_set.lengths, 5, 11)
    loader, workers = training.get_train_dataloader(), with_workers.get_train_dataloader()
    for epoch in (0, 1):
        sampler.epoch = training.sampler.epoch = with_workers.sampler.epoch = epoch
        expected = [training.data_collator([data[i] for i in batch])["input_ids"].tolist() for batch in sampler]
        for batches, skipped in [(loader, 0), (skip_first_batches(loader, 1), 1), (workers, 0)][: 2 + epoch]:
            assert [batch["input_ids"].tolist() for batch in batches] == expected[skipped:]


@pytest.mark.parametrize("examples", [PARTIAL, PARTIAL[1:]])
def test_objectives_share_their_batches(examples, tmp_path):
    student, names = scratch(), [name for name in METHODS if METHODS[name].views[0] is View.PREDICT]
    if examples != PARTIAL:  # joint views leave rows without a rationale out
        names = list(METHODS)
    orders = {tuple(order_of(trainer(student, name, tmp_path, examples=examples).sampler)) for name in names}
    assert len(orders) == 1


def test_a_random_order_is_a_permutation_that_pads_as_lengths_come(tmp_path):
    lengths = random_lengths(700)
    sampler = BucketSampler(lengths, shape=StepShape(32), multiple=8, seed=3, by_length=False)
    order = order_of(sampler)
    assert sorted(order) == list(range(700))
    assert sum(costs(sampler.widths, order, 32)) > 1.2 * sum(
        costs(sampler.widths, order_of(sampler_of(lengths, 32)), 32)
    )


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 200),
    shape=st.builds(StepShape, st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)),
    by_length=st.booleans(),
    epoch=st.integers(0, 2),
)
def test_processes_and_accumulated_batches_divide_the_steps_of_one_process(n, shape, by_length, epoch):
    lengths = random_lengths(n)
    lengths[::3, 2] = 0
    options = {"multiple": 8, "seed": 1, "by_length": by_length}
    whole = BucketSampler(lengths, shape=StepShape(shape.examples), **options)
    parts = [BucketSampler(lengths, shape=shape, process=p, **options) for p in range(shape.processes)]
    for sampler in (whole, *parts):
        sampler.epoch = epoch
    batches = [list(part) for part in parts]
    assert {len(rows) for rows in batches} == {len(parts[0])}  # or a process would wait for ever
    for start, step in zip(range(0, len(parts[0]), shape.accumulation), whole, strict=True):
        columns = list(zip(*(rows[start : start + shape.accumulation] for rows in batches), strict=True))
        assert sorted(i for column in columns for rows in column for i in rows) == sorted(step)
        for column in columns:
            sizes = [len(rows) for rows in column]
            assert max(sizes) <= shape.batch_size and max(sizes) - min(sizes) <= 1


def test_the_batches_of_processes_cost_alike():
    lengths = random_lengths(2000)
    lengths[::4, 2] = 0
    shape = StepShape(8, 2, 4)
    parts = [BucketSampler(lengths, shape=shape, process=p, multiple=8, seed=0) for p in range(4)]
    by_step = np.array([[costs(part.widths, batch, 8)[0] for batch in list(part)[:-1]] for part in parts])
    # they wait for the dearest
    assert (by_step.max(0) / by_step.mean(0)).mean() < 1.1
