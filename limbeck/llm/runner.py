"""Many questions put to a chat model: bounded concurrency, rates, budget, attempts; each reply is paid for once."""

import asyncio
import logging
import math
import random
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from limbeck.errors import EndpointError
from limbeck.llm.messages import ChatMessage, Client, Failure, Reply, Tokens, estimate_text
from limbeck.llm.settings import LimitSettings, SamplingSettings, TeacherSettings
from limbeck.llm.store import Covers, Journal, Key, Record, Store
from limbeck.schema import Example

log = logging.getLogger(__name__)

_POLL = 0.5  # seconds between two looks at other processes' claims
_LONGEST_BACKOFF = 60.0  # seconds between two attempts, unless the endpoint asks for more


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to be asked for."""

    key: Key
    example: Example
    hint: bool
    ceiling: Tokens  # the most that it may use


@dataclass
class Tally:
    """Progress of one start of a job, and the tokens that its requests used."""

    total: int = 0  # answers missing at the beginning
    sent: int = 0  # requests
    stored: int = 0  # replies
    given_up: int = 0  # answers that stay missing for now
    failures: Counter[str] = field(default_factory=Counter)  # requests, by kind
    reasons: dict[str, str] = field(default_factory=dict)  # the last failure's message, by kind
    tokens: Tokens = field(default_factory=lambda: Tokens(0, 0))
    started: float = field(default_factory=time.monotonic)
    stopped: str | None = None  # reason for an early end: "budget", "time", "interrupted"

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started


@dataclass(frozen=True)
class Session:
    """A model to be asked and the terms: limits, budget, the store of its replies, and who watches the progress."""

    teacher: TeacherSettings
    limits: LimitSettings
    store: Store
    covers: Covers | None = None  # None: no budget; else it is given all that was ever spent on the model
    tally: Tally = field(default_factory=Tally)
    watch: Callable[[Tally], None] = lambda _tally: None  # called after every request


def ask_all(
    session: Session,
    sampling: SamplingSettings,
    messages: Callable[[Request], Sequence[ChatMessage]],
    *phases: Callable[[], Sequence[Request]],
) -> None:
    """Ask for the answers of each phase in turn, until all are stored or given up, or something ends it.

    A reply is in the store before the next request is sent in its place. Ctrl-C waits for what is in flight; a second
    one does not. A phase's requests are looked up when the one before it has ended; after an early end none begins.

    Raises:
        LimbeckError: no request can succeed, or none did; what arrived is stored.
    """

    async def ask_phases() -> None:
        client = open_client(session.teacher, sampling, session.limits)
        try:
            for phase in phases:
                requests = phase()
                if requests and session.tally.stopped is None:
                    await _Runner(session, client, messages, requests).run()
        finally:
            await client.close()

    if session.tally.stopped is None and any(phase() for phase in phases):  # no model is loaded for nothing
        asyncio.run(ask_phases())


def open_client(teacher: TeacherSettings, sampling: SamplingSettings, limits: LimitSettings) -> Client:
    """Return the client of `teacher`. Raises LimbeckError if the model cannot be loaded or the settings not be used."""
    if teacher.engine == "local":
        from limbeck.llm.local import LocalClient  # torch and transformers: seconds that an endpoint does not need

        return LocalClient(teacher, sampling)
    from limbeck.llm.client import EndpointClient  # openai: half a second that a dry run does not need

    return EndpointClient(teacher, sampling, limits)


class _Runner:
    """One phase: as many workers as requests may be in flight, which claim, ask and store."""

    def __init__(
        self,
        session: Session,
        client: Client,
        messages: Callable[[Request], Sequence[ChatMessage]],
        requests: Sequence[Request],
    ) -> None:
        self._session, self._client, self._messages = session, client, messages
        self._store, self._limits, self._tally = session.store, session.limits, session.tally
        self._requests = {request.key: request for request in requests}  # a repeated question is asked once
        # a local model's next batch waits while one is generated
        local = session.teacher.engine == "local"
        concurrency = 2 * session.teacher.batch_size if local else session.limits.concurrency
        self._concurrency = min(concurrency, len(self._requests))
        self._pending = deque(self._requests)
        self._foreign: list[Key] = []  # claimed by other processes
        self._ready: deque[Key] = deque()  # claimed by this one, not sent yet
        self._in_flight = 0
        self._claiming, self._progress, self._stop = asyncio.Lock(), asyncio.Event(), asyncio.Event()
        self._error: Exception | None = None
        self._ever_answered = self._store.has_reply(session.teacher.name)
        self._first_failure = self._store.last_failure()  # what others give up after it is given up here, too
        self._fruitless = 0  # questions in a row that came to nothing
        self._waiting = self._interrupted = False
        self._journal = Journal(self._store)
        self._request_rate = RateLimiter(self._limits.requests_per_minute)
        self._token_rate = RateLimiter(self._limits.tokens_per_minute)
        self._tally.total += len(self._pending)

    async def run(self) -> None:
        loop, hours = asyncio.get_running_loop(), self._limits.hours
        if hours is not None:
            loop.call_later(max(0.0, self._tally.started + 3600 * hours - time.monotonic()), self._end, "time")
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        unsupported = suppress(NotImplementedError, RuntimeError, ValueError)  # Windows; not the main thread
        with unsupported:
            for number in handlers:
                loop.add_signal_handler(number, self._interrupt)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(self._work())
        finally:
            with unsupported:
                for number, handler in handlers.items():
                    if loop.remove_signal_handler(number):
                        signal.signal(number, handler)
            self._journal.close()
        if self._error is not None:
            raise self._error

    def _end(self, reason: str) -> None:
        self._tally.stopped = self._tally.stopped or reason
        self._stop.set()

    def _interrupt(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        log.warning("stopping once %d requests in flight are answered; again, and they are lost", self._in_flight)
        self._end("interrupted")

    async def _work(self) -> None:
        """Ask for one answer after the other. An error ends the other workers too, but not their requests in flight."""
        try:
            while (key := await self._next()) is not None:
                self._in_flight += 1
                try:
                    await self._answer(self._requests[key])
                finally:
                    self._in_flight -= 1
                    self._progress.set()
        except Exception as error:
            self._error = self._error or error
            self._stop.set()

    async def _next(self) -> Key | None:
        """Return the next claimed key; None: there is no more to ask."""
        async with self._claiming:
            while not self._ready and not self._stop.is_set() and (self._pending or self._foreign):
                await self._claim()
            return self._ready.popleft() if self._ready and not self._stop.is_set() else None

    async def _claim(self) -> None:
        only_foreign = not self._pending
        if only_foreign:
            self._pending, self._foreign = deque(self._foreign), []
        keys = [self._pending.popleft() for _ in range(min(len(self._pending), self._concurrency))]
        ceilings = [(key, self._requests[key].ceiling) for key in keys]
        self._progress.clear()
        claims = await self._journal.call(self._store.claim, ceilings, self._session.covers, self._first_failure)
        self._ready.extend(claims.granted)
        self._foreign.extend(claims.foreign)
        self._pending.extendleft(reversed(claims.unaffordable))
        if claims.granted:
            return
        if claims.unaffordable and self._in_flight:
            await self._progress.wait()  # what is in flight may use less than its ceiling
        elif claims.unaffordable:
            if not await self._journal.call(self._store.others_claim, self._session.teacher.name):
                self._end("budget")
            elif not await self._journal.call(self._store.release_dead):
                await self._sleep(_POLL)  # what other processes claimed may come to less
        elif only_foreign and self._foreign and not await self._journal.call(self._store.release_dead):
            if not self._waiting:
                log.info("waiting for another process that asks the same teacher with this store")
            self._waiting = True
            await self._sleep(_POLL)

    async def _answer(self, request: Request) -> None:
        """Send a request until it is answered or given up."""
        messages = self._messages(request)
        for attempt in count(1):
            await self._sleep(max(self._request_rate.delay(1), self._token_rate.delay(sum(request.ceiling))))
            if self._stop.is_set():
                return  # its claim is released with the store
            self._tally.sent += 1
            result = await self._client.ask(messages)
            retry = isinstance(result, Failure) and result.again and attempt < self._limits.attempts
            last = not retry or self._stop.is_set()
            await self._record(request, result, last)
            if last:
                return
            if result.raw is not None and not await self._journal.call(self._is_covered):  # the attempt was paid for
                self._end("budget")
                return
            await self._sleep(backoff(attempt, result.retry_after if isinstance(result, Failure) else None))

    def _is_covered(self) -> bool:
        covers = self._session.covers
        return covers is None or covers(self._store.spent(self._session.teacher.name))

    async def _record(self, request: Request, result: Reply | Failure, last: bool) -> None:
        tokens = _tokens(result, request.ceiling)
        await self._journal.put(Record(request.key, request.example.id, result, tokens, last))
        tally = self._tally
        tally.tokens = tally.tokens.plus(tokens)
        if isinstance(result, Reply):
            tally.stored += 1
        else:
            tally.failures[result.kind] += 1
            tally.reasons[result.kind] = result.message
            tally.given_up += last
        self._session.watch(tally)
        self._check_hopeless(result, last)

    def _check_hopeless(self, result: Reply | Failure, last: bool) -> None:
        """Raise an EndpointError where the teacher fails rather than the question.

        So it is where it never answered and cannot be reached or refuses every question, or where one question after
        the other is given up that might have been answered.
        """
        if isinstance(result, Reply):
            self._ever_answered, self._fruitless = True, 0
            return
        self._ever_answered = self._ever_answered or bool(result.raw)
        if self._ever_answered:
            self._fruitless = self._fruitless + last if result.again else 0
        else:
            if result.kind == "HTTP 403":
                raise EndpointError(result.message)
            self._fruitless += last or result.kind == "no connection"
        if self._fruitless >= 8 + 2 * self._concurrency:
            raise EndpointError(
                f"the last {self._fruitless} requests came to nothing; the last one: {result.message}. "
                "What was answered is stored; start the job again to ask for the rest"
            )

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not past the end."""
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stop.wait()


