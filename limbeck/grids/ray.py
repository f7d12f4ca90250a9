"""Cells on a Ray cluster (docs.ray.io), a task each: the `[ray]` extra, for machines that share a file system."""

import logging
import os
from importlib.util import find_spec
from typing import Any

from limbeck.errors import EndpointError, LimbeckError, first_line
from limbeck.grids.worker import CellTask, train_cell

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

        _connect()
        resources = ray.cluster_resources()
        gpus, processors = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        self.slots = workers or gpus or max(1, processors // 2)
        largest = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
        share = 1 if gpus else max(1, min(processors // self.slots, largest))  # more than any machine has would wait
        self._train = ray.remote(num_cpus=share, num_gpus=min(gpus, 1), max_retries=0, max_calls=1)(train_cell)
        self._jobs: list[RayJob] = []

    def start(self, _slot: int, task: CellTask) -> "RayJob":
        self._jobs.append(RayJob(self._train.remote(task)))
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
        self.exitcode: int | str | None = None

    def is_alive(self) -> bool:
        import ray

        if self.exitcode is None and ray.wait([self.task], timeout=0)[0]:
            try:
                ray.get(self.task)
                self.exitcode = 0
            except Exception as error:  # its own, or that it died
                self.exitcode = first_line(error)
        return self.exitcode is None


def _connect() -> None:
    """Connect to the cluster at RAY_ADDRESS, or start Ray here. Raises EndpointError where that fails."""
    import ray

    address = os.environ.get("RAY_ADDRESS")
    local: dict[str, Any] = {} if address else {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        message = "RAY_ADDRESS: no Ray cluster answers there" if address else "Ray does not start here"
        raise EndpointError(f"{message}: {first_line(error)}", path=address) from None
