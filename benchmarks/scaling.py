"""Estimates of a step's time and a GPU's memory on many H100, by DDP and FSDP2: `python -m benchmarks.scaling`.

Nothing here is measured. A roofline gives the time of each layer, rings the time of each exchange, and a simulation of
two streams, the GPU's and the link's, the time of a step in which exchanges overlap with the backward pass.
`docs/distributed.md` has the tables, and the assumptions in words.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal, NamedTuple

from benchmarks.flops import BF16_PEAKS, Decoder

# sizes as in the published config.json
STUDENTS = {
    "SmolLM2-135M": Decoder(576, 30, 9, 3, 1536, 49_152),
    "SmolLM2-1.7B": Decoder(2048, 24, 32, 32, 8192, 49_152),
    "Llama-3.2-3B": Decoder(3072, 28, 24, 8, 8192, 128_256),
}
TRAININGS: dict[str, tuple[Literal["DDP", "FSDP2"], int]] = {  # the way, and the rank of LoRA
    "all weights, DDP": ("DDP", 0),
    "all weights, FSDP2": ("FSDP2", 0),
    "LoRA r = 16, DDP": ("DDP", 16),
}
GPUS = (1, 8, 64)
WEAK, STRONG = 16, 64  # questions a GPU, and questions a step
PROMPT, TARGETS = 128, 128  # tokens of a question: the shared prompt; label and rationale
BUCKET = 25 * 2**20  # bytes of gradients that DDP sends at once, its default
REPLIES, REPLY_TOKENS, EPOCHS = 100_000, 250, 3  # of a whole job
# assumed: tokens a second of 70 billion weights in bf16; reading these for 64 requests at a time allows 6,000
TEACHER_GPUS, TEACHER_SPEED = 4, 2500
JOBS = (
    ("SmolLM2-1.7B", "all weights, DDP", 8),
    ("SmolLM2-1.7B", "LoRA r = 16, DDP", 1),
    ("Llama-3.2-3B", "all weights, FSDP2", 8),
)
PRICE = 2.5  # assumed: dollars an H100-hour
ADAM_BYTES = 40  # a weight: weight, gradient and moments read, three written; the gradient read twice, scaled once


@dataclass(frozen=True)
class Machine:
    """H100 SXM in nodes of eight; speeds are the data sheet's, in bytes, FLOPs and seconds, the rest is assumed."""

    peak: float = BF16_PEAKS["H100"]
    utilisation: float = 0.4  # assumed: of the peak, in products of matrices with all that lies between them
    launch: float = 0.8e-3  # assumed: least seconds of a layer in either direction, kernels started one by one
    memory: float = 80e9
    reserved: float = 4e9  # assumed: CUDA, NCCL's buffers, fragments
    memory_speed: float = 3.35e12
    node: int = 8
    nvlink: float = 450e9  # a direction
    network: float = 50e9  # a GPU: 400 Gb/s InfiniBand
    achieved: float = 0.8  # assumed: of the three speeds
    nvlink_latency: float = 3e-6  # assumed: of a ring's step
    network_latency: float = 10e-6  # assumed


@dataclass(frozen=True)
class Setup:
    """A training; `questions` are a GPU's in a step, `rank` is LoRA's, 0 for all weights."""

    student: Decoder
    way: Literal["DDP", "FSDP2"]
    gpus: int
    questions: int
    rank: int = 0
    checkpointing: bool = False
    machine: Machine = field(default=Machine())

    @property
    def tokens(self) -> int:
        return self.questions * (PROMPT + TARGETS)

    @property
    def trained(self) -> int:
        """The number of trained weights."""
        return self.student.layers * self.student.adapter(self.rank) if self.rank else self.student.parameters

    @property
    def shards(self) -> int:
        """The number of GPUs that weights, gradients and moments are spread over."""
        return self.gpus if self.way == "FSDP2" else 1


class Task(NamedTuple):
    """Work on a stream, begun when the tasks of these numbers are finished."""

    stream: Literal["gpu", "link"]
    seconds: float
    after: tuple[int, ...] = ()


