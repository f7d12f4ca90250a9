"""Processes that train one cell each."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from filelock import Timeout

from limbeck.errors import LimbeckError
from limbeck.grids.folder import GridFolder
from limbeck.runs.run import InUseError


@dataclass(frozen=True)
class CellTask:
    """A cell as plain values, for another process."""

    name: str
    recipe: dict[str, Any]
    out: str
    working_folder: str  # relative paths in the recipe start here


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
    """Processes of this machine, forked where it has no GPU from a server that has imported the libraries.

    Without a number of workers there is one a GPU, or one for two cores: a small student keeps no more busy. Each
    process sees one GPU and has its share of the cores as threads, unless OMP_NUM_THREADS is set.
    """

    def __init__(self, workers: int | None) -> None:
        self._gpus = _gpus()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.slots = workers or len(self._gpus) or max(1, cores // 2)
        self.threads = max(1, cores // self.slots)
        self._context = multiprocessing.get_context("forkserver")
        if sys.platform == "linux" and not self._gpus:  # elsewhere libraries do not survive a fork, nor does CUDA
            self._context.set_forkserver_preload(["limbeck.runs.training"])
        self._processes: list[BaseProcess] = []

    def gpu(self, slot: int) -> str | None:
        """Return the GPU of a slot, by its name in CUDA_VISIBLE_DEVICES."""
        return self._gpus[slot % len(self._gpus)] if self._gpus else None

    def start(self, slot: int, task: CellTask) -> BaseProcess:
        """Run `train_cell` in a new process."""
        process = self._context.Process(target=_run, args=(task, self.gpu(slot), self.threads))
        # A Ctrl-C on the terminal reaches every process of its group; only this one decides what it means.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._processes = [*(earlier for earlier in self._processes if earlier.is_alive()), process]
        return process

    def close(self) -> None:
        """Stop whatever still runs; checkpoints stay."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()


def _run(task: CellTask, gpu: str | None, threads: int) -> None:
    """Train a cell in this process, which ends with the one that started it, even with a killed one."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
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
