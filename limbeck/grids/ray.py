"""Cells on a Ray cluster (docs.ray.io), a task each: the `[ray]` extra, for machines that share a file system."""

import logging
import os
import socket
from concurrent.futures import Future
from importlib.util import find_spec
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.grids.scheduler import PER_PROCESS, CellTask, train_cell

OBJECT_STORE_BYTES = 100 * 2**20  # little is sent about, and Ray would take a third of the memory


class RayWorkers:
    """Tasks on the cluster at RAY_ADDRESS, or on a Ray started here until `close`.

    A task holds a GPU where the cluster has any, else its share of the processors. Without a number of workers there
    is one a GPU, or one for two processors.

    Raises:
        LimbeckError: Ray is not installed, or cannot be reached.
    """

    def __init__(self, workers: int | None) -> None:
        if find_spec("ray") is None:
            raise LimbeckError("--engine ray: Ray is not installed; `pip install 'limbeck[ray]'`, or --engine local")
        import ray

        self._started_here = _connect()
        resources = ray.cluster_resources()
        gpus, processors = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        self.slots = workers or gpus or max(1, processors // 2)
        largest = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
        share = 1 if gpus else max(1, min(processors // self.slots, largest))  # more than any machine has would wait
        options: Any = {"num_cpus": share, "num_gpus": min(gpus, 1), "max_retries": 0}
        self._shared_process = ray.remote(**options)(train_cell)
        self._own_process = ray.remote(**options, max_calls=1)(train_cell)
        self._tasks: dict[int, Any] = {}

    def submit(self, slot: int, task: CellTask) -> Future[bool]:
        needs_own = any(setting in task.recipe["training"] for setting in PER_PROCESS)
        self._tasks[slot] = (self._own_process if needs_own else self._shared_process).remote(task)
        return self._tasks[slot].future()

    def close(self) -> None:
        import ray

        for task in self._tasks.values():
            ray.cancel(task, force=True)
        if self._started_here:
            ray.shutdown()


def _connect() -> bool:
    """Connect to Ray, and return whether it was started here. Raises LimbeckError where that fails."""
    import ray

    if ray.is_initialized():
        return False
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            host, _, port = address.removeprefix("ray://").rpartition(":")
            if port.isdecimal():  # where nothing listens Ray would try for minutes
                socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
            ray.init(
                "local", log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
            )  # fmt: skip
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = f"RAY_ADDRESS={address}: no Ray cluster answers there" if address else "Ray does not start here"
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
        raise LimbeckError(f"{where}: {reason}") from None
    return not address
