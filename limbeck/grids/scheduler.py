"""Cells of grids trained several at a time: what is finished is in the cells' folders, and nowhere else.

OUT/RUN/                a run; RUN/.lock is held while it is trained, by a grid or by `limbeck train`
OUT/grids/NAME.yaml     the last grid of that name that was run here, its recipe in it
OUT/failed/RUN.json     error and traceback of a cell's last attempt
OUT/logs/RUN.log        everything that was printed and logged while it was trained
OUT/.locks/RUN.lock     held by the process that is at the cell, so that no cell is ever trained twice
"""

import gc
import json
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml
from filelock import FileLock, Timeout

from limbeck.errors import LimbeckError, first_line
from limbeck.files import read_json, write_text
from limbeck.grids.grid import Grid, GridCell, cells
from limbeck.runs.run import LOCK, InUseError

Status = Literal["finished", "failed", "running", "elsewhere", "waiting"]  # elsewhere: in another process

POLL_SECONDS = 0.5
MAX_DEATHS = 2  # processes that may die over a cell before it counts as failed
PER_PROCESS = ("full_determinism", "tf32")  # training settings that transformers sets for the whole process


class GridFolder:
    """The folder of a grid's runs, with what it tells of each cell."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.grids = out / "grids"

    def log(self, name: str) -> Path:
        return self.out / "logs" / f"{name}.log"

    def failure(self, name: str) -> Path:
        return self.out / "failed" / f"{name}.json"

    def lock(self, name: str) -> FileLock:
        """Return the lock on a cell; the system releases it when its process ends, however it ends."""
        return FileLock(self.out / ".locks" / f"{name}.lock")

    def settled(self, name: str) -> Literal["finished", "failed"] | None:
        if (self.out / name / "results.json").exists():
            return "finished"
        return "failed" if self.failure(name).exists() else None

    def status(self, name: str) -> Status:
        """Return the state of a cell; `elsewhere`: any process holds it."""
        if self.settled(name) == "finished":
            return "finished"
        if _is_held(self.lock(name)) or _is_held(FileLock(self.out / name / LOCK)):
            return "elsewhere"
        return self.settled(name) or "waiting"

    def error(self, name: str) -> str | None:
        """Return the first line of a cell's error, printable whatever it quotes; None: it has not failed."""
        if not self.failure(name).exists():
            return None
        try:
            error = str(read_json(self.failure(name))["error"])
        except (LimbeckError, KeyError, TypeError):
            error = ""
        line = error.strip().partition("\n")[0] or f"see {self.failure(name)}"
        return "".join(letter if letter.isprintable() else " " for letter in line)

    def fail(self, name: str, error: str, trace: str = "") -> None:
        """Record a failure. Raises LimbeckError where the folder cannot be written."""
        record = {"error": error, "traceback": trace or None, "when": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        write_text(self.failure(name), json.dumps(record, indent=2) + "\n")  # in ASCII: any text can be written

    def write_grid(self, grid: Grid) -> None:
        """Write the grid beside its runs, for `Grid.load` and the report. Raises LimbeckError where that fails."""
        text = yaml.safe_dump(grid.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        write_text(self.grids / f"{grid.name}.yaml", text)

    def step(self, name: str) -> int | None:
        """Return the last step that a run has logged; None: none yet."""
        with suppress(OSError), (self.out / name / "log.jsonl").open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 4096))
            for line in reversed(stream.read().splitlines()):
                with suppress(ValueError, KeyError, TypeError):  # half a line
                    return int(json.loads(line)["step"])
        return None


@dataclass(frozen=True)
class CellState:
    """A cell, its run's folder and its status; the first line of its error where it failed."""

    cell: GridCell
    path: Path
    status: Status
    error: str | None = None


def states(grids: Sequence[Grid], out: Path) -> list[CellState]:
    """Return the state of every cell of the grids below `out`.

    Raises:
        LimbeckError: as `cells`; or two grids have one name.
    """
    names = Counter(grid.name for grid in grids)
    if duplicates := [name for name, count in names.items() if count > 1]:
        raise LimbeckError(f"two grids are called {duplicates[0]!r}: give one of them another `name`")
    folder = GridFolder(out)
    by_name = {cell.name: cell for grid in grids for cell in cells(grid)}
    return [_state(folder, cell, folder.status(cell.name)) for cell in by_name.values()]


