"""Bucketed batches: every example once, the same after a resume, and less padding than by sorting."""

import itertools

import numpy as np
import pytest
from accelerate import skip_first_batches
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import RandomSampler

from limbeck.data import View
from limbeck.objectives import METHODS
from limbeck.training.sampler import BucketSampler
from tests.training.small import PARTIAL, scratch, trainer


def random_lengths(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(low, high, n) for low, high in ((5, 90), (1, 60), (1, 60))], 1)


def sampler_of(lengths, size: int, seed: int = 0) -> BucketSampler:
    return BucketSampler(lengths, batch_size=size, multiple=8, seed=seed)


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
    order = list(sampler)
    assert sorted(order) == list(range(n)) and len(sampler) == n
    rationales = [int((lengths[order[i : i + size], 2] > 0).sum()) for i in range(0, n, size)]
    in_full_batches = rationales[: n // size]
    assert not in_full_batches or max(in_full_batches) - min(in_full_batches) <= 1
    expected = (lengths[:, 2] > 0).sum() * (n - (len(rationales) - 1) * size) / n
    assert len(in_full_batches) == len(rationales) or abs(rationales[-1] - expected) < 1
    if n > 50 and size > 1:
        sampler.set_epoch(1)
        assert list(sampler) != order
        assert list(sampler_of(lengths, size, seed + 1)) != order


def test_examples_that_are_alike_come_together_and_the_dearest_batch_first():
    widths = np.repeat(list(itertools.product((8, 64), (8, 16), (8, 96))), 10, axis=0)
    for seed in range(5):
        order = np.array(list(sampler_of(widths, 10, seed)))
        assert all(len({tuple(widths[i]) for i in batch}) == 1 for batch in order.reshape(-1, 10))
        assert widths[order[0]].tolist() == [64, 16, 96]


def test_it_pads_less_than_sorting_and_mixes_anew_each_epoch():
    lengths, epochs = random_lengths(700), []
    sampler = sampler_of(lengths, 32, 3)
    sorting = sum(costs(sampler.widths, np.argsort(lengths[:, 0], kind="stable"), 32))
    for epoch in range(2):
        sampler.set_epoch(epoch)
        order = list(sampler)
        batches = costs(sampler.widths, order, 32)
        assert sum(batches) < 0.95 * sorting
        assert batches[0] == max(batches)
        assert abs(np.corrcoef(range(20), batches[1:21])[0, 1]) < 0.7  # lengths do not drift through an epoch
        epochs.append({frozenset(order[i : i + 32]) for i in range(0, 700, 32)})
    assert len(epochs[0] & epochs[1]) <= 2


def test_the_trainers_loader_follows_it_also_after_a_skip_and_with_workers(tmp_path):
    options = {"per_device_train_batch_size": 5, "data_seed": 11}
    training = trainer(scratch(), "mi", tmp_path, **options)
    data, sampler = training.training_set, sampler_of(training.training_set.lengths, 5, 11)
    loader = training.get_train_dataloader()
    workers = trainer(scratch(), "mi", tmp_path, dataloader_num_workers=2, **options).get_train_dataloader()
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        order = [data[i] for i in sampler]
        expected = [training.data_collator(order[i : i + 5])["input_ids"].tolist() for i in range(0, 12, 5)]
        for batches, skipped in [(loader, 0), (skip_first_batches(loader, 1), 1), (workers, 0)][: 2 + epoch]:
            batches.set_epoch(epoch)
            assert [batch["input_ids"].tolist() for batch in batches] == expected[skipped:]


@pytest.mark.parametrize("examples", [PARTIAL, PARTIAL[1:]])
def test_objectives_share_their_batches(examples, tmp_path):
    student, names = scratch(), [name for name in METHODS if METHODS[name].views[0] is View.PREDICT]
    if examples != PARTIAL:  # joint views leave rows without a rationale out
        names = list(METHODS)
    orders = {tuple(trainer(student, name, tmp_path, examples=examples)._get_train_sampler()) for name in names}
    assert len(orders) == 1
    random = trainer(student, "mi", tmp_path, train_sampling_strategy="random")
    assert isinstance(random._get_train_sampler(), RandomSampler)
