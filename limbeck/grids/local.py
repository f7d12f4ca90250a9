"""Cells in processes of this machine: each imports torch once, and has its share of the cores, or a GPU."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from limbeck.errors import LimbeckError
from limbeck.grids.attempt import Job, Outcome

END_SECONDS = 10.0


class LocalEngine:
    """`workers` processes at most, started when there is work for them; one that dies is replaced by the next start.

    Without a number: one a GPU; without GPUs one for two cores, for a small student keeps no more busy. On GPUs each
    process sees one alone; more processes than GPUs share them. Each has its share of the cores as threads, unless
    OMP_NUM_THREADS is set. `log` gets what a process prints outside of any attempt.
    """

    def __init__(self, workers: int | None, log: Path) -> None:
        self._gpus = _gpus()
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.slots = workers or len(self._gpus) or max(1, self._cores // 2)
        self._log = log
        self._events: _Events = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._stillborn = 0  # processes in a row that ended before they were ready

    def start(self, job: Job) -> None:
        idle = (worker for worker in self._workers if worker.job is None and worker.process.poll() is None)
        (next(idle, None) or self._spawn()).give(job)

    def ended(self, seconds: float) -> list[tuple[str, Outcome]]:
        outcomes = []
        try:
            event = self._events.get(timeout=seconds)
            while True:
                outcomes += self._heard(*event)
                event = self._events.get_nowait()
        except queue.Empty:
            return outcomes

    def close(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            try:
                worker.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        self._workers.clear()

    def _heard(self, worker: "_Worker", message: dict[str, Any] | None) -> list[tuple[str, Outcome]]:
        if message is None:
            return self._ended(worker)
        if message == READY:
            worker.ready, self._stillborn = True, 0
            return []
        outcome = Outcome(**message)
        job, worker.job = worker.job, None
        if outcome.spent:
            self._workers.remove(worker)  # it ends by itself
        return [(job.name, outcome)] if job else []

    def _ended(self, worker: "_Worker") -> list[tuple[str, Outcome]]:
        ending = _ending(worker.process.wait())
        if worker in self._workers:
            self._workers.remove(worker)
        if worker.job is None:
            return []
        if worker.ready:
            return [(worker.job.name, Outcome("lost", f"the process that trained it {ending}"))]
        self._stillborn += 1
        if self._stillborn > 1:
            raise LimbeckError(f"a worker process {ending} before it had started; see {self._log}")
        self.start(worker.job)
        return []

    def _spawn(self) -> "_Worker":
        taken = {worker.index for worker in self._workers}
        index = next(index for index in range(len(taken) + 1) if index not in taken)
        environment = {"OMP_NUM_THREADS": str(max(1, self._cores // self.slots)), **os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)  # this very limbeck
        if self._gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[index % len(self._gpus)]
        worker = _Worker(index, environment, self._log, self._events)
        self._workers.append(worker)
        return worker


READY = {"ready": True}  # what a process says first


class _Worker:
    """A process, its job if it has one, and a thread that passes on what it says; None: it has ended."""

    def __init__(self, index: int, environment: dict[str, str], log: Path, events: "_Events") -> None:
        self.index = index
        self.job: Job | None = None
        self.ready = False
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-P", "-m", "limbeck.grids.worker"]
        # A Ctrl-C on the terminal reaches every process of the group: only the first decides what it means.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with log.open("ab") as stream:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream, env=environment, text=True
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    def give(self, job: Job) -> None:
        self.job = job
        try:
            assert self.process.stdin
            self.process.stdin.write(json.dumps(asdict(job)) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has just died, which is heard of like any death

    def _listen(self, events: "_Events") -> None:
        assert self.process.stdout
        with self.process.stdout as stream:
            for line in stream:
                events.put((self, json.loads(line)))
        events.put((self, None))


_Events = queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]]


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-code).name}{hint}"


def _gpus() -> list[str]:
    """The GPUs of this machine, as CUDA_VISIBLE_DEVICES names them."""
    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]
