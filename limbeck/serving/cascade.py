"""The cascade: questions that a student is not sure of go to a teacher, whose replies are stored as they arrive."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Set
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

from limbeck.annotation.filters import Sample, sift
from limbeck.annotation.job import Job, OpenJob
from limbeck.annotation.results import MEASURED
from limbeck.data.conversations import export_rows
from limbeck.errors import EndpointError, LimbeckError, RecipeError, first_line
from limbeck.files import read_jsonl
from limbeck.llm.messages import Failure, Reply
from limbeck.llm.runner import Asker, Session
from limbeck.llm.store import Request, Result, Store
from limbeck.metrics.graded import Graded, as_arrays
from limbeck.metrics.predictions import read_predictions
from limbeck.metrics.selective import choose_thresholds
from limbeck.models import Card, open_teacher
from limbeck.runs.evaluation import graded_with_teacher
from limbeck.runs.records import TeacherTotals
from limbeck.runs.run import Run
from limbeck.schema import Example, Prediction
from limbeck.tasks import normalise

log = logging.getLogger(__name__)
_LONGEST_REST = 60.0  # seconds in which a teacher that failed is not asked


@dataclass(frozen=True, kw_only=True)
class CascadeOptions:
    """The teacher, and which questions are passed on to it: those of too low a confidence."""

    job: Job
    threshold: float | None = None  # the least probability of being right; None: chosen
    max_cost: float | None = None  # the largest share passed on


def least_confidence(options: CascadeOptions, run: Run | None, card: Card) -> float:
    """Return the confidence below which a question is passed on, chosen on the run's validation answers.

    `max_cost` is the share of these that may lie below it. `threshold` is a probability of being right, which isotonic
    regression on these gives each confidence; without a run it is the confidence itself. With neither it is the
    cheapest threshold of an accuracy no lower than the teacher's alone. Raises RecipeError where that takes what is
    not there, or answers that were given in another way than the `card` says.
    """
    validation = _validation(run, card)
    if 0 in (options.threshold, options.max_cost):
        return -math.inf
    if validation and options.max_cost is not None:
        confidences = sorted(-math.inf if p.confidence is None else p.confidence for p in validation)
        passed = math.floor(options.max_cost * len(confidences))
        return confidences[passed] if passed < len(confidences) else math.inf
    if options.threshold is not None:
        if answers := [p for p in validation if p.confidence is not None]:
            return _confidence_of(options.threshold, as_arrays(answers))
        log.warning("no validation answers: --threshold is compared with the confidence as it is")
        return options.threshold
    if run is None or not validation:
        reason = "the threshold is chosen on a run's validation answers, and there are none; give a probability"
        raise RecipeError(reason, field="--threshold")
    try:
        answers_and_teacher = graded_with_teacher(run)
    except LimbeckError as error:
        reason = f"auto needs the teacher's answers to the validation questions ({error})"
        raise RecipeError(f"{reason}; give a probability, or --max-cost", field="--threshold") from None
    threshold = choose_thresholds(answers_and_teacher, answers_and_teacher)["as_teacher"]["threshold"]
    return math.inf if threshold is None else float(threshold)


def _validation(run: Run | None, card: Card) -> list[Prediction]:
    """Return the run's validation answers, if they were given as the card says."""
    if run is None or not run.predictions("valid").is_file():
        return []
    results = run.results["valid"]
    if "ctranslate2-int8" in (engines := {results.get("engine"), card.engine}) and len(engines) > 1:
        return []  # whose confidences are other ones
    if any(results.get(name) != getattr(card, name) for name in ("answers", "votes", "temperature")):
        return []
    return read_predictions(run.measured_predictions("valid"))


def _confidence_of(probability: float, answers: Graded) -> float:
    fit = IsotonicRegression(y_min=0, y_max=1).fit(answers.confidence, answers.correct)
    likely = fit.X_thresholds_[fit.y_thresholds_ >= probability]
    return float(np.min(likely, initial=math.inf))


def measured_questions(run: Run | None) -> Set[str]:
    """Return the normalised questions that the run was validated or tested on: no student may be trained on them."""
    files = sorted(run.predictions("test").parent.glob("*.jsonl")) if run else []
    return {normalise(str(row.get("input"))) for file in files for _, row in read_jsonl(file)}


