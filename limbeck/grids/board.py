"""How the cells of grids stand: read from their folders, and kept while they are trained."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from limbeck.errors import LimbeckError
from limbeck.grids.attempt import Job, Outcome
from limbeck.grids.cells import Cell, cells
from limbeck.grids.folders import Folders, Status
from limbeck.grids.grid import Grid

MOST_LOST = 2  # processes that may die over a cell before it counts as failed


@dataclass(frozen=True)
class State:
    """How a cell stands, and since when (of `time.monotonic`), or how many seconds it took, if that was seen here."""

    cell: Cell
    path: Path
    status: Status
    error: str | None = None
    since: float | None = None
    seconds: float | None = None


def states(grids: Sequence[Grid], out: Path) -> list[State]:
    """How every cell of the grids stands below `out`, as its folders and locks say.

    Raises:
        LimbeckError: as `cells`; or two grids have one name.
    """
    if twice := [name for name, count in Counter(grid.name for grid in grids).items() if count > 1]:
        raise LimbeckError(f"two grids are called {twice[0]!r}: give one of them another `name`")
    folders = Folders(out)
    found = {cell.name: cell for grid in grids for cell in cells(grid)}
    statuses = {name: folders.status(name) for name in found}
    return [
        State(cell, folders.run(name), statuses[name], folders.error(name) if statuses[name] == "failed" else None)
        for name, cell in found.items()
    ]


class Board:
    """The states of all cells. Those that wait are in `_waiting` too, in the order of their turns."""

    def __init__(self, found: Sequence[State], folders: Folders) -> None:
        self.folders = folders
        self._states = {state.cell.name: state for state in found}
        self._waiting = [name for name, state in self._states.items() if state.status == "waiting"]
        self._lost: Counter[str] = Counter()

    @property
    def states(self) -> list[State]:
        return list(self._states.values())

    def count(self, status: Status) -> int:
        return sum(state.status == status for state in self._states.values())

    def open(self) -> bool:
        """Whether any cell has not ended."""
        return self.count("finished") + self.count("failed") < len(self._states)

    def forget_failures(self) -> None:
        for name, state in self._states.items():
            if state.status == "failed":
                self.folders.forget_failure(name)
                self._set(name, "waiting")

    def look(self) -> None:
        """See what other processes have made of the cells that they hold."""
        for name, state in self._states.items():
            if state.status == "elsewhere" and (status := self.folders.status(name)) != "elsewhere":
                self._set(name, status)

    def claim(self) -> Job | None:
        """The next cell to be attempted, now `running`; None: all that wait are taken."""
        while self._waiting:
            name = self._waiting.pop(0)
            if (status := self.folders.status(name)) != "waiting":  # another process was faster
                self._set(name, status)
                continue
            self._states[name] = replace(self._states[name], status="running", since=time.monotonic())
            recipe = self._states[name].cell.recipe.resolved()
            return Job(name, recipe, str(self.folders.out), str(Path.cwd()))
        return None

    def take_in(self, name: str, outcome: Outcome) -> None:
        """What came of an attempt; a cell whose process died twice has failed."""
        if outcome.kind == "held":
            self._set(name, "elsewhere")
        elif outcome.kind == "lost":
            self._lost[name] += 1
            again = self._lost[name] < MOST_LOST
            self._set(name, "waiting") if again else self._fail(name, f"{outcome.error}, {MOST_LOST} times")
        elif outcome.kind == "failed" and not self.folders.failure(name).exists():
            self._fail(name, outcome.error or "failed")  # a machine that could not say so here
        else:
            self._set(name, outcome.kind)

    def _fail(self, name: str, error: str) -> None:
        self.folders.fail(name, error)
        self._set(name, "failed")

    def _set(self, name: str, status: Status) -> None:
        """A status other than running."""
        before = self._states[name]
        error = self.folders.error(name) if status == "failed" else None
        seconds = None if before.since is None else time.monotonic() - before.since
        self._states[name] = replace(before, status=status, error=error, since=None, seconds=seconds)
        if status == "waiting":
            self._waiting.append(name)
