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
from limbeck.runs.recipe import Recipe
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
            if cell.gpus == 1:
                train(cell.recipe, out / cell.name, resume=True)
            else:
                _train_on_gpus(cell, out / cell.name)
        except InUseError:  # `limbeck train` has the run
            raise
        except Exception as error:
            traceback.print_exc()
            message = str(error) if isinstance(error, LimbeckError) else f"{type(error).__name__}: {error}"
            folder.fail(cell.name, message, traceback.format_exc())


def _train_on_gpus(cell: GridCell, path: Path) -> None:
    """Train a cell in a process for each of its GPUs, as torchrun would. Raises LimbeckError with the first error."""
    import torch
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // cell.gpus)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=cell.gpus,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=cell.name,
        max_restarts=0,
    )
    try:
        elastic_launch(config, _train_in_process)(cell.recipe, path)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        message = failure.message if isinstance(failure.message, str) else failure.message["message"]
        kind, _, reason = message.partition(": ")
        raise (InUseError if kind == InUseError.__name__ else LimbeckError)(reason or message) from None


def _train_in_process(recipe: Recipe, path: Path) -> None:
    from limbeck.runs.training import train

    _end_with_parent()
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("limbeck").setLevel(logging.INFO)
    train(recipe, path, resume=True)


def _end_with_parent() -> None:
    """End this process with the one that started it, even if that is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


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
    """Processes of this machine: by default as many as it has GPUs for, or one for two cores where it has none.

    Each sees its GPUs and has its share of the cores as threads, unless OMP_NUM_THREADS is set. Raises LimbeckError
    where there are fewer GPUs than a cell needs.
    """

    def __init__(self, workers: int | None, gpus: int = 1) -> None:
        import torch

        names = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
        self._gpus = names.split(",")[: torch.cuda.device_count()]
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if gpus > 1:
            _check_gpus(gpus, len(self._gpus))
        self._share = gpus
        self.slots = workers or len(self._gpus) // gpus or max(1, cores // 2)
        self.threads = max(1, cores // self.slots)
        self._context = multiprocessing.get_context("forkserver")
        if sys.platform == "linux" and not self._gpus:  # elsewhere libraries do not survive a fork; nor does CUDA
            self._context.set_forkserver_preload(["limbeck.runs.training"])
        self._processes: list[BaseProcess] = []

    def gpus(self, slot: int) -> str | None:
        """Return a slot's GPUs by their names in CUDA_VISIBLE_DEVICES."""
        first = slot * self._share
        names = [self._gpus[number % len(self._gpus)] for number in range(first, first + self._share) if self._gpus]
        return ",".join(names) if names else None

    def start(self, slot: int, cell: GridCell, out: Path) -> BaseProcess:
        process = self._context.Process(target=_run, args=(self.gpus(slot), self.threads, (cell, out, Path.cwd())))
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
    _end_with_parent()
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

    def __init__(self, workers: int | None, gpus_each: int = 1) -> None:
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
        if gpus_each > 1:
            _check_gpus(gpus_each, max(int(node["Resources"].get("GPU", 0)) for node in ray.nodes() if node["Alive"]))
        self.slots = workers or gpus // gpus_each or max(1, processors // 2)
        largest = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
        share = 1 if gpus else max(1, min(processors // self.slots, largest))  # more than a machine has would wait
        each = min(gpus, gpus_each)
        self._train = ray.remote(num_cpus=share, num_gpus=each, max_retries=0, max_calls=1)(train_cell)
        self._jobs: list[RayJob] = []

    def start(self, _slot: int, cell: GridCell, out: Path) -> "RayJob":
        self._jobs.append(RayJob(self._train.remote(cell, out, Path.cwd())))
        return self._jobs[-1]

    def close(self) -> None:
        import ray

        for job in self._jobs:
            ray.cancel(job.task, force=True)
        ray.shutdown()


def _check_gpus(needed: int, present: int) -> None:
    if needed > present:
        raise LimbeckError(f"resources.gpus: a cell needs {needed} GPUs, and the largest machine has {present}")


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
