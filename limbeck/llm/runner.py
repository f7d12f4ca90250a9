"""Many questions put to a chat model within limits and a budget."""

import asyncio
import logging
import math
import platform
import random
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Protocol, TypeVar, cast

from limbeck.errors import EndpointError
from limbeck.llm.messages import ChatMessage, Failure, Reply, Tokens
from limbeck.llm.settings import AskingSettings, SamplingSettings, TeacherSettings, refuse_key
from limbeck.llm.store import Request, Store, estimate

log = logging.getLogger(__name__)
T = TypeVar("T")
_POLL = 0.5  # seconds between two looks at claims of other processes


@dataclass
class Tally:
    """Progress of one start of a job, and the tokens it used."""

    total: int = 0  # answers missing at the beginning
    sent: int = 0  # requests
    stored: int = 0  # replies
    given_up: int = 0  # answers that stay missing
    failures: Counter[str] = field(default_factory=Counter)  # requests, by kind
    reasons: dict[str, str] = field(default_factory=dict)  # the last failure's message, by kind
    tokens: Tokens = field(default_factory=Tokens)
    started: float = field(default_factory=time.monotonic)
    stopped: str | None = None  # reason for an early end: "budget", "time", "interrupted"

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


class Client(Protocol):
    """A chat model asked by many tasks at once; `ask` raises LimbeckError if no request can succeed."""

    async def ask(self, messages: Sequence[ChatMessage]) -> Reply | Failure: ...

    async def close(self) -> None: ...


Watch = Callable[[Tally, float | None], None]  # called after every request, with the cost if known


def unwatched(_tally: Tally, _cost: float | None) -> None: ...


@dataclass(frozen=True)
class Session:
    """One start of a job that asks a model."""

    settings: AskingSettings
    store: Store
    open_local: Callable[[TeacherSettings, SamplingSettings], Client]  # opens a model on this machine
    watch: Watch = unwatched
    tally: Tally = field(default_factory=Tally)

    def begin(self, prompt: str, sent: Any, rows: Mapping[str, Any]) -> None:
        """Store what is sent and where it comes from. Raises RecipeError if it holds the key."""
        teacher = self.settings.teacher
        job = {
            "job": self.settings.model_dump(mode="json", exclude_none=True),
            "endpoint": teacher.endpoint() if teacher.engine == "endpoint" else None,
            "rows": rows,
            "versions": {"python": platform.python_version()} | {name: version(name) for name in ("limbeck", "openai")},
        }
        refuse_key(teacher.key, [job, sent])
        self.store.begin(prompt, sent, job)

    def ask(self, sampling: SamplingSettings, *phases: Callable[[], Sequence[Request]]) -> None:
        """Ask for the missing answers of each phase in turn, until all are stored or given up, or something ends it.

        Ctrl-C or SIGTERM waits for what is in flight; a second one does not. Raises LimbeckError if no request can
        succeed, or none did; what arrived is stored.
        """
        handler = signal.getsignal(signal.SIGTERM)
        try:
            asyncio.run(self._ask(sampling, phases))
        finally:
            with suppress(ValueError, TypeError):  # not the main thread, or not Python's handler
                signal.signal(signal.SIGTERM, handler)

    async def _ask(self, sampling: SamplingSettings, phases: Sequence[Callable[[], Sequence[Request]]]) -> None:
        client: Client | None = None
        try:
            for phase in phases:
                if self.tally.stopped is None and (requests := self.store.missing(phase())):
                    client = client or self.open_client(sampling)
                    await _Runner(self, client, requests).run()
        finally:
            if client is not None:
                await client.close()

    def open_client(self, sampling: SamplingSettings) -> Client:
        """Return the model to ask. Raises LimbeckError if it cannot be asked."""
        teacher = self.settings.teacher
        if teacher.engine == "local":
            return self.open_local(teacher, sampling)
        from limbeck.llm.client import EndpointClient  # openai takes half a second

        return EndpointClient(teacher, sampling, self.settings.limits.request_seconds)


