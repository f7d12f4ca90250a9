"""Several processes train what one does: each objective, student and way of sharing the work."""

import itertools
from pathlib import Path

import pytest
from safetensors.torch import load_file

from limbeck.objectives import METHODS
from tests.helpers import decoders
from tests.helpers.processes import Forked
from tests.training.processes import NEEDS_DEEPSPEED, STEP, Case, fit


def launch(folder: Path, cases: list[Case], count: int) -> None:
    """Train the cases in several processes."""
    processes = Forked.several(count, run=lambda: [fit(case, folder) for case in cases])
    assert [(process.wait(), process.text)[0] for process in processes] == [0] * count, processes[0].text


def difference(folder: Path, case: Case, reference: Case) -> float:
    weights, expected = (load_file(folder / x.folder / "weights.safetensors") for x in (case, reference))
    assert weights.keys() == expected.keys()
    return max((weights[name] - expected[name]).abs().max().item() for name in expected)


def reference_of(case: Case) -> Case:
    """Return the same training in one process: batches apart, unless examples are compared across them."""
    if METHODS[case.method].across_examples:
        return case._replace(fsdp=False, stage=0, batch_size=STEP)
    # of those that read padding each batch on its own
    dealt = METHODS[case.method].reads_padding
    return case._replace(fsdp=False, stage=0, accumulation=STEP // case.batch_size, dealt=dealt)


KINDS = [("llama", False), ("t5", False), ("lora", False), ("llama", True), ("t5", True), ("lora", True)]


def check(folder: Path, cases: list[Case], tolerance: float = 1e-5) -> None:
    decoders.decoder(folder / "llama", "llama")
    launch(folder, cases, STEP // cases[0].batch_size // cases[0].accumulation)
    for case in dict.fromkeys(map(reference_of, cases)):
        fit(case, folder)
    differences = {case.folder: difference(folder, case, reference_of(case)) for case in cases}
    assert max(differences.values()) < tolerance, differences


def test_two_processes_train_the_weights_of_one(tmp_path):
    """Each objective with some kind of student, DDP or FSDP2, so that each kind has several."""
    cases = [Case(name, *kind, STEP // 2) for name, kind in zip(METHODS, itertools.cycle(KINDS), strict=False)]
    options = ("gradient_checkpointing",)
    check(tmp_path, [*cases, *(Case("mi", "lora", fsdp, STEP // 2, options=options) for fsdp in (False, True))])


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_every_objective_with_every_kind_of_student_and_shards(tmp_path, count):
    check(tmp_path, [Case(name, *kind, STEP // count) for name in METHODS for kind in KINDS])


@pytest.mark.slow
@pytest.mark.parametrize(("options", "tolerance"), [(("use_cpu", "bf16"), 5e-3), (("torch_compile",), 1e-5)])
def test_narrow_or_compiled_processes_train_nearly_the_weights_of_one(options, tolerance, tmp_path):
    check(tmp_path, [Case("mi", *kind, STEP // 2, options=options) for kind in KINDS], tolerance)


@pytest.mark.parametrize(
    ("method", "batches"),
    [pytest.param(*case, marks=NEEDS_DEEPSPEED) for case in (("mi", 1), ("infonce", 1), ("mi", 3))],
)
def test_deepspeed_trains_the_weights_of_one_process(method, batches, tmp_path):
    kinds = itertools.product(("llama", "t5", "lora"), (1, 2))
    check(tmp_path, [Case(method, kind, False, STEP // 2 // batches, batches, stage=stage) for kind, stage in kinds])
