"""Cells on a Ray cluster (docs.ray.io), a task each: the `[ray]` extra, for machines that share a file system."""

import time
from importlib.util import find_spec
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.grids import ray_cluster
from limbeck.grids.attempt import Job, Outcome, attempt


class RayEngine:
    """`workers` tasks at most on the cluster that RAY_ADDRESS names, or on a Ray started here until `close`.

    A task holds a GPU where the cluster has any, else its share of the processors; Ray decides on which machine.
    Without a number: as many as there are GPUs, or one for two processors.

    Raises:
        LimbeckError: Ray is not installed, or cannot be reached.
    """

    def __init__(self, workers: int | None) -> None:
        if find_spec("ray") is None:
            raise LimbeckError("--engine ray: Ray is not installed; `pip install 'limbeck[ray]'`, or --engine local")
        import ray

        self._ours = ray_cluster.connect()
        there = ray.cluster_resources()
        gpus, processors = int(there.get("GPU", 0)), int(there.get("CPU", 1))
        self.slots = workers or gpus or max(1, processors // 2)
        largest = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
        share = 1 if gpus else max(1, min(processors // self.slots, largest))  # more than a machine has is never given
        how: Any = {"num_cpus": share, "num_gpus": min(gpus, 1), "max_retries": 0}
        self._task = ray.remote(**how)(attempt)  # where it holds a GPU, Ray gives every task a process of its own
        self._marking = ray.remote(**how, max_calls=1)(attempt)
        self._tasks: dict[Any, Job] = {}

    def start(self, job: Job) -> None:
        self._tasks[(self._marking if job.marks else self._task).remote(job)] = job

    def ended(self, seconds: float) -> list[tuple[str, Outcome]]:
        import ray

        if not self._tasks:
            time.sleep(seconds)
            return []
        ended, _ = ray.wait(list(self._tasks), timeout=seconds)
        return [(self._tasks.pop(task).name, _outcome(task)) for task in ended]

    def close(self) -> None:
        import ray

        for task in self._tasks:
            ray.cancel(task, force=True)
        self._tasks.clear()
        if self._ours:
            ray.shutdown()


def _outcome(task: Any) -> Outcome:
    import ray

    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:
        return Outcome("lost", f"its Ray task died ({ray_cluster.last_line(error)})")
