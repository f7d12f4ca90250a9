"""Batches of the questions that wait for a student: those of all requests share a pass through the model."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from limbeck.errors import LimbeckError
from limbeck.schema import Example, Prediction

log = logging.getLogger(__name__)
_PAUSE = 0.004  # seconds in which questions join a batch that is not full
Answer = Callable[[Sequence[Example], bool], Sequence[Prediction]]
"""`answer(examples, rationales)` returns their predictions in order; it is called in a thread."""


class QueueFullError(LimbeckError):
    """The queue has no room for a request's questions; it may have after `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many questions are waiting; ask again in {seconds} s")
        self.seconds = seconds


@dataclass(eq=False)
class _Question:
    example: Example
    rationale: bool
    prediction: "asyncio.Future[Prediction]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batches:
    """A bounded queue of questions, and the workers that answer them in batches."""

    def __init__(
        self, answer: Answer, *, size: int, room: int, workers: int, watch: Callable[[int, float], None]
    ) -> None:
        """Answer up to `size` questions at a time in each of `workers` threads; at most `room` wait.

        `watch` is told the number of questions and the seconds of each batch.
        """
        self._answer, self._size, self._room, self._watch = answer, size, room, watch
        self._waiting = deque[_Question]()
        self._arrived = asyncio.Event()
        self._pool = ThreadPoolExecutor(workers, "student")
        self._workers = workers
        self._seconds = 0.1  # that a question took of late, a moving average

    def __len__(self) -> int:
        return len(self._waiting)

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def predict(self, examples: Sequence[Example], *, rationale: bool) -> list[Prediction]:
        """Return the student's answers in order. Raises QueueFullError at once; what the student raises."""
        if len(self._waiting) + len(examples) > self._room:
            raise QueueFullError(max(1, math.ceil(len(self._waiting) * self._seconds)))
        questions = [_Question(example, rationale) for example in examples]
        self._waiting.extend(questions)
        self._arrived.set()
        try:
            return await asyncio.gather(*(question.prediction for question in questions))
        finally:
            for question in questions:  # after a time-out they need no answer
                question.prediction.cancel()

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            if len(self._waiting) < self._size:
                await asyncio.sleep(_PAUSE)
            if batch := self._next_batch():
                await self._compute(batch)

    def _next_batch(self) -> list[_Question]:
        """Take the questions that have waited longest and that want rationales alike."""
        batch, others = list[_Question](), list[_Question]()
        while self._waiting and len(batch) < self._size:
            question = self._waiting.popleft()
            if not question.prediction.done():
                same = not batch or question.rationale == batch[0].rationale
                (batch if same else others).append(question)
        self._waiting.extendleft(reversed(others))
        if not self._waiting:
            self._arrived.clear()
        return batch

    async def _compute(self, batch: Sequence[_Question]) -> None:
        start, examples = time.monotonic(), [question.example for question in batch]
        loop = asyncio.get_running_loop()
        try:
            predictions = await loop.run_in_executor(self._pool, self._answer, examples, batch[0].rationale)
        except Exception as error:
            if not isinstance(error, LimbeckError):
                log.exception("the student failed")
            for question in batch:
                with suppress(asyncio.InvalidStateError):  # nobody waits for it any longer
                    question.prediction.set_exception(error)
            return
        seconds = time.monotonic() - start
        self._seconds += (seconds / len(batch) / self._workers - self._seconds) / 8
        self._watch(len(batch), seconds)
        for question, prediction in zip(batch, predictions, strict=True):
            with suppress(asyncio.InvalidStateError):
                question.prediction.set_result(prediction)
