"""Batches of the questions that wait for a student: those of all requests share a pass through the model."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

from limbeck.errors import LimbeckError, ModelError
from limbeck.schema import Example

log = logging.getLogger(__name__)
# Seconds in which questions join a batch that is not full: a share of the last batch's, within these limits.
_SHORTEST_PAUSE, _LONGEST_PAUSE, _SHARE, _PAUSES = 0.004, 0.1, 0.02, 3
T = TypeVar("T")
Work = Callable[[Sequence[Example], bool], Sequence[T]]
"""`work(examples, rationales)` returns an answer to each in order; it is called in a thread."""


class QueueFullError(LimbeckError):
    """The queue has no room for a request's questions; it may have after `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many questions are waiting; ask again in {seconds} s")
        self.seconds = seconds


@dataclass(eq=False)
class _Question:
    example: Example
    rationale: bool
    answer: "asyncio.Future[Any]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batches(Generic[T]):
    """A bounded queue of questions, and the workers that answer them in batches."""

    def __init__(
        self,
        work: Work[T],
        *,
        size: int,
        room: int,
        workers: int,
        pool: Executor,
        watch: Callable[[int, float], None],
    ) -> None:
        """Answer up to `size` questions at a time in each of `workers` threads of the `pool`; at most `room` wait.

        In the end the pool is shut down. `watch` is told the number of questions and the seconds of each batch.
        """
        self._work, self._size, self._room, self._watch = work, size, room, watch
        self._waiting = deque[_Question]()
        self._arrived = asyncio.Event()
        self._pool = pool
        self._workers = workers
        self._seconds = 0.1  # that a question took of late, a moving average
        self._pause = _SHORTEST_PAUSE

    def __len__(self) -> int:
        return len(self._waiting)

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._serve()) for _ in range(self._workers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def answers(self, examples: Sequence[Example], *, rationale: bool) -> list[T]:
        """Return the answers in order. Raises QueueFullError at once, and LimbeckError where the student fails."""
        if len(self._waiting) + len(examples) > self._room:
            raise QueueFullError(max(1, math.ceil(len(self._waiting) * self._seconds)))
        questions = [_Question(example, rationale) for example in examples]
        self._waiting.extend(questions)
        self._arrived.set()
        try:
            return await asyncio.gather(*(question.answer for question in questions))
        except BaseException:  # after a time-out they need neither an answer nor room
            for question in questions:
                question.answer.cancel()
            self._waiting = deque(question for question in self._waiting if not question.answer.done())
            raise

    async def _serve(self) -> None:
        while True:
            await self._arrived.wait()
            for _ in range(_PAUSES):  # while they come: those who had their answers just now may ask again
                if (count := len(self._waiting)) < self._size:
                    await asyncio.sleep(self._pause)
                if len(self._waiting) == count:
                    break
            if batch := self._next_batch():
                await self._compute(batch)

    def _next_batch(self) -> list[_Question]:
        """Take the questions that have waited longest and that want rationales alike."""
        batch, later = list[_Question](), list[_Question]()
        while self._waiting and len(batch) < self._size:
            question = self._waiting.popleft()
            if not question.answer.done():
                joins = not batch or question.rationale == batch[0].rationale
                (batch if joins else later).append(question)
        self._waiting.extendleft(reversed(later))
        if not self._waiting:
            self._arrived.clear()
        return batch

    async def _compute(self, batch: Sequence[_Question]) -> None:
        start, examples = time.monotonic(), [question.example for question in batch]
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._pool, self._work, examples, batch[0].rationale)
            pairs = list(zip(batch, answers, strict=True))
        except Exception as error:
            if len(batch) > 1:  # one of them may be at fault
                for question in batch:
                    if not question.answer.done():
                        await self._compute([question])
                return
            if not isinstance(error, LimbeckError):
                log.exception("the student failed")
                error = ModelError("the student failed")
            with suppress(asyncio.InvalidStateError):  # nobody waits for it any longer
                batch[0].answer.set_exception(error)
            return
        seconds = time.monotonic() - start
        self._pause = min(max(_SHORTEST_PAUSE, _SHARE * seconds), _LONGEST_PAUSE)
        self._seconds += (seconds / len(batch) / self._workers - self._seconds) / 8
        self._watch(len(batch), seconds)
        for question, answer in pairs:
            with suppress(asyncio.InvalidStateError):
                question.answer.set_result(answer)