class Teacher(AbstractAsyncContextManager["Teacher"]):
    """A teacher asked about one question after another, within its job's rates and budget.

    A question in the store is not asked again, and one in flight not twice. After failures it rests for a while.
    """

    def __init__(self, job: Job, name: str, *, least_confidence: float, measured: Set[str] = frozenset()) -> None:
        """Open the job's store for the student `name`, below whose `least_confidence` questions are passed on.

        No student may be trained on the `measured` questions. Raises LimbeckError if store, prompt or endpoint cannot
        be used.
        """
        self.least_confidence = least_confidence
        self._job, self._opened, self._measured = job, OpenJob(job, ()), measured
        self._tasks: dict[str, asyncio.Task[Result | None]] = {}
        self._refused = set[str]()  # questions, which another attempt would not mend
        self._failures, self._rests_until = 0, -math.inf
        self._store = Store(job.store)
        try:
            session = Session(job, self._store, open_teacher)
            origin = {"served": name, "prompt": self._opened.prompt}
            session.begin(self._opened.prompt, self._opened.sent, origin)
            self._client, self._tally = session.open_client(job.sampling), session.tally
            self._asker = Asker(session, self._client)
        except BaseException:
            self._store.__exit__()
            raise
        self._room = asyncio.Semaphore(self._asker.concurrency)

    async def __aexit__(self, *_: object) -> None:
        """Wait for the replies in flight, and close the store."""
        self._asker.end(None)
        try:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await self._client.close()
        finally:
            self._store.__exit__()

    def cost(self) -> float:
        """Return the price of the replies since the start; 0 where no price is known."""
        return self._job.cost(self._tally.tokens) or 0.0

    def totals(self) -> TeacherTotals:
        """Return the replies since the start, and their price."""
        least = None if self.least_confidence == math.inf else max(0.0, self.least_confidence)
        cost = self._job.cost(self._tally.tokens)
        name, replies = self._job.teacher.name, self._tally.stored
        return TeacherTotals(name=name, least_confidence=least, replies=replies, cost=cost)

    async def answer(self, example: Example, seconds: float) -> Sample | None:
        """Return the teacher's answer with its label and rationale; None if it fails or takes longer.

        A reply that comes later is stored all the same.
        """
        if seconds <= 0:
            return None
        try:
            request = self._opened.requests([example])[0]
            async with asyncio.timeout(seconds):
                result = await self._result(request, example)
            if result is None or result.text is None:
                return None
            sample = Sample(*result)
            sift(example, [sample], self._opened.task, filters=self._job.filters, source=self._job.rationale)
        except TimeoutError:
            return None
        except LimbeckError as error:  # a question that the prompt does not fit
            log.warning("not passed on: %s", error)
            return None
        return sample if sample.label else None

    async def _result(self, request: Request, example: Example) -> Result | None:
        question = request.key.question
        if question not in self._tasks:
            await self._room.acquire()  # a task that has begun goes on after its caller's time
            task = self._tasks.get(question)
            if task is None:
                task = self._tasks[question] = asyncio.create_task(self._ask(request, example))
                task.add_done_callback(lambda _: self._room.release())
                task.add_done_callback(lambda _: self._tasks.pop(question))
            else:
                self._room.release()
        return await asyncio.shield(self._tasks[question])

    async def _ask(self, request: Request, example: Example) -> Result | None:
        call, store = self._asker.call, self._store
        try:
            result = await call(store.result, request.key)
            if result is not None and result.text is not None:
                return result
            rests = time.monotonic() < self._rests_until or request.key.question in self._refused
            if rests or not await call(self._claim, request, example):
                return None
            try:
                outcome = await self._asker.answer(request)
            finally:
                await call(store.release, request.key)
            if isinstance(outcome, Failure) and not outcome.again:
                self._refused.add(request.key.question)
            elif isinstance(outcome, Failure):
                self._rest(outcome.kind)  # its message may have the question, which no log is to have
            elif isinstance(outcome, Reply):
                self._failures = 0
            return await call(store.result, request.key)
        except Exception as error:  # of a local model too; the student's answer stands
            self._rest(first_line(error))
            return None

    def _rest(self, reason: str) -> None:
        """Leave the teacher alone, longer after each failure; what fails meanwhile was sent before."""
        if time.monotonic() >= self._rests_until:
            self._failures += 1
            seconds = min(_LONGEST_REST, 2.0**self._failures / 4)
            self._rests_until = time.monotonic() + seconds
            log.warning("the teacher is not asked for %g s: %s", seconds, reason)

    def _claim(self, request: Request, example: Example) -> bool:
        """Claim a request and keep its question for the harvest. Raises EndpointError where the budget is spent."""
        if not self._job.covers(self._store.spent(request.key.model).plus(request.ceiling)):
            raise EndpointError("the budget is spent")
        self._store.forget_failures()
        claimed = self._store.claim(deque([request]), 1, self._job.covers)
        if not claimed and self._store.others_claim(request.key.model):  # perhaps of a process that was killed
            claimed = self._store.claim(deque([request]), 1, self._job.covers)
        if claimed:
            # nothing else that a client sent
            fields = request.key.question, example.segments, ""
            question = Example(*fields, choices=example.choices, own_choices=example.own_choices)
            row = export_rows([question], self._opened.task, "limbeck")[0][0]
            measured = normalise(example.input) in self._measured
            self._store.keep_question(request.key, row | ({MEASURED: True} if measured else {}))
        return bool(claimed)
