"""Cells of grids trained several at a time, each in a process of its own."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from filelock import Timeout

from limbeck.errors import LimbeckError
from limbeck.grids.folder import SETTLED, CellState, GridFolder, cell_state, states
from limbeck.grids.grid import Grid
from limbeck.runs.run import InUseError

POLL_SECONDS = 0.2
Watch = Callable[[Sequence[CellState]], None]


@dataclass(frozen=True)
class CellTask:
    """A cell as plain values, for another process."""

    name: str
    recipe: dict[str, Any]
    out: str
    working_folder: str  # relative paths in the recipe start here


class Job(Protocol):
    """A process that trains a cell."""

    def is_alive(self) -> bool: ...

    @property
    def exitcode(self) -> int | str | None:
        """0 where it ended by itself, else a number or a text that says how it died."""


class Workers(Protocol):
    """A machine, or several, on which cells are trained."""

    slots: int  # cells at a time

    def start(self, slot: int, task: CellTask) -> Job:
        """Run `train_cell` in a new process; no other runs in this slot."""

    def close(self) -> None:
        """Stop whatever still runs; checkpoints stay."""


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
            folder.failure(name).unlink()
            board[name] = cell_state(folder, state.cell)
    if any(state.status not in SETTLED for state in board.values()):
        pool = _start(engine, workers)
        try:
            _work(board, folder, pool, watch)
        finally:
            pool.close()
    watch(list(board.values()))
    return list(board.values())


def _start(engine: str, workers: int | None) -> Workers:
    if engine == "ray":
        from limbeck.grids.ray import RayWorkers

        return RayWorkers(workers)
    return LocalWorkers(workers)


def _work(board: dict[str, CellState], folder: GridFolder, pool: Workers, watch: Watch) -> None:
    """Train cells until all on the board have finished or failed, here or in other processes."""
    jobs: dict[int, tuple[str, Job]] = {}  # by slot
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
            slot = next((slot for slot in range(pool.slots) if slot not in jobs), None)
            if board[name].status == "waiting" and slot is not None:
                task = CellTask(name, state.cell.recipe.resolved(), str(folder.out), str(Path.cwd()))
                jobs[slot] = name, pool.start(slot, task)
                board[name] = cell_state(folder, state.cell, "running")
        watch(list(board.values()))
        time.sleep(POLL_SECONDS)


def train_cell(task: CellTask) -> None:
    """Train a cell unless another process does or has; its folder says how it ended. The lock is held throughout.

    Raises:
        LimbeckError: the folder is not there, or the failure could not be recorded.
    """
    os.chdir(task.working_folder)
    folder = GridFolder(Path(task.out))
    if not folder.grids.is_dir():
        raise LimbeckError("missing here: the machines of a grid have to share a file system", path=folder.out)
    try:
        with folder.lock(task.name).acquire(timeout=0):
            if folder.outcome(task.name) is None:
                log_to(folder.log(task.name))
                _train(task, folder)
    except Timeout:
        return


def _train(task: CellTask, folder: GridFolder) -> None:
    from limbeck.runs.recipe import Recipe
    from limbeck.runs.training import train

    try:
        train(Recipe.parse(task.recipe, task.name), folder.out / task.name, resume=True)
    except InUseError:  # `limbeck train` has the run
        return
    except Exception as error:
        traceback.print_exc()
        message = str(error) if isinstance(error, LimbeckError) else f"{type(error).__name__}: {error}"
        folder.fail(task.name, message, traceback.format_exc())


def log_to(path: Path) -> None:
    """Send everything that this process prints or logs from now on to the end of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        for number, printed in ((1, sys.stdout), (2, sys.stderr)):
            printed.flush()
            os.dup2(stream.fileno(), number)
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("limbeck").setLevel(logging.INFO)


class LocalWorkers:
    """Processes of this machine, forked from a server that has imported the libraries.

    Without a number of workers there is one a GPU, or one for two cores: a small student keeps no more busy. Each
    process sees one GPU and has its share of the cores as threads, unless OMP_NUM_THREADS is set.
    """

    def __init__(self, workers: int | None) -> None:
        self._gpus = _gpus()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.slots = workers or len(self._gpus) or max(1, cores // 2)
        self.threads = max(1, cores // self.slots)
        self._context = multiprocessing.get_context("forkserver")
        if sys.platform == "linux":  # elsewhere libraries do not survive a fork
            self._context.set_forkserver_preload(["limbeck.runs.training"])
        self._processes: list[multiprocessing.process.BaseProcess] = []

    def gpu(self, slot: int) -> str | None:
        """Return the GPU of a slot, by its name in CUDA_VISIBLE_DEVICES."""
        return self._gpus[slot % len(self._gpus)] if self._gpus else None

    def start(self, slot: int, task: CellTask) -> Job:
        process = self._context.Process(target=_run, args=(task, self.gpu(slot), self.threads), daemon=True)
        # A Ctrl-C on the terminal reaches every process of its group; only this one decides what it means.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._processes = [*(earlier for earlier in self._processes if earlier.is_alive()), process]
        return process

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()


def _run(task: CellTask, gpu: str | None, threads: int) -> None:
    """Train a cell in this process, which ends with the one that started it, even with a killed one."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    if "OMP_NUM_THREADS" not in os.environ:
        import torch

        torch.set_num_threads(threads)
    train_cell(task)


def _gpus() -> list[str]:
    """Return the GPUs of this machine by their names in CUDA_VISIBLE_DEVICES."""
    import torch

    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]
