"""Asking a teacher many questions: so many at a time, at a bounded rate, again where that may help, and each once."""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from limbeck.errors import LimbeckError
from limbeck.llm.engine import FORBIDDEN, Engine, Failure, Message, Reply
from limbeck.llm.interrupts import interrupts
from limbeck.llm.journal import Journal
from limbeck.llm.pacing import Rates, backoff
from limbeck.llm.settings import LimitSettings
from limbeck.llm.store import Key, Record, Store, Tokens
from limbeck.schema import Example

log = logging.getLogger(__name__)

_POLL = 0.5  # seconds between two looks at what other processes have in flight
_BYTES_PER_TOKEN = 3  # of English it is about four: an estimate that is rather too high
_PER_MESSAGE = 8  # tokens that a chat template adds


@dataclass(frozen=True, slots=True)
class Request:
    """One wanted answer, and the most tokens that it may use."""

    key: Key
    example: Example
    hint: bool
    most: Tokens


@dataclass
class Tally:
    """How the asking goes: counts of this start of the job, and the tokens its requests used."""

    wanted: int = 0  # answers that were missing when it began
    sent: int = 0  # requests
    stored: int = 0  # replies
    given_up: int = 0  # answers that stay missing for now
    failures: Counter[str] = field(default_factory=Counter)  # requests, by kind
    reasons: dict[str, str] = field(default_factory=dict)  # the last failure's message, by kind
    tokens: Tokens = field(default_factory=lambda: Tokens(0, 0))
    begun: float = field(default_factory=time.monotonic)
    stopped: str | None = None  # why it ended before all was asked: "budget", "time", "interrupted"

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.begun


