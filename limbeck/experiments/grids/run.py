"""Running grids: cells handed out, outcomes taken in, until every cell has ended, here or in another process."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from limbeck.errors import LimbeckError
from limbeck.experiments.grids.attempt import Job, Outcome
from limbeck.experiments.grids.cells import Cell, cells
from limbeck.experiments.grids.cluster import RayEngine
from limbeck.experiments.grids.engine import Engine
from limbeck.experiments.grids.folders import Folders, Status
from limbeck.experiments.grids.grid import Grid
from limbeck.experiments.grids.local import LocalEngine

POLL_SECONDS = 0.5
MOST_LOST = 2  # processes that may die over a cell before it counts as failed

EngineName = Literal["local", "ray"]


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


def run_grid(
    grids: Sequence[Grid],
    out: Path | str = "runs",
    workers: int | None = None,
    engine: EngineName = "local",
    retry: bool = False,
    watch: Callable[[Sequence[State]], None] = lambda _: None,
) -> list[State]:
    """Train every cell of the grids that is not finished, several at a time, each in a folder of its own below `out`.

    Any number of processes may run grids with the same `out`, on one machine or on several that share it: each cell is
    trained by one of them, and when that one dies by another. A finished cell is never trained again; one that failed
    is only with `retry`. What was interrupted goes on from its last checkpoint.

    Args:
        grids: cells that they share are trained once.
        out: the folder of the runs.
        workers: how many cells at a time; None: as many as the engine thinks fit.
        engine: local: processes of this machine; ray: the Ray cluster that RAY_ADDRESS names, or one started here.
        retry: train failed cells again.
        watch: called with all states, again and again.

    Returns:
        The states: finished or failed.

    Raises:
        LimbeckError: as `states`, `out` cannot be written, or the engine does not start.
        KeyboardInterrupt: at the first Ctrl-C or SIGTERM, once everything has stopped.
    """
    board = _Board(states(grids, Path(out)), Folders(Path(out)))
    for grid in grids:
        board.folders.write_grid(grid)
    if retry:
        board.forget_failures()
    if board.open():
        with _interruptible():
            hired = RayEngine(workers) if engine == "ray" else LocalEngine(workers, board.folders.log("workers"))
            try:
                _work(board, hired, watch)
            finally:
                hired.close()
    watch(board.states)
    return board.states


def _work(board: "_Board", engine: Engine, watch: Callable[[Sequence[State]], None]) -> None:
    while board.open():
        board.look()
        while board.count("running") < engine.slots and (job := board.claim()):
            engine.start(job)
        watch(board.states)
        for name, outcome in engine.ended(POLL_SECONDS):
            board.take_in(name, outcome)


class _Board:
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


@contextmanager
def _interruptible() -> Iterator[None]:
    """The first Ctrl-C or polite kill raises KeyboardInterrupt; those that follow, while all is stopped, do nothing."""
    met = False

    def once(_number: int, _frame: Any) -> None:
        nonlocal met
        if not met:
            met = True
            raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()
    heeded = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, once) for number in heeded if here}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
