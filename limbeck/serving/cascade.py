"""The cascade: questions that a student is not sure of go to a teacher, whose replies are stored as they arrive."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Set
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from sklearn.isotonic import IsotonicRegression

from limbeck.annotation.filters import Sample, sift
from limbeck.annotation.job import Job, OpenJob
from limbeck.data.conversations import export_rows
from limbeck.errors import LimbeckError, RecipeError
from limbeck.files import read_jsonl
from limbeck.llm.messages import Tokens
from limbeck.llm.runner import Asker, Session
from limbeck.llm.store import Request, Result, Store
from limbeck.metrics.graded import Graded, as_arrays
from limbeck.metrics.predictions import read_predictions
from limbeck.metrics.selective import cascade
from limbeck.models import open_teacher
from limbeck.runs.evaluation import graded_with_teacher
from limbeck.runs.run import Run
from limbeck.schema import Example
from limbeck.tasks import normalise

log = logging.getLogger(__name__)
_LONGEST_REST = 60.0  # seconds in which a teacher that failed is not asked


@dataclass(frozen=True, kw_only=True)
class CascadeOptions:
    """The teacher, and which questions are passed on to it: those of too low a confidence."""

    job: Job
    threshold: float | None = None  # the least probability of being right; None: chosen
    max_cost: float | None = None  # the largest share passed on


def least_confidence(options: CascadeOptions, run: Run | None) -> float:
    """Return the confidence below which a question is passed on, chosen on the run's validation answers.

    `max_cost` is the share of these that may lie below it. `threshold` is a probability of being right, which isotonic
    regression on these gives each confidence; without a run it is the confidence itself. With neither it is the
    cheapest threshold of an accuracy no lower than the teacher's alone. Raises RecipeError where that takes what is
    not there.
    """
    path = run and run.predictions("valid")
    validation = [p for p in read_predictions(path) if p.confidence is not None] if path and path.is_file() else []
    if validation and options.max_cost is not None:
        confidences = sorted(float(p.confidence or 0) for p in validation)
        passed = math.floor(options.max_cost * len(confidences))
        return confidences[passed] if passed < len(confidences) else math.inf
    if validation and options.threshold is not None:
        return _confidence_of(options.threshold, as_arrays(validation))
    if options.threshold is not None:
        log.warning("no validation answers: --threshold is compared with the confidence as it is")
        return options.threshold
    if options.max_cost is None and run and validation:
        try:
            answers, teacher = graded_with_teacher(run)
        except LimbeckError as error:
            reason = f"auto needs the teacher's answers to the validation questions ({error})"
            raise RecipeError(f"{reason}; give a probability, or --max-cost", field="--threshold") from None
        points = cascade(answers.confidence, answers.correct, teacher, points=None)
        point = next(point for point in points if point.accuracy >= points[-1].accuracy - 1e-12)
        return math.inf if point.threshold is None else point.threshold
    reason = "the threshold is chosen on a run's validation answers, and there are none; give a probability"
    raise RecipeError(reason, field="--threshold")


def _confidence_of(probability: float, answers: Graded) -> float:
    fit = IsotonicRegression(y_min=0, y_max=1).fit(answers.confidence, answers.correct)
    likely = fit.X_thresholds_[fit.y_thresholds_ >= probability]
    return float(np.min(likely, initial=math.inf))


def measured_questions(run: Run | None) -> Set[str]:
    """Return the normalised questions that the run was validated or tested on: no student may be trained on them."""
    files = sorted(run.predictions("test").parent.glob("*.jsonl")) if run else []
    return {normalise(row["input"]) for file in files for _, row in read_jsonl(file)}


class Teacher(AbstractAsyncContextManager["Teacher"]):
    """A teacher asked about one question after another, within its job's rates and budget.

    A question in the store is not asked again, and one in flight not twice. After failures it rests for a while.
    """

    def __init__(self, job: Job, name: str, measured: Set[str]) -> None:
        """Take the student's name, for the store, and the questions that no student may be trained on."""
        self._job, self._opened, self._name, self._measured = job, OpenJob(job, ()), name, measured
        self._tasks: dict[str, asyncio.Task[Result | None]] = {}
        self._failures, self._rests_until = 0, -math.inf

    async def __aenter__(self) -> Self:
        self._store = Store(self._job.store)
        try:
            self._session = Session(self._job, self._store, open_teacher)
            self._session.begin(self._opened.prompt, self._opened.sent, {"served": self._name})
            self._client = self._session.open_client(self._job.sampling)
        except BaseException:
            self._store.__exit__()
            raise
        self._asker = Asker(self._session, self._client)
        self._room = asyncio.Semaphore(self._asker.concurrency)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._asker.end(None)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._client.close()
        self._store.__exit__()

    @property
    def used(self) -> Tokens:
        """The tokens used since the start."""
        return self._session.tally.tokens

    def cost(self) -> float:
        """Return their price; 0 where no price is known."""
        return self._job.cost(self.used) or 0.0

    async def answer(self, example: Example, seconds: float) -> Sample | None:
        """Return the teacher's answer with its label and rationale; None if it fails or takes longer.

        A reply that comes later is stored all the same.
        """
        request = self._opened.requests([example])[0]
        question = request.key.question
        if question not in self._tasks:
            self._tasks[question] = asyncio.create_task(self._ask(request, example))
            self._tasks[question].add_done_callback(lambda _: self._tasks.pop(question, None))
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                result = await asyncio.shield(self._tasks[question])
        except TimeoutError:
            return None
        if result is None or result.text is None:
            return None
        sample = Sample(*result)
        sift(example, [sample], self._opened.task, filters=self._job.filters, source=self._job.rationale)
        return sample if sample.label else None

    async def _ask(self, request: Request, example: Example) -> Result | None:
        call, store = self._asker.call, self._store
        try:
            async with self._room:
                result = await call(store.result, request.key)
                if result is None or result.text is None:
                    if time.monotonic() < self._rests_until or not await call(self._claim, request, example):
                        return None
                    try:
                        await self._asker.answer(request)
                    finally:
                        await call(store.release, request.key)
                    result = await call(store.result, request.key)
                    self._failures = 0 if result and result.text is not None else self._failures + 1
        except LimbeckError as error:
            log.warning("the teacher is not asked for a while: %s", error)
            self._failures += 1
            return None
        finally:
            if self._failures:
                self._rests_until = time.monotonic() + min(_LONGEST_REST, 2.0**self._failures / 4)
        return result

    def _claim(self, request: Request, example: Example) -> bool:
        if normalise(example.input) not in self._measured:
            question = replace(example, id=request.key.question, label="", answers=())
            self._store.keep_question(request.key, export_rows([question], self._opened.task, "limbeck")[0][0])
        self._store.forget_failures()
        return bool(self._store.claim(deque([request]), 1, self._job.covers))
