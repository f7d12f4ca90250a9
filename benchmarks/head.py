"""Case `head`: from decoder states to loss and gradients, by whole logits and by `limbeck.objectives.losses`.

`python -m benchmarks.head SETUP` prints the memory of one such call, for `benchmarks.memory.in_fresh_process`.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from benchmarks.inputs import Shape, batches
from benchmarks.measure import alternate
from benchmarks.memory import in_fresh_process, peak_of
from benchmarks.naive import IGNORE, head_loss
from benchmarks.rows import time_row, value_row, yes
from benchmarks.settings import Settings
from limbeck.models.families import VocabularyHead
from limbeck.objectives import METHODS
from limbeck.objectives.fused import Targets, losses, term_counts

MIB = 2**20
LEAST_MEMORY_RATIOS = {48: 7, 256: 20}  # by the rationales' width


@dataclass(frozen=True)
class Setup:
    """A head and a batch of states; `way` is "naive" or "limbeck", `method` "dss" or "mi"."""

    way: str
    method: str
    shape: Shape
    vocab_size: int
    width: int
    device: str
    bf16: bool = False


class Call:
    """Forward and backward of the head on random states, which are leaves as the weight is."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        naive, self.batch = batches(setup.shape, setup.vocab_size, setup.device)
        generator = torch.Generator().manual_seed(0)
        self.labels = {view: values["labels"] for view, values in naive.items()}
        self.places = {view: (ids != IGNORE).flatten().nonzero().squeeze(1) for view, ids in self.labels.items()}
        self.hidden = {
            view: torch.randn(*ids.shape, setup.width, generator=generator).to(setup.device).requires_grad_()
            for view, ids in self.labels.items()
        }
        weight = torch.randn(setup.vocab_size, setup.width, generator=generator) * setup.width**-0.5
        self.weight = weight.to(setup.device).requires_grad_()

    def __call__(self) -> torch.Tensor:
        """The loss; the gradients are new each time."""
        self.forget()
        with torch.autocast(self.setup.device, torch.bfloat16, enabled=self.setup.bf16):
            if self.setup.way == "naive":
                loss = head_loss(self.hidden, self.labels, self.weight, self.setup.method)
            else:
                loss = self._limbeck()
        loss.backward()
        return loss.detach()

    def forget(self) -> None:
        for leaf in (*self.hidden.values(), self.weight):
            leaf.grad = None

    def _limbeck(self) -> torch.Tensor:
        """The loss as a student computes it: the states of padding are left behind first."""
        columns = ("labels", "weights", "rows", "index", "sizes")
        labels, weights, rows, index, sizes = map(self.batch.get, columns)
        states = {view: self.hidden[view].flatten(0, 1)[self.places[view]] for view in labels}
        targets = {
            view: Targets(states[view], ids, weights[view], rows[view], index[view], sizes[view])
            for view, ids in labels.items()
        }
        method = METHODS[self.setup.method]
        counts = term_counts(method, labels, weights, index)
        return losses(method, targets, head=VocabularyHead(self.weight), counts=counts)[0]


def head(settings: Settings) -> Iterator[dict[str, Any]]:
    """Time, and memory in a process of its own, of `mi` at two lengths of rationales; time of `dss` at the first."""
    model, shape = settings.small, settings.shape
    setup = Setup("naive", "mi", shape, model.vocab_size, model.d_model, settings.device)
    yield from _times(replace(setup, method="dss"), settings)
    for rationale in (shape.rationale,) if settings.tiny else (48, 256):
        shape = replace(shape, rationale=rationale)
        yield from _memory(replace(setup, shape=replace(shape, batch=min(shape.batch, 8))))
        yield from _times(replace(setup, shape=shape), settings)


def _times(setup: Setup, settings: Settings) -> Iterator[dict[str, Any]]:
    """Every way at every precision, against naive fp32 and, on a GPU, naive bf16."""
    setups = {
        f"{way} {'bf16' if bf16 else 'fp32'}": replace(setup, way=way, bf16=bf16)
        for bf16 in ((False, True) if settings.gpu else (False,))
        for way in ("naive", "limbeck")
    }
    times = alternate({name: Call(each) for name, each in setups.items()}, setup.device, settings.rounds)
    targets = {("mi", "cpu"): ("time at most 0.9 of naive", 1 / 0.9), ("dss", "cpu"): ("no slower than naive", 1.0)}
    case = f"head {setup.method}, {setup.shape}"
    yield time_row(case, times, "naive fp32", "limbeck fp32", targets.get((setup.method, setup.device)))
    if settings.gpu:
        target = ("time at most 1/4 of naive fp32", 4.0) if setup.method == "mi" else ("no slower than naive", 1.0)
        yield time_row(case, times, "naive fp32", "limbeck bf16", target)
        yield time_row(case, times, "naive bf16", "limbeck bf16")


def _memory(setup: Setup) -> Iterator[dict[str, Any]]:
    """Memory that is gone when the call is over, and the peak above what was there before it."""
    found = {way: in_fresh_process("benchmarks.head", asdict(replace(setup, way=way))) for way in ("naive", "limbeck")}
    case = f"head {setup.method}, {setup.shape}"
    gradients = (setup.vocab_size + setup.shape.batch * sum(setup.shape.targets().values())) * setup.width * 4 / MIB
    for measure, end in (("transient memory", "after"), ("peak above inputs", "before")):
        values = [None if m is None else (m["peak"] - m[end]) / MIB for m in found.values()]
        row = value_row(case, measure, "MiB", ("naive fp32", values[0]), ("limbeck fp32", values[1]))
        least = LEAST_MEMORY_RATIOS.get(setup.shape.rationale)
        if end == "after" and least is not None and row["ratio"] is not None:
            row |= {"target": f"at least {least} times less than naive", "met": yes(row["ratio"] >= least)}
        yield row | {"note": f"the gradients, which stay: {gradients:.1f} MiB"}


def main() -> None:
    values = json.loads(sys.argv[1])
    setup = Setup(**values | {"shape": Shape(**values["shape"])})
    call = Call(setup)
    # libraries, threads and their buffers are there before the peak is taken
    Call(replace(setup, shape=replace(setup.shape, batch=1)))()
    print(json.dumps(peak_of(call, setup.device)))


if __name__ == "__main__":
    main()
