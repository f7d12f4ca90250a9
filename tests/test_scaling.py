"""The estimates of many GPUs: counts are those of real models, times have closed forms, streams a naive clock."""

from dataclasses import replace
from itertools import pairwise
from math import inf
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.flops import Decoder
from benchmarks.scaling import (
    BUCKET,
    PROMPT,
    STUDENTS,
    TARGETS,
    Machine,
    Setup,
    Task,
    compute,
    ddp_tasks,
    estimate,
    finish_times,
    fits,
    fsdp_tasks,
    gather_seconds,
    largest,
    memory,
    tables,
)
from limbeck.models.lora import add_lora
from limbeck.models.settings import LoraSettings

SMALL = Decoder(96, 3, 6, 3, 144, 101)  # no activation has as many elements as a weight
LENGTH = PROMPT + TARGETS
STUDENT = STUDENTS["SmolLM2-1.7B"]
RANKS = pytest.mark.parametrize("rank", [0, 16])
BOTH = pytest.mark.parametrize("way", ["DDP", "FSDP2"])


def llama(decoder, attention="sdpa"):
    config = LlamaConfig(
        hidden_size=decoder.width,
        num_hidden_layers=decoder.layers,
        num_attention_heads=decoder.heads,
        num_key_value_heads=decoder.kv_heads,
        intermediate_size=decoder.feed_forward,
        vocab_size=decoder.vocabulary,
        tie_word_embeddings=decoder.tied,
        attn_implementation=attention,
    )
    return LlamaForCausalLM(config).train()


def with_adapter(model, rank):
    add_lora(model, LoraSettings(r=rank), None)
    return model


@pytest.mark.parametrize("decoder", [*STUDENTS.values(), replace(SMALL, tied=False)])
def test_the_weights_are_those_of_the_model(decoder):
    with torch.device("meta"):
        model = llama(decoder)
        assert decoder.parameters == sum(weight.numel() for weight in model.parameters())
        adapter = sum(weight.numel() for weight in with_adapter(model, 16).parameters() if weight.requires_grad)
    assert decoder.layers * decoder.adapter(16) == adapter


def counted_flops(decoder, rank):
    """Return the FLOPs that torch counts in a step of two questions, with logits of all tokens."""
    model = with_adapter(llama(decoder, "eager"), rank) if rank else llama(decoder, "eager")
    ids = torch.zeros(2, LENGTH, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, use_cache=False).logits.sum().backward()
    return counter.get_total_flops()


@RANKS
def test_the_flops_are_those_that_torch_counts(rank):
    machine = Machine(peak=1.0, utilisation=1.0, launch=0.0)
    setup = Setup(SMALL, "DDP", 1, 2, rank, machine=machine)
    forward, backward, head = compute(setup)
    flops = counted_flops(SMALL, rank)
    assert forward + backward == flops - counted_flops(replace(SMALL, layers=2), rank)
    per_word = (flops - counted_flops(replace(SMALL, vocabulary=1), rank)) / (SMALL.vocabulary - 1)
    assert head == SMALL.vocabulary * per_word * TARGETS / LENGTH
    assert compute(replace(setup, checkpointing=True)) == (forward, backward + forward, head)


