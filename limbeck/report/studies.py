"""Case studies, and the results of a paper that a report shows beside its own sections."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from limbeck.grids import Grid
from limbeck.report.cases import Case
from limbeck.report.tables import Figure, Table
from limbeck.runs.run import Run

Failed = Callable[[str], str | None]  # by the name of a run, the first line of its error


@dataclass(frozen=True, slots=True)
class Kind:
    """Examples on which two methods differ in one way: how many there are, and those that were picked."""

    name: str
    count: int
    picked: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """The case study of a task. Without `kinds`, `reason` says why there is none."""

    name: str  # figure4
    title: str
    task: str
    rule: str
    examples: int = 0
    kinds: tuple[Kind, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PaperResults:
    """Tables, figures and case studies of a paper, made of the runs of its grids."""

    items: tuple[Table | Figure, ...] = ()
    studies: tuple[Study, ...] = ()


Paper = Callable[[Sequence[Run], Sequence[Grid], Failed], PaperResults]