def _state(folder: GridFolder, cell: GridCell, status: Status) -> CellState:
    error = folder.error(cell.name) if status == "failed" else None
    return CellState(cell, folder.out / cell.name, status, error)


@dataclass(frozen=True)
class CellTask:
    """A cell as plain values, for another process."""

    name: str
    recipe: dict[str, Any]
    out: str
    working_folder: str  # relative paths in the recipe start here


class Workers(Protocol):
    """Processes that train cells; slot numbers from 0, one task a slot at a time."""

    slots: int

    def submit(self, slot: int, task: CellTask) -> Future[bool]:
        """Run `train_cell` somewhere; the future has an exception if its process died."""

    def close(self) -> None:
        """Stop whatever still runs; checkpoints stay."""


def run_grid(
    grids: Sequence[Grid],
    out: Path | str = "runs",
    *,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    retry: bool = False,
    watch: Callable[[Sequence[CellState]], None] = lambda _: None,
) -> list[CellState]:
    """Train every cell of the grids that is not finished, several at a time, each in a folder of its own below `out`.

    Any number of processes and machines may run grids with one `out`: each cell is trained by one of them, and if that
    one dies by another. Finished cells are never trained again, failed ones only with `retry`; interrupted ones go on
    from their last checkpoint. As always with processes that are spawned, a script that calls this needs
    `if __name__ == "__main__":`.

    Args:
        grids: grids; cells that they share are trained once.
        out: folder of the runs.
        workers: cells at a time; None: as many as the engine thinks fit.
        engine: local: processes of this machine; ray: the cluster at RAY_ADDRESS, or one started here.
        retry: train failed cells again.
        watch: called with all states about twice a second.

    Raises:
        LimbeckError: as `states`, `out` cannot be written, or the engine does not start.
        KeyboardInterrupt: at the first Ctrl-C or SIGTERM, once everything has stopped.
    """
    folder = GridFolder(Path(out))
    initial = states(grids, folder.out)
    for grid in grids:
        folder.write_grid(grid)
    if retry:
        for state in initial:
            folder.failure(state.cell.name).unlink(missing_ok=True)
        initial = states(grids, folder.out)
    board = {state.cell.name: state for state in initial}
    if not _all_settled(board):
        with _interruptible():
            pool = _start(engine, workers, folder)
            try:
                _work(board, folder, pool, watch)
            finally:
                pool.close()
    watch(list(board.values()))
    return list(board.values())


def _start(engine: str, workers: int | None, folder: GridFolder) -> Workers:
    if engine == "ray":
        from limbeck.grids.ray import RayWorkers

        return RayWorkers(workers)
    return LocalWorkers(workers, folder.log("workers"))


def _all_settled(board: dict[str, CellState]) -> bool:
    return all(state.status in ("finished", "failed") for state in board.values())