class Asker:
    """Requests sent to a model within its rates, tried again, stored and counted."""

    def __init__(self, session: Session, client: Client) -> None:
        self._session, self._store, self._tally = session, session.store, session.tally
        self._settings, self._limits, teacher = session.settings, session.settings.limits, session.settings.teacher
        self._client = client
        # a local model's next batch waits while one is generated
        self.concurrency = 2 * teacher.batch_size if teacher.engine == "local" else self._limits.concurrency
        self._storing = asyncio.Lock()
        self._progress, self._stop = asyncio.Event(), asyncio.Event()
        self._answered = self._store.usage(teacher.name)[1] > 0  # ever, by this teacher
        self._fruitless = 0  # questions in a row that came to nothing
        self._request_rate = RateLimiter(self._limits.requests_per_minute)
        self._token_rate = RateLimiter(self._limits.tokens_per_minute)

    def end(self, reason: str | None) -> None:
        """Send no further request; what is in flight is stored."""
        self._tally.stopped = self._tally.stopped or reason
        self._stop.set()
        self._progress.set()

    async def call(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """Call the store in a thread, one call at a time: replies arrive while another process locks it."""
        async with self._storing:
            return await asyncio.to_thread(function, *args, **options)

    async def answer(self, request: Request) -> Reply | Failure | None:
        """Send a request until it is answered or given up; return the outcome, None where it was not sent.

        Raises EndpointError where no request can succeed.
        """
        result: Reply | Failure | None = None
        for attempt in range(1, self._limits.attempts + 1):
            await _wait(self._stop, max(self._request_rate.delay(1), self._token_rate.delay(sum(request.ceiling))))
            if self._stop.is_set():
                return result  # its claim is released with the store
            self._tally.sent += 1
            result = await self._client.ask(request.messages)
            again = isinstance(result, Failure) and result.again and attempt < self._limits.attempts
            last = self._stop.is_set() or not again
            await self._record(request, result, last)
            if last or isinstance(result, Reply):
                return result
            # a failure may have been paid for; its claim counts as spent
            if not self._settings.covers(await self.call(self._store.spent, request.key.model)):
                self.end("budget")
            else:
                await _wait(self._stop, backoff(attempt, result.retry_after))
        return result

    async def _record(self, request: Request, result: Reply | Failure, last: bool) -> None:
        """Store and count a result. Raises EndpointError where the teacher fails rather than the question."""
        tally, ceiling = self._tally, request.ceiling
        completion = estimate(result.text) if isinstance(result, Reply) else ceiling.completion
        tokens = result.tokens or Tokens(ceiling.prompt, completion) if result.raw is not None else Tokens()
        await self.call(self._store.put, request, result, tokens, last=last)
        tally.tokens = tally.tokens.plus(tokens)
        self._answered = self._answered or bool(result.raw)
        if isinstance(result, Reply):
            tally.stored += 1
            self._fruitless = 0
        else:
            tally.failures[result.kind] += 1
            tally.reasons[result.kind] = result.message
            tally.given_up += last
            if result.again or not self._answered:
                self._fruitless += last or (result.kind == "no connection" and not self._answered)
        self._session.watch(tally, self._settings.cost(tally.tokens))
        if isinstance(result, Reply):
            return
        if result.kind == "HTTP 403" and not self._answered and self._fruitless > 1:  # once may be the question
            raise EndpointError(f"the teacher never answered, but refuses (HTTP 403): {result.message}")
        if self._fruitless >= 8 + 2 * self.concurrency:
            reason = f"the last {self._fruitless} requests came to nothing ({result.message})"
            raise EndpointError(f"{reason}; what arrived is stored: start again")


class _Runner(Asker):
    """One phase: a worker for each request in flight, which claims, asks and stores."""

    def __init__(self, session: Session, client: Client, requests: Sequence[Request]) -> None:
        super().__init__(session, client)
        self._pending, self._claimed = deque(requests), deque[Request]()
        self._in_flight, self._claiming = 0, asyncio.Lock()
        self._tally.total += len(requests)

    async def run(self) -> None:
        loop, task = asyncio.get_running_loop(), cast("asyncio.Task[None]", asyncio.current_task())
        unsupported = suppress(NotImplementedError, RuntimeError, ValueError)  # Windows; not the main thread
        if self._limits.hours is not None:
            loop.call_later(max(0.0, 3600 * self._limits.hours - self._tally.seconds), self.end, "time")
            await asyncio.sleep(0)  # a time that is over ends it before the workers start
        workers = asyncio.gather(*(self._work() for _ in range(self.concurrency)), return_exceptions=True)
        try:
            with unsupported:
                loop.add_signal_handler(signal.SIGTERM, task.cancel)
            errors = await asyncio.shield(workers)
        except asyncio.CancelledError:  # the first Ctrl-C or SIGTERM; the second is a KeyboardInterrupt
            log.warning("stopping once %d requests in flight are answered; again, and they are lost", self._in_flight)
            self.end("interrupted")
            with unsupported:
                loop.remove_signal_handler(signal.SIGTERM)
            errors = await workers
        for error in filter(None, errors):
            raise error

    async def _work(self) -> None:
        """Ask until nothing is left; an error ends the other workers too, once they have their answers."""
        try:
            while (request := await self._next()) is not None:
                self._in_flight += 1
                await self.answer(request)
                self._in_flight -= 1
                self._progress.set()
        except Exception:
            self.end(None)
            raise

    async def _next(self) -> Request | None:
        async with self._claiming:
            while self._pending and not (self._claimed or self._stop.is_set()):
                self._progress.clear()
                covers = self._settings.covers
                self._claimed += await self.call(self._store.claim, self._pending, self.concurrency, covers)
                if self._claimed or not self._pending:
                    break
                # what is in flight may use less than its ceiling, or fail
                if self._in_flight or await self.call(self._store.others_claim, self._settings.teacher.name):
                    await _wait(self._progress, _POLL)
                else:
                    self.end("budget")
            return self._claimed.popleft() if self._claimed and not self._stop.is_set() else None


class RateLimiter:
    """A limit per minute; at most a second's worth passes at once."""

    def __init__(self, per_minute: float | None) -> None:
        self._seconds = 60 / (per_minute or math.inf)  # that one takes
        self._next = -math.inf

    def delay(self, amount: float) -> float:
        """Reserve `amount` and return the seconds to wait for it."""
        now = time.monotonic()
        start = max(self._next, now - 1)
        self._next = start + amount * self._seconds
        return max(0.0, start - now)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    if seconds > 0:
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)


def backoff(failures: int, retry_after: float) -> float:
    """Return the seconds to wait after failures in a row: `retry_after`, and at random up to a minute."""
    return retry_after + random.uniform(0, min(60.0, 2.0 ** min(failures - 1, 10)))
