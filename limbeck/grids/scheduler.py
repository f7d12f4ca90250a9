"""Cells of grids trained several at a time."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from limbeck.grids.folder import SETTLED, CellState, GridFolder, cell_state, states
from limbeck.grids.grid import Grid
from limbeck.grids.worker import CellTask, LocalWorkers

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from limbeck.grids.ray import RayJob, RayWorkers

POLL_SECONDS = 0.2
Watch = Callable[[Sequence[CellState]], None]


def run_grid(
    grids: Sequence[Grid],
    out: Path | str = "runs",
    *,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    retry: bool = False,
    watch: Watch = lambda _: None,
) -> list[CellState]:
    """Train every cell of the grids that is not finished, several at a time, each in a folder of its own below `out`.

    Any number of processes and machines may run grids with one `out`: each cell is trained by one of them, and if that
    one dies by another. Finished cells are never trained again, failed ones only with `retry`; both that and an
    interrupted cell continue from the last checkpoint. A script that calls this needs `if __name__ == "__main__":`.

    Args:
        grids: grids; cells that they share are trained once.
        out: folder of the runs.
        workers: cells at a time; None: as many as the engine thinks fit.
        engine: local: processes of this machine; ray: the cluster at RAY_ADDRESS, or one started here.
        retry: train failed cells again.
        watch: called with all states several times a second.

    Raises:
        LimbeckError: as `states`, `out` cannot be written, or the engine does not start.
        KeyboardInterrupt: at Ctrl-C, once everything has stopped.
    """
    folder = GridFolder(Path(out))
    board = {state.cell.name: state for state in states(grids, folder.out)}
    for grid in grids:
        folder.write_grid(grid)
    for name, state in board.items():
        if retry and state.status == "failed":
            folder.failure(name).unlink(missing_ok=True)
            board[name] = cell_state(folder, state.cell)
    if any(state.status not in SETTLED for state in board.values()):
        if engine == "ray":
            from limbeck.grids.ray import RayWorkers
        pool = RayWorkers(workers) if engine == "ray" else LocalWorkers(workers)
        try:
            _work(board, folder, pool, watch)
        finally:
            pool.close()
    watch(list(board.values()))
    return list(board.values())


def _work(board: dict[str, CellState], folder: GridFolder, pool: "LocalWorkers | RayWorkers", watch: Watch) -> None:
    """Train cells until all on the board have finished or failed, here or in other processes."""
    jobs: dict[int, tuple[str, BaseProcess | RayJob]] = {}  # by slot
    while any(state.status not in SETTLED for state in board.values()):
        for slot, (name, job) in list(jobs.items()):
            if not job.is_alive():
                del jobs[slot]
                if job.exitcode != 0:
                    folder.fail(name, f"its process died ({job.exitcode}), perhaps for lack of memory")
        running = {name for name, _ in jobs.values()}
        for name, state in board.items():
            if state.status in SETTLED or name in running:
                continue
            board[name] = cell_state(folder, state.cell)
            free_slots = [slot for slot in range(pool.slots) if slot not in jobs]
            if board[name].status == "waiting" and free_slots:
                task = CellTask(name, state.cell.recipe.resolved(), str(folder.out), str(Path.cwd()))
                jobs[free_slots[0]] = name, pool.start(free_slots[0], task)
                board[name] = cell_state(folder, state.cell, "running")
        watch(list(board.values()))
        time.sleep(POLL_SECONDS)
