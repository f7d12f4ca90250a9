"""Running grids: cells handed out, outcomes taken in, until every cell has ended, here or in another process."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from limbeck.grids.board import Board, State, states
from limbeck.grids.cluster import RayEngine
from limbeck.grids.engine import Engine
from limbeck.grids.folders import Folders
from limbeck.grids.grid import Grid
from limbeck.grids.local import LocalEngine

POLL_SECONDS = 0.5

EngineName = Literal["local", "ray"]


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
    board = Board(states(grids, Path(out)), Folders(Path(out)))
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


def _work(board: Board, engine: Engine, watch: Callable[[Sequence[State]], None]) -> None:
    while board.open():
        board.look()
        while board.count("running") < engine.slots and (job := board.claim()):
            engine.start(job)
        watch(board.states)
        for name, outcome in engine.ended(POLL_SECONDS):
            board.take_in(name, outcome)


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
