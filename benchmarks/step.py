"""Case `step`: forward, backward and optimiser of a whole student, batch on the device already."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.flops import step_flops, utilisation
from benchmarks.inputs import Shape, batches, model, tokenizer
from benchmarks.machine import device_name
from benchmarks.measure import Times, alternate
from benchmarks.memory import peak_of
from benchmarks.naive import model_loss
from benchmarks.rows import time_row, value_row, yes
from benchmarks.settings import Settings
from limbeck.models import ScratchSettings
from limbeck.models.encoder_decoder import EncoderDecoderStudent
from limbeck.objectives import METHODS
from limbeck.training.trainer import Distiller

GIB = 2**30
H200_MILLISECONDS = {"T5-small": 8.5, "T5-base": 18.5}


@dataclass(frozen=True)
class Side:
    """One way to take a step: "naive" or "limbeck", the method, autocast to bf16, `torch.compile`."""

    way: str
    method: str = "mi"
    bf16: bool = False
    compiled: bool = False

    def __str__(self) -> str:
        return f"{self.way} {'bf16' if self.bf16 else 'fp32'}{' compiled' if self.compiled else ''}"


class Step:
    """A model of its own and its AdamW; calling it takes one step on the next batch and gives its loss."""

    def __init__(self, side: Side, student: nn.Module, given: list[Any], device: str, learning_rate: float = 5e-5):
        self.side, self.given, self.device, self.taken = side, given, device, 0
        self.model = copy.deepcopy(student).to(device)
        # fused is what transformers' Trainer takes by default, so both sides have it
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=learning_rate, weight_decay=0.0, fused=True)
        self.loss = self._naive() if side.way == "naive" else self._limbeck()

    def __call__(self) -> Tensor:
        batch = self.given[self.taken % len(self.given)]
        self.taken += 1
        with torch.autocast(self.device, torch.bfloat16, enabled=self.side.bf16):
            loss = self.loss(batch)
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad()
        return loss.detach()

    def resident_bytes(self) -> int:
        """Weights and the optimiser's two moments."""
        return 3 * sum(p.numel() * p.element_size() for p in self.model.parameters())

    def _naive(self) -> Callable[[Any], Tensor]:
        loss: Any = torch.compile(model_loss, dynamic=False) if self.side.compiled else model_loss
        return lambda batch: loss(self.model, batch, self.side.method)

    def _limbeck(self) -> Callable[[Any], Tensor]:
        student = EncoderDecoderStudent(self.model, tokenizer(self.model.config.vocab_size), 1024, 1024)
        module: Any = Distiller(student, METHODS[self.side.method]).train()
        if self.side.compiled:
            module = torch.compile(module, dynamic=False)
        return lambda batch: module(**batch)["loss"]


def steps(
    sides: list[Side], name: ScratchSettings, shape: Shape, device: str, dropout: float, count: int = 1
) -> dict[Side, Step]:
    """A step for every side, all from the same weights, each with the same `count` batches."""
    student = model(name, dropout)
    pairs = [batches(shape, name.vocab_size, device, seed) for seed in range(count)]
    given = {"naive": [naive for naive, _ in pairs], "limbeck": [limbeck for _, limbeck in pairs]}
    return {side: Step(side, student, given[side.way], device) for side in sides}


def step(settings: Settings) -> Iterator[dict[str, Any]]:
    """The step of `mi` with dropout 0.1: time and, on a GPU, memory and the share of peak FLOPs."""
    sides = [Side("naive"), Side("limbeck")]
    if settings.gpu:
        sides += [Side(way, bf16=True, compiled=compiled) for way in ("naive", "limbeck") for compiled in (False, True)]
    for name, sizes in settings.models.items():
        case = f"step mi, {name}, {settings.shape}"
        made = steps(sides, sizes, settings.shape, settings.device, dropout=0.1)
        times = alternate({str(side): call for side, call in made.items()}, settings.device, settings.rounds)
        flops = step_flops(sizes, settings.shape)
        if settings.gpu:
            yield from _gpu_times(case, name, times, flops)
            yield from _gpu_memory(case, made)
        else:
            batch = settings.shape.batch
            note = (
                f"{batch / times.median('naive fp32'):.2f} and {batch / times.median('limbeck fp32'):.2f} examples/s, "
                f"{flops / times.median('limbeck fp32') / 1e9:.0f} GFLOP/s"
            )
            target = ("throughput at least 1.15 times naive", 1.15)
            yield time_row(case, times, "naive fp32", "limbeck fp32", target, note)


def _gpu_times(case: str, name: str, times: Times, flops: int) -> Iterator[dict[str, Any]]:
    """fp32 against fp32, then both bf16 steps against both naive ones; the compiled one has the targets."""
    device = device_name("cuda")
    yield time_row(case, times, "naive fp32", "limbeck fp32")
    for subject in ("limbeck bf16", "limbeck bf16 compiled"):
        used = {side: utilisation(flops, times.median(side), device) for side in ("naive bf16", subject)}
        shares = "MFU " + " and ".join("not known" if u is None else f"{u:.1%}" for u in used.values())
        targets = {
            "naive fp32": ("throughput at least 5 times naive fp32", 5.0),
            "naive bf16": ("throughput at least 2.5 times naive bf16", 2.5),
        }
        for baseline, target in targets.items():
            best = subject.endswith("compiled")
            note = shares if baseline == "naive bf16" else ""
            row = time_row(case, times, baseline, subject, target if best else None, note)
            yield row | {"flops": flops, "utilisation": used[subject]}
    yield time_row(case, times, "naive bf16 compiled", "limbeck bf16 compiled")
    bound = H200_MILLISECONDS.get(name)
    if bound is not None and "H200" in device:
        ours = ("limbeck bf16 compiled", 1e3 * times.median("limbeck bf16 compiled"))
        target = f"at most {bound} ms on an H200"
        baseline = ("naive bf16", 1e3 * times.median("naive bf16"))
        yield value_row(case, "time, absolute", "ms", baseline, ours, target, yes(ours[1] <= bound))


def _gpu_memory(case: str, made: dict[Side, Step]) -> Iterator[dict[str, Any]]:
    """Each side's peak: its weights, moments, and what a step adds to them (the other sides' are not counted)."""
    peaks: dict[str, float] = {}
    for side, call in made.items():
        found = peak_of(call, "cuda")
        assert found is not None  # CUDA always tells
        peaks[str(side)] = (call.resident_bytes() + found["peak"] - found["before"]) / GIB
    for baseline, subject in (
        ("naive fp32", "limbeck fp32"),
        ("naive fp32", "limbeck bf16 compiled"),
        ("naive bf16", "limbeck bf16"),
        ("naive bf16", "limbeck bf16 compiled"),
    ):
        yield value_row(case, "peak memory", "GiB", (baseline, peaks[baseline]), (subject, peaks[subject]))