@dataclass(frozen=True)
class Memory:
    """Bytes on a GPU."""

    states: float  # weights and moments, DDP's buckets
    gradients: float
    copies: float  # in bf16: autocast's, or gathered layers
    activations: float
    layer: float  # activations of one layer, alive until the end
    head: float  # a chunk of logits, the head's gradient

    @property
    def peak(self) -> float:
        """The larger of the ends of forward and backward pass: between them one falls as the other rises."""
        return self.states + max(self.copies + self.activations + self.head, self.gradients + self.layer)


def gather_seconds(size: float, gpus: int, machine: Machine) -> float:
    """Return the time until every GPU has all `size` bytes, by rings between nodes, then inside each.

    The GPUs are at most a node's, or whole nodes. A reduce-scatter takes as long, an all-reduce, which is both, twice.
    """
    inside = min(gpus, machine.node)
    between = (gpus // inside - 1) * (machine.network_latency + size / gpus / (machine.network * machine.achieved))
    return between + (inside - 1) * (machine.nvlink_latency + size / inside / (machine.nvlink * machine.achieved))


def compute(setup: Setup) -> tuple[float, float, float]:
    """Return the seconds of a layer's forward and backward pass, and of the head, which does both in the forward pass.

    A pass takes its FLOPs at the utilised peak, or the launch of its kernels, twice as many with LoRA.
    """
    student, machine = setup.student, setup.machine
    matrices = student.matrix_flops(setup.tokens)
    others = student.attention_flops(setup.questions, PROMPT + TARGETS) + 2 * setup.tokens * student.adapter(setup.rank)
    speed, launch = machine.peak * machine.utilisation, machine.launch * (2 if setup.rank else 1)
    forward = max((matrices + others) / speed, launch)
    # frozen weights need no gradient of their own
    backward = max((matrices * (1 if setup.rank else 2) + 2 * others) / speed, launch)
    head = student.head_flops(setup.questions * TARGETS) * (2 if setup.rank else 3) / speed
    return forward, backward + (forward if setup.checkpointing else 0), head


def gradients(setup: Setup) -> Iterator[tuple[float, int]]:
    """Yield the seconds that the backward pass takes for each gradient, in their order, and its size in weights."""
    student, (_, backward, _) = setup.student, compute(setup)
    sizes = [setup.rank * (a + b) for a, b in student.matrices]
    if not setup.rank:
        q, k, v, o, *feed_forward = (a * b for a, b in student.matrices)
        sizes = [student.width, q, k, v, o, student.width, *feed_forward]
        yield 0, student.width + (0 if student.tied else student.embedding)
    for size in reversed(sizes * student.layers):
        yield backward * size / sum(sizes), size
    if not setup.rank:  # a tied head's too is ready only now, for the embedding adds to it
        yield 0, student.embedding


def ddp_tasks(setup: Setup) -> list[Task]:
    """Return a step's tasks: a bucket of float32 gradients is reduced as soon as it is full."""
    (forward, _, head), bucket = compute(setup), 0
    tasks = [Task("gpu", setup.student.layers * forward + head)]

    def reduce() -> None:
        tasks.append(Task("link", 2 * gather_seconds(bucket, setup.gpus, setup.machine), (len(tasks) - 1,)))

    for seconds, size in gradients(setup):
        tasks.append(Task("gpu", seconds))
        bucket += 4 * size
        if bucket >= BUCKET:
            reduce()
            bucket = 0
    if bucket:
        reduce()
    return tasks


def fsdp_tasks(setup: Setup) -> list[Task]:
    """Return a step's tasks, all exchanges in bf16.

    Embedding and head are gathered once; a layer before its forward and before its backward pass, while the one before
    it computes. Its gradients are scattered after it.
    """
    student, (forward, backward, head) = setup.student, compute(setup)
    trained = student.adapter(setup.rank) if setup.rank else student.layer_parameters
    whole = student.layer_parameters + student.adapter(setup.rank)
    gather, scatter, outer = (
        gather_seconds(2 * size, setup.gpus, setup.machine) for size in (whole, trained, student.outer_parameters)
    )
    tasks = [Task("link", outer)]

    def add(stream: Literal["gpu", "link"], seconds: float, *after: int) -> int:
        tasks.append(Task(stream, seconds, after))
        return len(tasks) - 1

    previous = 0  # the task at whose end the pass of a layer begins
    for is_backward in (False, True):
        coming = add("link", gather, previous)
        for number in range(student.layers):
            gathered = coming
            if number + 1 < student.layers:
                coming = add("link", gather, previous)
            previous = add("gpu", backward if is_backward else forward, gathered)
            if is_backward:
                add("link", scatter, previous)
        if not is_backward:
            previous = add("gpu", head)
    if not setup.rank:
        add("link", outer, previous)
    return tasks


def finish_times(tasks: Sequence[Task]) -> list[float]:
    """Simulate the streams: return when each task ends; a stream takes its tasks in the order of the list."""
    ends: list[float] = []
    free: dict[str, float] = defaultdict(float)
    for task in tasks:
        free[task.stream] = max([free[task.stream], *(ends[number] for number in task.after)]) + task.seconds
        ends.append(free[task.stream])
    return ends


def memory(setup: Setup) -> Memory:
    """Return the bytes that a step needs; activations are those that autograd saves of transformers' Llama."""
    student, sharded = setup.student, setup.way == "FSDP2" and setup.gpus > 1
    width, trained = student.width, setup.trained
    # float32: input and normalised input of two norms; bf16: inputs of matrices, and each head's query, key and value
    saved = 34 * width + 8 * student.feed_forward + 8 + 4 * student.heads + 2 * (PROMPT + TARGETS)
    layer = setup.tokens * saved
    layers = setup.tokens * student.layers * 4 * width + layer if setup.checkpointing else student.layers * layer
    head_gradient = 0 if setup.rank else 4 * student.embedding
    logits = min(4 * setup.questions * TARGETS * student.vocabulary, setup.machine.memory / 64)
    adapters = student.layers * student.adapter(setup.rank)
    gathered = 2 * (2 * student.layer_parameters + student.outer_parameters)  # two layers in bf16
    buckets = 4 * trained if setup.way == "DDP" and setup.gpus > 1 else 0
    return Memory(
        states=(4 * (student.parameters + adapters) + 8 * trained) / setup.shards + buckets,
        gradients=4 * trained / setup.shards + head_gradient + (gathered if sharded and not setup.rank else 0),
        copies=gathered if sharded else 2 * (student.layers * student.layer_parameters + student.embedding),
        activations=layers + setup.tokens * (8 * width + 4),
        layer=layer,
        head=1.5 * logits + head_gradient,  # the gradient by the logits in bf16 beside them
    )


def fits(setup: Setup) -> bool:
    return memory(setup).peak <= setup.machine.memory - setup.machine.reserved


def largest(setup: Setup) -> int:
    """Return how many questions a GPU has memory for."""
    questions = 0
    while fits(replace(setup, questions=questions + 1)):
        questions += 1
    return questions


@dataclass(frozen=True)
class Estimate:
    """A step: its seconds, those of them that wait for exchanges and those of Adam; a GPU's peak memory in bytes."""

    setup: Setup
    seconds: float
    waiting: float
    adam: float
    memory: float

    @property
    def rate(self) -> float:
        """Questions a second on all GPUs."""
        return self.setup.questions * self.setup.gpus / self.seconds

    def cell(self) -> str:
        """Return milliseconds, with a star for gradient checkpointing."""
        return f"{1e3 * self.seconds:.0f}{'*' if self.setup.checkpointing else ''}"


def estimate(setup: Setup) -> Estimate:
    """Simulate a step, with gradient checkpointing where it does not fit otherwise; raise ValueError if not even so."""
    setup = setup if fits(setup) else replace(setup, checkpointing=True)
    if not fits(setup):
        raise ValueError(f"{memory(setup).peak / 1e9:.0f} GB do not fit on a GPU")
    tasks = fsdp_tasks(setup) if setup.way == "FSDP2" and setup.gpus > 1 else ddp_tasks(setup)
    machine, seconds = setup.machine, max(finish_times(tasks))
    waiting = seconds - sum(task.seconds for task in tasks if task.stream == "gpu")
    adam = ADAM_BYTES * setup.trained / setup.shards / (machine.memory_speed * machine.achieved)
    return Estimate(setup, seconds + adam, waiting, adam, memory(setup).peak)


def estimates(machine: Machine, *, weak: bool) -> dict[str, list[Estimate]]:
    """Return the estimates on each number of GPUs by student and training, a table's first two cells."""
    return {
        f"{name} | {training}": [
            estimate(Setup(student, way, gpus, WEAK if weak else STRONG // gpus, rank, machine=machine))
            for gpus in GPUS
        ]
        for name, student in STUDENTS.items()
        for training, (way, rank) in TRAININGS.items()
    }


def costs(machine: Machine) -> Iterator[list[str]]:
    """Yield the rows of what a whole job costs."""
    bills = [(f"teacher: {REPLIES:,} replies", TEACHER_GPUS, REPLIES * REPLY_TOKENS / TEACHER_SPEED)]
    for name, training, gpus in JOBS:
        way, rank = TRAININGS[training]
        step = estimate(Setup(STUDENTS[name], way, gpus, WEAK, rank, machine=machine))
        bills.append((f"{name}, {training}: {EPOCHS} epochs", gpus, EPOCHS * REPLIES / step.rate))
    for work, gpus, seconds in bills:
        hours = seconds / 3600
        yield [work, str(gpus), f"{hours:.2f}", f"{gpus * hours:.1f}", f"{gpus * hours * PRICE:.0f}"]


def table(header: str, rows: Iterable[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, " | ".join("---" for _ in header.split("|")), *(" | ".join(row) for row in rows)]
    return "".join(f"| {line} |\n" for line in lines)


def tables(machine: Machine) -> list[str]:
    """Return the tables of `docs/distributed.md`: a constant batch a GPU, a constant step, memory, costs."""
    weak, strong, room = [], [], []
    for name, steps in estimates(machine, weak=True).items():
        last, times = steps[-1], [step.cell() for step in steps]
        parts = [f"{1e3 * seconds:.0f}" for seconds in (last.waiting, last.adam)]
        weak.append([name, *times, *parts, f"{last.rate:,.0f}", f"{last.rate / steps[0].rate:.0f}"])
        setups = [replace(step.setup, checkpointing=False) for step in steps]
        most = [f"{largest(setup)} / {largest(replace(setup, checkpointing=True))}" for setup in setups]
        room.append([name, *(f"{memory(setup).peak / 1e9:.0f}" for setup in setups), *most])
    for name, steps in estimates(machine, weak=False).items():
        ratios = [f"{step.rate / steps[0].rate:.1f}" for step in steps[1:]]
        strong.append([name, *(step.cell() for step in steps), *ratios, f"{1e3 * steps[-1].waiting:.0f}"])
    return [
        table("student | training | ms on 1 GPU | on 8 | on 64 | waiting | Adam | questions/s | speed-up", weak),
        table("student | training | ms on 1 GPU | on 8 | on 64 | speed-up on 8 | on 64 | waiting", strong),
        table("student | training | GB on 1 GPU | on 8 | on 64 | questions on 1 GPU | on 8 | on 64", room),
        table("work | GPUs | hours | GPU-hours | dollars", costs(machine)),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, or every estimate as JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.scaling", description=__doc__)
    parser.add_argument("--json", action="store_true", help="every estimate with its setup")
    parser.add_argument("--utilisation", type=float, default=Machine.utilisation, help="share of the bf16 peak")
    parser.add_argument("--launch", type=float, default=Machine.launch, help="least seconds of a layer's pass")
    options = parser.parse_args(arguments)
    machine = Machine(utilisation=options.utilisation, launch=options.launch)
    if options.json:
        rows = {kind: estimates(machine, weak=kind == "weak") for kind in ("weak", "strong")}
        print(json.dumps(rows, default=asdict, indent=1))
    else:
        print("\n".join(tables(machine)), end="")


if __name__ == "__main__":
    main()
