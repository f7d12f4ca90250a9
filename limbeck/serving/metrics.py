"""Counts and times of a server, for Prometheus; no text of a question is among them."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

disable_created_metrics()  # a time for every series, which nobody reads
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one server."""

    def __init__(self, paths: frozenset[str], waiting: Callable[[], float], cost: Callable[[], float] | None) -> None:
        """Count the requests of known `paths` apart; `waiting` and `cost` return the queue's length and the price."""
        self._paths, self._registry = paths, CollectorRegistry()
        registry = self._registry
        self._requests = Counter("limbeck_requests", "Requests.", ("path", "status"), registry=registry)
        self._latency = Histogram(
            "limbeck_request_seconds", "Time of a request.", ("path",), registry=registry, buckets=_SECONDS
        )
        self._answers = Counter("limbeck_answers", "Answers.", ("answered_by", "passed_on"), registry=registry)
        self._batches = Histogram("limbeck_batch_size", "Questions in a batch.", registry=registry, buckets=_SIZES)
        self._work = Counter("limbeck_batch_seconds", "Time of the student.", registry=registry)
        self._waited = Counter("limbeck_teacher_seconds", "Time spent waiting for the teacher.", registry=registry)
        Gauge("limbeck_waiting", "Questions in the queue.", registry=registry).set_function(waiting)
        if cost is not None:
            Gauge("limbeck_teacher_cost", "Price of the teacher's replies.", registry=registry).set_function(cost)

    def request(self, path: str, status: int, seconds: float) -> None:
        path = path if path in self._paths else "other"
        self._requests.labels(path, str(status)).inc()
        self._latency.labels(path).observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        self._batches.observe(size)
        self._work.inc(seconds)

    def totals(self) -> dict[str, Any]:
        """Return the counts and seconds of `ServerTotals`."""

        def value(name: str, **labels: str) -> float:
            return self._registry.get_sample_value(f"limbeck_{name}_total", labels) or 0.0

        kept = int(value("answers", answered_by="student", passed_on="no"))
        answered = int(value("answers", answered_by="teacher", passed_on="answered"))
        failed = int(value("answers", answered_by="student", passed_on="failed"))
        return {
            "questions": kept + answered + failed,
            "passed_on": answered + failed,
            "failed": failed,
            "seconds": round(value("batch_seconds"), 3),
            "waited": round(value("teacher_seconds"), 3),
        }

    def waited(self, seconds: float) -> None:
        self._waited.inc(seconds)

    def answered(self, by: str, passed_on: str | None) -> None:
        self._answers.labels(by, passed_on or "no").inc()

    def text(self) -> bytes:
        """Return all in Prometheus' text format."""
        return generate_latest(self._registry)