def _work(
    board: dict[str, CellState], folder: GridFolder, pool: Workers, watch: Callable[[Sequence[CellState]], None]
) -> None:
    running: dict[Future[bool], tuple[int, str]] = {}
    free_slots = list(reversed(range(pool.slots)))
    deaths: Counter[str] = Counter()
    while not _all_settled(board):
        busy = {name for _, name in running.values()}
        for name, state in board.items():
            if name in busy or state.status in ("finished", "failed"):
                continue
            status = folder.status(name)
            if status == "waiting" and free_slots:
                slot = free_slots.pop()
                task = CellTask(name, state.cell.recipe.resolved(), str(folder.out), str(Path.cwd()))
                running[pool.submit(slot, task)] = slot, name
                status = "running"
            board[name] = _state(folder, state.cell, status)
        watch(list(board.values()))
        if not running:
            time.sleep(POLL_SECONDS)
            continue
        for future in wait(running, POLL_SECONDS, FIRST_COMPLETED).done:
            slot, name = running.pop(future)
            free_slots.append(slot)
            if isinstance(error := future.exception(), Exception):
                deaths[name] += 1
                if isinstance(error, LimbeckError):
                    folder.fail(name, str(error))
                elif deaths[name] >= MAX_DEATHS:
                    folder.fail(name, f"{first_line(error)}, {MAX_DEATHS} times (out of memory?)")
            board[name] = _state(folder, board[name].cell, folder.status(name))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first Ctrl-C or SIGTERM, and ignore those that follow while all is stopped."""
    interrupted = False

    def interrupt(_number: int, _frame: Any) -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            raise KeyboardInterrupt

    main_thread = threading.current_thread() is threading.main_thread()
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    handlers = {number: signal.signal(number, interrupt) for number in numbers if main_thread}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def train_cell(task: CellTask) -> bool:
    """Train a cell unless another process does or has; return whether this process may train another one.

    The cell's folder says how it ended; the lock is held throughout.

    Raises:
        LimbeckError: the folder is not there, or the failure could not be recorded.
    """
    if not (Path(task.working_folder) / task.out / "grids").is_dir():
        host = socket.gethostname()
        raise LimbeckError(f"{task.out} is missing on {host}: the machines of a grid have to share a file system")
    os.chdir(task.working_folder)
    folder = GridFolder(Path(task.out))
    try:
        with folder.lock(task.name).acquire(timeout=0):
            return folder.settled(task.name) is not None or _train(task, folder)
    except Timeout:
        return True


def _train(task: CellTask, folder: GridFolder) -> bool:
    log_to(folder.log(task.name))
    reusable = not any(setting in task.recipe["training"] for setting in PER_PROCESS)
    try:
        from limbeck.runs.recipe import Recipe
        from limbeck.runs.training import train

        train(Recipe.parse(task.recipe, task.name), folder.out / task.name, resume=True)
    except InUseError:  # `limbeck train` has the run
        return reusable
    except (Exception, SystemExit) as error:
        user_error = isinstance(error, LimbeckError)
        traceback.print_exc()
        message = str(error) if user_error else f"{type(error).__name__}: {error}".strip()
        folder.fail(task.name, message, traceback.format_exc())
        return reusable and user_error and error.__cause__ is None  # an error of CUDA's may stay for good
    folder.failure(task.name).unlink(missing_ok=True)
    gc.collect()  # trainers are held by cycles, and the next student needs their memory
    return reusable


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
    """Processes of this machine, started when there is work for them; a slot whose process died gets another one.

    Without a number one a GPU, or one for two cores: a small student keeps no more busy. Each process sees one GPU and
    has its share of the cores as threads, unless OMP_NUM_THREADS is set.
    """

    def __init__(self, workers: int | None, log: Path) -> None:
        self._gpus = _gpus()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.slots = workers or len(self._gpus) or max(1, cores // 2)
        self._threads = max(1, cores // self.slots)
        self._log = log
        self._executors: dict[int, ProcessPoolExecutor] = {}  # by slot, each of one process
        self._processes: dict[int, set[Any]] = {}
        self._last: dict[int, Future[bool]] = {}

    def submit(self, slot: int, task: CellTask) -> Future[bool]:
        last = self._last.get(slot)
        alive = all(process.is_alive() for process in self._processes.get(slot, ()))
        if last is not None and (last.exception() is not None or not last.result() or not alive):
            self._stop(slot)
        # A Ctrl-C on the terminal reaches every process of its group; only this one decides what it means.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        environment = dict(os.environ)
        os.environ.setdefault("OMP_NUM_THREADS", str(self._threads))
        if self._gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = self._gpus[slot % len(self._gpus)]
        before = set(multiprocessing.active_children())
        try:
            if slot not in self._executors:
                context = multiprocessing.get_context("spawn")
                self._executors[slot] = ProcessPoolExecutor(1, context, initializer=_begin, initargs=(self._log,))
            self._last[slot] = future = self._executors[slot].submit(train_cell, task)  # the first starts the process
        finally:
            self._processes.setdefault(slot, set()).update(set(multiprocessing.active_children()) - before)
            os.environ.clear()
            os.environ.update(environment)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return future

    def close(self) -> None:
        for slot in list(self._executors):
            self._stop(slot)

    def _stop(self, slot: int) -> None:
        self._last.pop(slot, None)
        for process in self._processes.pop(slot, ()):
            process.kill()
        self._executors.pop(slot).shutdown(cancel_futures=True)


def _begin(log: Path) -> None:
    """Set up a worker process; it ends with the process that started it, even with a killed one."""
    log_to(log)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _gpus() -> list[str]:
    """Return the GPUs of this machine by their names in CUDA_VISIBLE_DEVICES."""
    import torch

    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]


def _is_held(lock: FileLock) -> bool:
    if not Path(lock.lock_file).exists():  # asking must not create the file
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # nobody can train in a folder that cannot be written
        return False