class RateLimiter:
    """A rate a minute, spread over the minute: at most a second's worth is let through at once."""

    def __init__(self, per_minute: float | None) -> None:
        self._per_second = math.inf if per_minute is None else per_minute / 60
        self._next = -math.inf

    def delay(self, amount: float) -> float:
        """Reserve `amount`; return the seconds to wait for it."""
        now = time.monotonic()
        start = max(self._next, now - 1)
        self._next = start + amount / self._per_second
        return max(0.0, start - now)


def backoff(failures: int, retry_after: float | None) -> float:
    """Return seconds to wait after so many failures in a row: random, up to twice as many each time, at most a minute.

    Never less than the endpoint asked for; a little more, so that not all requests return at the same moment.
    """
    return (retry_after or 0.0) + random.uniform(0, min(_LONGEST_BACKOFF, 2.0 ** min(failures - 1, 10)))


def _tokens(result: Reply | Failure, ceiling: Tokens) -> Tokens:
    """Return the tokens that may have to be paid for: as counted, else estimated, else the ceiling."""
    if result.raw is None:
        return Tokens(0, 0)
    prompt, completion = result.prompt_tokens, result.completion_tokens
    if completion is None:
        completion = estimate_text(result.text) if isinstance(result, Reply) else ceiling.completion
    return Tokens(ceiling.prompt if prompt is None else prompt, completion)
