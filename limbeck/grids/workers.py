"""Cells trained in processes of this machine, or as tasks on a Ray cluster."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from filelock import Timeout

from limbeck.errors import EndpointError, LimbeckError, first_line
from limbeck.grids.folder import GridFolder
from limbeck.grids.grid import GridCell
from limbeck.runs.run import InUseError


def train_cell(cell: GridCell, out: Path, working_folder: Path) -> None:
    """Train a cell under its lock, unless another process does or has; paths start at `working_folder`.

    Failures are recorded in the folder. Raises LimbeckError where this machine lacks it.
    """
    from limbeck.runs.training import train

    if not GridFolder(working_folder / out).grids.is_dir():
        raise LimbeckError("missing here; a grid's machines have to share a file system", path=out)
    os.chdir(working_folder)
    folder = GridFolder(out)
    with suppress(Timeout, InUseError), folder.lock(cell.name).acquire(timeout=0):  # else another process has it
        if folder.state(cell).settled:
            return
        log_to(folder.log(cell.name))
        try:
            train(cell.recipe, out / cell.name, resume=True)
        except InUseError:  # `limbeck train` has the run
            raise
        except Exception as error:
            traceback.print_exc()
            message = str(error) if isinstance(error, LimbeckError) else f"{type(error).__name__}: {error}"
            folder.fail(cell.name, message, traceback.format_exc())


def log_to(path: Path) -> None:
    """Append all that this process prints or logs to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        for number, printed in ((1, sys.stdout), (2, sys.stderr)):
            printed.flush()
            os.dup2(stream.fileno(), number)
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("limbeck").setLevel(logging.INFO)


class LocalWorkers:
    """Processes of this machine: by default one a GPU, or one for two cores, which a small student keeps busy.

    Each sees one GPU and has its share of the cores as threads, unless OMP_NUM_THREADS is set.
    """

    def __init__(self, workers: int | None) -> None:
        import torch

        names = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
        self._gpus = names.split(",")[: torch.cuda.device_count()]
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.slots = workers or len(self._gpus) or max(1, cores // 2)
        self.threads = max(1, cores // self.slots)
        self._context = multiprocessing.get_context("forkserver")
        if sys.platform == "linux" and not self._gpus:  # elsewhere libraries do not survive a fork; nor does CUDA
            self._context.set_forkserver_preload(["limbeck.runs.training"])
        self._processes: list[BaseProcess] = []

    def gpu(self, slot: int) -> str | None:
        """Return a slot's GPU by its name in CUDA_VISIBLE_DEVICES."""
        return self._gpus[slot % len(self._gpus)] if self._gpus else None

    def start(self, slot: int, cell: GridCell, out: Path) -> BaseProcess:
        process = self._context.Process(target=_run, args=(self.gpu(slot), self.threads, (cell, out, Path.cwd())))
        # Ctrl-C reaches every process of the group; only this one answers
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._processes = [*(earlier for earlier in self._processes if earlier.is_alive()), process]
        return process

    def close(self) -> None:
        """Stop what still runs; checkpoints stay."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()


def _run(gpu: str | None, threads: int, arguments: tuple[GridCell, Path, Path]) -> None:
    """Train a cell in this process, which ends with its parent, even if that is killed."""
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
    train_cell(*arguments)


class RayWorkers:
    """Tasks on the cluster at RAY_ADDRESS, or on a Ray started here; by default one a GPU, or one for two processors.

    The machines share a file system. Raises LimbeckError where Ray is missing or does not answer.
    """

    def __init__(self, workers: int | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or Ray reports to its makers
        try:
            import ray
        except ImportError:
            raise LimbeckError("--engine ray: Ray is missing; `pip install 'limbeck[ray]'`") from None
        address = os.environ.get("RAY_ADDRESS")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if not address:  # or Ray takes a third of the memory
            options |= {"include_dashboard": False, "object_store_memory": 100 * 2**20}
        try:
            ray.init(address or "local", **options)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise EndpointError(f"no Ray cluster answers: {first_line(error)}", path=address) from None
        resources = ray.cluster_resources()
        gpus, processors = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        self.slots = workers or gpus or max(1, processors // 2)
        largest = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
        share = 1 if gpus else max(1, min(processors // self.slots, largest))  # more than a machine has would wait
        self._train = ray.remote(num_cpus=share, num_gpus=min(gpus, 1), max_retries=0, max_calls=1)(train_cell)
        self._jobs: list[RayJob] = []

    def start(self, _slot: int, cell: GridCell, out: Path) -> "RayJob":
        self._jobs.append(RayJob(self._train.remote(cell, out, Path.cwd())))
        return self._jobs[-1]

    def close(self) -> None:
        import ray

        for job in self._jobs:
            ray.cancel(job.task, force=True)
        ray.shutdown()


class RayJob:
    """A task on the cluster."""

    def __init__(self, task: Any) -> None:
        self.task = task
        self._future = task.future()

    def is_alive(self) -> bool:
        return not self._future.done()

    @property
    def exitcode(self) -> int | str:
        """0, or the error."""
        error = self._future.exception()
        # Ray's own error begins with process and machine
        return first_line(getattr(error, "cause", None) or error) if error else 0