def estimate(messages: Sequence[Message]) -> int:
    """About how many tokens a conversation has, rather too many than too few."""
    return sum(len(one["content"].encode(errors="replace")) // _BYTES_PER_TOKEN + _PER_MESSAGE for one in messages)


class Asker:
    """Asks for every answer that the store has not, until all are there or were given up, or something ends it.

    A reply is in the store before the next request is sent in its place. Ctrl-C waits for what is in flight; a second
    one does not. `covers` says whether so many tokens may be spent, all earlier requests to the model included; None:
    any. What happens is added to `tally`, and shown to `watch` after every request.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        messages: Callable[[Request], Sequence[Message]],
        engine: Engine,
        store: Store,
        limits: LimitSettings,
        covers: Callable[[Tokens], bool] | None,
        tally: Tally,
        watch: Callable[[Tally], None],
    ) -> None:
        self._messages, self._engine, self._limits = messages, engine, limits
        self._covers, self._tally, self._watch = covers, tally, watch
        self._requests = {request.key: request for request in requests}  # the same question twice is asked once
        self._pending = deque(self._requests)
        self._elsewhere: list[Key] = []  # claimed by other processes
        self._ready: deque[Key] = deque()  # claimed by this one, not sent yet
        self._in_flight = 0
        self._claiming = asyncio.Lock()
        self._something_ended = asyncio.Event()
        self._stop = asyncio.Event()
        self._error: Exception | None = None
        self._ever = False  # the model has answered something
        self._since = 0  # what other processes have given up after this failure is given up here, too
        self._refused, self._in_a_row = 0, 0
        self._waiting = False
        self._journal = Journal(store)
        self._rates = Rates(limits, max((sum(request.most) for request in requests), default=1))
        tally.wanted += len(self._pending)

    async def run(self) -> None:
        """
        Raises:
            LimbeckError: no request can succeed, or none did; what arrived is stored.
        """
        if not self._requests:
            return
        model = next(iter(self._requests)).model
        self._ever = await self._journal.do(lambda store: store.has_any(model))
        self._since = await self._journal.do(lambda store: store.last_failure())
        try:
            with interrupts(self._interrupted):
                if self._limits.hours is not None:
                    left = self._tally.begun + 3600 * self._limits.hours - time.monotonic()
                    asyncio.get_running_loop().call_later(max(0.0, left), self._end, "time")
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self._limits.concurrency, len(self._pending))):
                        group.create_task(self._work())
        finally:
            self._journal.close()
        if self._error is not None:
            raise self._error

    def _end(self, why: str) -> None:
        self._tally.stopped = self._tally.stopped or why
        self._stop.set()

    def _interrupted(self) -> None:
        log.warning("stopping once %d requests in flight are answered; again, and they are lost", self._in_flight)
        self._end("interrupted")

    async def _work(self) -> None:
        """Answer one after the other until there is no more. An error ends the others' work, not their requests."""
        try:
            while (key := await self._next()) is not None:
                self._in_flight += 1
                try:
                    await self._answer(self._requests[key])
                finally:
                    self._in_flight -= 1
                    self._something_ended.set()
        except Exception as error:
            self._error = self._error or error
            self._stop.set()

    async def _next(self) -> Key | None:
        """What is to be asked next, claimed; None: nothing."""
        async with self._claiming:
            while not self._ready and not self._stop.is_set() and (self._pending or self._elsewhere):
                await self._claim()
            return self._ready.popleft() if self._ready and not self._stop.is_set() else None

    async def _claim(self) -> None:
        again = not self._pending
        if again:  # all that is left is with other processes
            self._pending, self._elsewhere = deque(self._elsewhere), []
        batch = [self._pending.popleft() for _ in range(min(len(self._pending), self._limits.concurrency))]
        wanted = [(key, self._requests[key].most) for key in batch]
        self._something_ended.clear()
        claimed = await self._journal.do(lambda store: store.claim(wanted, self._covers, self._since))
        self._ready.extend(claimed.mine)
        self._elsewhere.extend(claimed.elsewhere)
        self._pending.extendleft(reversed(claimed.too_dear))
        if claimed.mine:
            return
        if claimed.too_dear and self._in_flight:
            await self._something_ended.wait()  # it may have used less than it might have
        elif claimed.too_dear and not claimed.others:
            self._end("budget")
        elif claimed.too_dear or (again and self._elsewhere):
            await self._wait_for_others()

    async def _wait_for_others(self) -> None:
        """Wait for what other processes have claimed; some of them may have been killed."""
        if not self._waiting:
            log.info("waiting for another process that asks the same teacher with this store")
        self._waiting = True
        if not await self._journal.do(lambda store: store.release_dead()):
            await self._sleep(_POLL)

    async def _answer(self, request: Request) -> None:
        """Send a request until it is answered, or that is given up."""
        conversation = self._messages(request)
        for attempt in count(1):
            await self._rates.wait(sum(request.most), self._stop)
            if self._stop.is_set():
                return  # its claim goes back
            self._tally.sent += 1
            result = await self._engine.ask(conversation)
            failed = isinstance(result, Failure) and result.again and attempt < self._limits.attempts
            last = not failed or self._stop.is_set()
            await self._keep(request, result, last)
            if last or not await self._affords_more(request, result):
                return
            await self._sleep(backoff(attempt, result.retry_after if isinstance(result, Failure) else None))

    async def _affords_more(self, request: Request, result: Reply | Failure) -> bool:
        """Whether a further attempt is within the budget, where the last one was paid for."""
        covers = self._covers
        if covers is None or result.raw is None:
            return True
        if await self._journal.do(lambda store: covers(store.spent(request.key.model))):
            return True
        self._end("budget")
        return False

    async def _keep(self, request: Request, result: Reply | Failure, last: bool) -> None:
        used = _used(result, request.most)
        await self._journal.put(Record(request.key, request.example.id, result, used, last))
        tally = self._tally
        tally.tokens = Tokens(tally.tokens.prompt + used.prompt, tally.tokens.completion + used.completion)
        if isinstance(result, Reply):
            tally.stored += 1
        else:
            tally.failures[result.kind] += 1
            tally.reasons[result.kind] = result.message
            tally.given_up += last
        self._watch(tally)
        self._check_hopeless(result, last)

    def _check_hopeless(self, result: Reply | Failure, last: bool) -> None:
        """Stop where it is the teacher that fails, not the question.

        So it is where it never answered anything and cannot be reached, or refuses what it is asked; or where one
        request after the other is given up that might as well have been answered.
        """
        limit = 8 + 2 * min(self._limits.concurrency, len(self._requests))
        if isinstance(result, Reply) or result.raw:
            self._ever = True
        if isinstance(result, Reply) or not result.again:
            self._in_a_row = 0
        if isinstance(result, Reply):
            return
        self._refused += not self._ever and (result.kind == "no connection" or not result.again)
        self._in_a_row += last and result.again
        if not self._ever and result.kind == FORBIDDEN:
            raise LimbeckError(result.message)
        if not self._ever and self._refused >= limit:
            raise LimbeckError(f"none of {self._refused} requests was answered; the last one: {result.message}")
        if self._in_a_row >= limit:
            raise LimbeckError(
                f"the last {self._in_a_row} questions came to nothing; the last one: {result.message}. "
                "What was answered is stored; start the job again to ask for the rest"
            )

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not past the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()


def _used(result: Reply | Failure, most: Tokens) -> Tokens:
    """The tokens that may have to be paid for: as the teacher counted, else estimated, at the dearest."""
    if result.raw is None:
        return Tokens(0, 0)
    text = len(result.text.encode(errors="replace")) // _BYTES_PER_TOKEN if isinstance(result, Reply) else None
    counted = result.prompt_tokens, result.completion_tokens
    completion = most.completion if text is None else text
    return Tokens(most.prompt if counted[0] is None else counted[0], completion if counted[1] is None else counted[1])