def saved_bytes(model):
    """Return the bytes that autograd keeps for the backward pass of two questions, weights and their copies apart."""
    storages, weights = {}, {weight.numel() for weight in model.parameters()}

    def pack(tensor):
        if tensor.numel() not in weights:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    mask = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril().expand(2, 1, LENGTH, LENGTH)
    ids = torch.zeros(2, LENGTH, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        states = model.model(input_ids=ids, attention_mask=mask, use_cache=False)[0]
    return sum(storage.nbytes() for storage in storages.values()) - ids.nbytes, states


def test_the_activations_are_those_that_autograd_saves():
    setup = Setup(SMALL, "DDP", 1, questions=2)
    angles = 2 * 4 * LENGTH * SMALL.width // SMALL.heads
    assert memory(setup).activations == saved_bytes(llama(SMALL))[0] - angles
    adapted, model = memory(replace(setup, rank=16)).activations, llama(SMALL)
    assert 0.85 * adapted < saved_bytes(with_adapter(llama(SMALL), 16))[0] - angles <= adapted
    checkpointed = memory(replace(setup, checkpointing=True))
    model.gradient_checkpointing_enable()
    assert checkpointed.activations - checkpointed.layer == saved_bytes(model)[0]


NUMBERED = st.tuples(st.sampled_from(["gpu", "link"]), st.integers(0, 5), st.sets(st.integers(0, 11), max_size=3))


@given(st.lists(NUMBERED, max_size=12))
def test_streams_keep_their_order_as_a_clock_that_ticks(drawn):
    tasks = [Task(stream, n, tuple(i for i in after if i < k)) for k, (stream, n, after) in enumerate(drawn)]
    ends, left, now = {}, [task.seconds for task in tasks], 0
    while len(ends) < len(tasks):
        for number, task in enumerate(tasks):
            before = {k for k in range(number) if tasks[k].stream == task.stream} | {*task.after}
            if number not in ends and all(ends.get(k, inf) <= now for k in before):
                works = task.seconds > 0
                left[number] -= works
                if not left[number]:
                    ends[number] = now + works
        now += 1
    assert finish_times(tasks) == [ends[k] for k in range(len(tasks))]


def test_a_ring_carries_each_share_once_to_every_other_gpu():
    machine = Machine(nvlink_latency=1.0, network_latency=100.0, nvlink=8.0, network=4.0, achieved=1.0)
    assert gather_seconds(64, 1, machine) == 0
    assert gather_seconds(64, 8, machine) == 7 * (1 + 8 / 8)
    assert gather_seconds(64, 32, machine) == 7 * (1 + 8 / 8) + 3 * (100 + 2 / 4)
    assert 2 * gather_seconds(64, 8, replace(machine, nvlink_latency=0)) == 2 * 7 / 8 * 64 / 8


@BOTH
@RANKS
def test_links_of_no_time_and_a_single_gpu_leave_the_computation_alone(way, rank):
    setup = Setup(STUDENT, way, 64, 16, rank)
    forward, backward, head = compute(setup)
    computed = STUDENT.layers * (forward + backward) + head
    free = Machine(nvlink=inf, network=inf, nvlink_latency=0, network_latency=0)
    for other in (replace(setup, machine=free), replace(setup, gpus=1)):
        step = estimate(other)
        assert step.seconds - step.adam == pytest.approx(computed, rel=1e-12)
        assert step.waiting == pytest.approx(0, abs=1e-12)


def test_gpus_of_no_time_leave_the_sum_of_the_exchanges():
    machine = Machine(peak=inf, launch=0, memory_speed=inf, nvlink_latency=0, nvlink=1e9, achieved=1.0)
    layers, outer = STUDENT.layers * STUDENT.layer_parameters, STUDENT.outer_parameters
    ddp, fsdp = (estimate(Setup(STUDENT, way, 8, 16, machine=machine)).seconds for way in ("DDP", "FSDP2"))
    assert ddp == pytest.approx(2 * 7 / 8 * 4 * STUDENT.parameters / 1e9)
    assert fsdp == pytest.approx(7 / 8 * 2 * (3 * layers + 2 * outer) / 1e9)  # two gathers and a scatter; one of each


def test_ddp_reduces_each_bucket_after_the_one_before():
    setup = Setup(STUDENT, "DDP", 64, 16)
    (forward, backward, head), link, bucket = compute(setup), 0.0, 4 * STUDENT.width
    clock = STUDENT.layers * forward + head
    for _ in range(STUDENT.layers):
        d, f = STUDENT.width, STUDENT.feed_forward
        for size in (d * f, d * f, d * f, d, d * d, d * d, d * d, d * d, d):
            clock, bucket = clock + backward * size / STUDENT.layer_parameters, bucket + 4 * size
            if bucket >= BUCKET:
                link, bucket = max(link, clock) + 2 * gather_seconds(bucket, 64, setup.machine), 0
    bucket += 4 * STUDENT.embedding
    link = max(link, clock) + 2 * gather_seconds(bucket, 64, setup.machine)
    assert max(finish_times(ddp_tasks(setup))) == pytest.approx(link, rel=1e-12)


@pytest.mark.parametrize("network", [1e9, 1e10, 5e10])  # waits for gathers, for scatters, for the ends alone
def test_fsdp_gathers_a_layer_ahead_and_scatters_behind(network):
    setup = Setup(STUDENT, "FSDP2", 64, 16, machine=Machine(network=network))
    (forward, backward, head), sizes = compute(setup), (STUDENT.layer_parameters, STUDENT.outer_parameters)
    layer, outer = (gather_seconds(2 * size, 64, setup.machine) for size in sizes)
    link = clock = outer
    for seconds in ([forward] * STUDENT.layers, [backward] * STUDENT.layers):
        link = gathered = max(link, clock) + layer
        for number, duration in enumerate(seconds):
            begin = max(clock, gathered)
            if number + 1 < STUDENT.layers:
                link = gathered = max(link, begin) + layer
            clock = begin + duration
            if duration == backward:
                link = max(link, clock) + layer
        clock += head if duration == forward else 0
    assert max(finish_times(fsdp_tasks(setup))) == pytest.approx(max(link, clock) + outer, rel=1e-12)


@BOTH
@pytest.mark.parametrize("link", ["nvlink", "network"])
def test_a_faster_link_never_makes_a_step_slower(way, link):
    setups = [Setup(STUDENT, way, 64, 1, machine=Machine(**{link: speed})) for speed in (1e9, 1e10, 1e11, 1e12)]
    seconds = [estimate(setup).seconds for setup in setups]
    assert all(slow >= fast for slow, fast in pairwise(seconds))
    assert seconds[0] > 2 * seconds[-1]


def test_fsdp_spreads_the_states_evenly_and_ddp_repeats_them():
    one, *others = (memory(Setup(STUDENT, "FSDP2", gpus, 16)).states for gpus in (1, 8, 64))
    assert one == 12 * STUDENT.parameters
    assert others == [one / 8, one / 64]
    alone, spread = (estimate(Setup(STUDENT, "FSDP2", gpus, 16)).adam for gpus in (1, 8))
    assert spread == alone / 8
    assert memory(Setup(STUDENT, "DDP", 8, 16)).states == one + 4 * STUDENT.parameters  # its buckets


@BOTH
def test_the_largest_batch_is_the_last_that_fits(way):
    setup = Setup(STUDENTS["Llama-3.2-3B"], way, 8, 1)
    most = largest(setup)
    assert [fits(replace(setup, questions=questions)) for questions in (most, most + 1)] == [True, False]
    assert largest(replace(setup, checkpointing=True)) > most
    assert estimate(replace(setup, questions=most + 1)).setup.checkpointing
    with pytest.raises(ValueError, match="do not fit"):
        estimate(replace(setup, questions=10 * most))


def test_the_page_has_the_printed_tables():
    page = (Path(__file__).parents[1] / "docs" / "distributed.md").read_text()
    assert all(table in page for table in tables(Machine()))
