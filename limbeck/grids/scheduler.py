"""Cells of grids trained several at a time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

from limbeck.grids.folder import CellState, GridFolder, states
from limbeck.grids.grid import Grid
from limbeck.grids.workers import LocalWorkers, RayJob, RayWorkers

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
    """Train every unfinished cell of the grids, several at a time, each in its folder below `out`.

    Processes and machines may share `out`: one of them trains a cell, and if it dies another. With `retry` also failed
    cells are trained; they and interrupted ones go on from their last checkpoint. `watch` is called with all states
    several times a second. Raises LimbeckError as `states`, or where the engine does not start;
    KeyboardInterrupt once everything has stopped. Scripts need `if __name__ == "__main__":`.
    """
    folder = GridFolder(Path(out))
    board = states(grids, folder.out)
    for grid in grids:
        folder.write_grid(grid)
    if retry:
        for state in board:
            folder.failure(state.cell.name).unlink(missing_ok=True)
        board = states(grids, folder.out)
    if not all(state.settled for state in board):
        gpus = max(state.cell.gpus for state in board)
        pool = RayWorkers(workers, gpus) if engine == "ray" else LocalWorkers(workers, gpus)
        try:
            _work(board, folder, pool, watch)
        finally:
            pool.close()
    watch(board)
    return board


def _work(board: list[CellState], folder: GridFolder, pool: LocalWorkers | RayWorkers, watch: Watch) -> None:
    """Train cells until all are settled, here or elsewhere; update the board."""
    jobs: dict[int, tuple[str, BaseProcess | RayJob]] = {}  # by slot
    while not all(state.settled for state in board):
        for slot, (name, job) in list(jobs.items()):
            if not job.is_alive():
                del jobs[slot]
                if job.exitcode != 0:
                    died = f"its process died ({job.exitcode}), perhaps for lack of memory"
                    folder.fail(name, job.exitcode if isinstance(job.exitcode, str) else died)
        running = {name for name, _ in jobs.values()}
        for position, cell in enumerate(state.cell for state in board):
            if board[position].settled or cell.name in running:
                continue
            state = folder.state(cell)
            free_slots = [slot for slot in range(pool.slots) if slot not in jobs]
            if state.status == "waiting" and free_slots:
                jobs[free_slots[0]] = cell.name, pool.start(free_slots[0], cell, folder.out)
                state = replace(state, status="running")
            board[position] = state
        watch(board)
        time.sleep(POLL_SECONDS)
