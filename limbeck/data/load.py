"""Settings of a recipe's data, and the examples of a run."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

import numpy as np
from pydantic import Field, model_validator

from limbeck.data.examples import ExampleTable, has, take
from limbeck.data.generated import GeneratedSource
from limbeck.data.rows import Columns
from limbeck.data.sources import ArchiveSource, FilesSource, HubSource
from limbeck.data.splits import Keep, Labels, carve, count_overlap, sample, select
from limbeck.errors import DataError
from limbeck.schema import Example
from limbeck.settings import Settings
from limbeck.tasks import Split
from limbeck.tasks.numbers import read_number
from limbeck.tasks.settings import TaskSettings

log = logging.getLogger(__name__)

Source = Annotated[ArchiveSource | FilesSource | HubSource | GeneratedSource, Field(discriminator="kind")]


class RationaleSettings(Settings):
    """The choice among a question's rationales, for which its label counts once, whatever their number."""

    per_question: Literal["all", "random", "best"] = Field(
        "all", description="random: one drawn an epoch; best: the one that tells the reference most, else the first"
    )
    reference: Path | None = Field(None, description="a run of mi-bound, by which rationales are chosen")
    drop: float = Field(0.0, ge=0, lt=1, description="share of all rationales left out: those that tell it least")

    @model_validator(mode="after")
    def _check_reference(self) -> Self:
        if self.drop and self.reference is None:
            raise ValueError("`drop` needs a `reference`, a run of mi-bound")
        if self.reference is not None and not self.drop and self.per_question != "best":
            raise ValueError("only `drop` and `per_question: best` read a `reference`; leave it out")
        return self


class DataSettings(TaskSettings):
    """A task's data and the choice of training rows; its seed is not the run's, so runs share their splits."""

    source: Source | None = None  # None: the rows that `arithmetic` generates
    labels: Labels = "gold"
    keep: Keep = "all"  # correct: only rationales with a right teacher label
    rationales: RationaleSettings | None = None  # None: all of a question's
    mentor: Path | None = Field(None, description="a run, whose student's probabilities of choices replace votes")
    train_fraction: float = Field(1.0, gt=0, le=1)  # of the training rows; smaller lie inside larger ones
    test_fraction: float = Field(0.1, gt=0, lt=1)  # of the rows, for a source without test split
    valid_fraction: float = Field(0.1, gt=0, lt=1)  # of the training rows, for a source without validation
    # real data sets have 0.0015 at most
    max_overlap: float = Field(0.01, ge=0, le=1, description="share of a split's questions that another may have too")
    limit: int | None = Field(None, ge=1)  # rows of each split, smaller ones inside larger
    seed: int = 0

    @property
    def carves_splits(self) -> bool:
        """True where a run holds out the splits that the source lacks."""
        return isinstance(self.source, FilesSource | HubSource)

    @property
    def columns(self) -> Columns:
        return getattr(self.source, "columns", {})

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.task != "arithmetic" and (self.source is None or isinstance(self.source, GeneratedSource)):
            raise ValueError(f"task {self.task!r} needs a source: say where its rows are")
        return self


@dataclass(frozen=True)
class Splits:
    """The examples of a run; `notes` are counts by the keys of `limbeck.notes`."""

    train: Sequence[Example]
    valid: Sequence[Example]
    test: Sequence[Example]
    notes: dict[str, int]


def read(settings: DataSettings) -> Mapping[str, Sequence[Example]]:
    """Return the source's splits, without rows that lack a label."""
    return _labelled(settings)[0]


def _labelled(settings: DataSettings) -> tuple[dict[str, Sequence[Example]], int]:
    splits, unlabelled = dict[str, Sequence[Example]](), 0
    for name, rows in (settings.source or GeneratedSource()).read(settings.get_task()).items():
        labelled = has(rows, "label")
        splits[name] = examples = rows if labelled.all() else take(rows, np.flatnonzero(labelled))
        if not examples:
            raise DataError(f"task {settings.task!r}: no row of the split {name!r} has a label")
        if count := len(rows) - len(examples):
            log.warning("%s: %d of %d rows have no label and are left out", name, count, len(rows))
        unlabelled += count
        free_text = settings.task == "custom" and settings.answer == "text" and not has(examples, "choices").any()
        if free_text and all(read_number(row.label) is not None for row in examples):
            log.warning("all labels are numbers, compared as texts unless you set `answer: number`")
    return splits, unlabelled


def load(settings: DataSettings) -> Splits:
    """Return the examples of a run: `read`, with missing splits carved from train, and the training rows chosen."""
    splits, unlabelled = _labelled(settings)
    if "train" in splits and "test" not in splits and settings.carves_splits:
        splits["train"], splits["test"] = carve(splits["train"], settings.test_fraction, settings.seed, "test")
    for split in ("train", "test"):
        if split not in splits:
            raise DataError(f"task {settings.task!r}: its source has no split {split!r}, only {', '.join(splits)}")
    if "valid" not in splits:
        splits["train"], splits["valid"] = carve(splits["train"], settings.valid_fraction, settings.seed, "validation")
    count = max(1, round(settings.train_fraction * len(splits["train"])))
    splits["train"] = sample(splits["train"], count, f"fraction {settings.seed}")
    task, order = settings.get_task(), f"limit {settings.seed}"
    samples = {split: sample(splits[split], settings.limit, order) for split in get_args(Split)}
    notes = count_overlap(samples, task)  # by the gold labels
    train, valid, test = samples.values()
    if isinstance(settings.source, ArchiveSource):  # every row has an output
        notes["unparsed"] = int((~has(train, "rationale") | ~has(train, "teacher_label")).sum())
    train, changes = select(train, task, settings.labels, settings.keep)
    if not train:
        raise DataError(f"task {settings.task!r}: no training rows are left; lower the fractions, or add rows")
    unexplained = int((~has(train, "rationale")).sum())
    notes |= {**changes, "rows_without_label": unlabelled, "rows_without_rationale": unexplained}
    return Splits(_frozen(train), _frozen(valid), _frozen(test), notes)


def _frozen(examples: Sequence[Example]) -> Sequence[Example]:
    return examples if isinstance(examples, ExampleTable) else tuple(examples)


def load_split(settings: DataSettings, split: Split) -> Sequence[Example]:
    """Return one split of `load`; of an archive, the test split is read alone."""
    source = settings.source
    roles = isinstance(source, ArchiveSource) and (source.splits or {"test": "test"})
    if not (split == "test" and source and roles and "test" in roles):
        return _frozen(getattr(load(settings), split))
    test = source.model_copy(update={"splits": {"test": roles["test"]}})
    rows = read(settings.model_copy(update={"source": test}))["test"]
    return _frozen(sample(rows, settings.limit, f"limit {settings.seed}"))
