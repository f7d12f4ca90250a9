"""Many engines on Ray (docs.ray.io), a worker process each: the `[ray]` extra, for several GPUs or machines."""

import asyncio
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from limbeck.cluster import connect, last_line
from limbeck.errors import LimbeckError
from limbeck.teacher.engine import Engine, Failure, Message, Reply
from limbeck.teacher.settings import TeacherSettings

START_SECONDS = 600.0  # a worker that Ray has not started by then has no room in the cluster
CLOSE_SECONDS = 30.0

_CLOSED = Failure("closed", "the teacher was closed before it answered")


class _Worker:
    """What runs in a worker's process. Its engine is made there, so that it reads its keys from there."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._engine: Engine | None = None
        self._making = asyncio.Lock()

    async def up(self) -> None:
        """Nothing: who gets an answer knows that the process has started."""

    async def ask(self, messages: Sequence[Message]) -> Reply | Failure | LimbeckError:
        """The engine's answer, or its error as a value: raised, Ray would wrap it into a traceback of many lines."""
        try:
            async with self._making:
                if self._engine is None:
                    self._engine = await asyncio.to_thread(self._make)
            return await self._engine.ask(messages)
        except LimbeckError as error:
            return error


class _Place:
    """A worker as the driver sees it."""

    def __init__(self, spawn: Callable[[], Any]) -> None:
        self.worker = spawn()
        self.started = self.worker.up.remote()
        self.up = False
        self.in_flight = 0

    async def has_started(self) -> bool:
        """Whether its process runs, after START_SECONDS at the latest."""
        try:
            await asyncio.wait_for(self.started, START_SECONDS)
        except TimeoutError:
            return False
        self.up = True
        return True


class ClusterEngine:
    """`settings.workers` engines, each made by `make()` in a process of its own, asked as they have time.

    The cluster is the one that RAY_ADDRESS names, or a Ray started on this machine for as long as the engine lives.
    Workers inherit no environment from here but on this machine: keys have to be in that of the machines themselves.
    A local model gets a GPU for each worker where the cluster has any. A worker that dies is replaced.

    Raises:
        LimbeckError: Ray is not installed, cannot be reached, or has fewer GPUs than there are to be workers.
    """

    def __init__(self, settings: TeacherSettings, make: Callable[[], Engine]) -> None:
        if find_spec("ray") is None:
            raise LimbeckError("teacher.workers: Ray is not installed; `pip install 'limbeck[ray]'`, or set workers: 0")
        import ray

        self._ours = connect()
        self._closed = False
        self._in_flight = 0
        gpus = _gpus(settings) if settings.engine == "local" else 0
        # No processors are asked for: an endpoint's worker needs little of one, and none may wait for ever to start.
        actor = ray.remote(_Worker).options(num_cpus=0, num_gpus=gpus, scheduling_strategy="SPREAD")
        self._spawn: Callable[[], Any] = lambda: actor.remote(make)
        self._places = [_Place(self._spawn) for _ in range(settings.workers)]

    async def ask(self, messages: Sequence[Message]) -> Reply | Failure:
        """The answer of the worker with the fewest requests in flight."""
        if self._closed:
            return _CLOSED
        place = min(self._places, key=lambda one: one.in_flight)
        place.in_flight += 1
        self._in_flight += 1
        try:
            answer = await self._answer(place, messages)
        finally:
            place.in_flight -= 1
            self._in_flight -= 1
        if isinstance(answer, LimbeckError):
            raise answer
        return answer

    async def _answer(self, place: _Place, messages: Sequence[Message]) -> Reply | Failure | LimbeckError:
        import ray

        try:
            if not place.up and not await place.has_started():
                message = (
                    f"Ray has started no worker in {START_SECONDS:.0f} s: has the cluster room for {len(self._places)}?"
                )
                return Failure("no worker", message)
            request = place.worker.ask.remote(list(messages))
            try:
                return await request
            except asyncio.CancelledError:
                ray.cancel(request)
                raise
        except ray.exceptions.RayTaskError:
            raise  # a fault in the engine, no death
        except ray.exceptions.RayError as error:
            return _CLOSED if self._closed else self._replaced(place, error)

    def _replaced(self, place: _Place, error: Exception) -> Failure | LimbeckError:
        """Put a new worker into the place of a dead one; what it is asked waits until it is up."""
        reason = last_line(error)
        if getattr(error, "actor_init_failed", False):
            return LimbeckError(f"teacher.workers: none starts; has every machine this limbeck installed? ({reason})")
        if place in self._places:  # this caller is the first to notice
            self._places[self._places.index(place)] = _Place(self._spawn)
        return Failure("worker died", f"a Ray worker ended before it answered, and another is started: {reason}")

    async def close(self) -> None:
        """Kill the workers, and stop Ray if it was started here. Whoever is still waiting gets a failure."""
        if self._closed:
            return
        self._closed = True
        import ray

        for place in self._places:
            ray.kill(place.worker)
        deadline = time.monotonic() + CLOSE_SECONDS
        while self._in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.01)  # until every caller has heard: without Ray nothing would wake them
        if self._ours:
            await asyncio.to_thread(ray.shutdown)


def _gpus(settings: TeacherSettings) -> int:
    """How many a worker with a local model holds: one, or none in a cluster without."""
    import ray

    there = int(ray.cluster_resources().get("GPU", 0))
    if 0 < there < settings.workers:
        raise LimbeckError(f"teacher.workers: {settings.workers}, but the Ray cluster has {there} GPUs, one for each")
    return min(there, 1)
