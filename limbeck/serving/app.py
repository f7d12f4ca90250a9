"""The application: a student behind limbeck's own interface and OpenAI's chat completions."""

import asyncio
import base64
import hashlib
import json
import logging
import math
import re
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPBearer
from pydantic import JsonValue
from starlette.exceptions import HTTPException

import limbeck
from limbeck.data.rows import read_later_table
from limbeck.data.views import source
from limbeck.errors import DataError, LimbeckError, RecipeError
from limbeck.metrics.predict import predict
from limbeck.runs.evaluation import TrainedStudent
from limbeck.runs.records import ServerTotals
from limbeck.runs.run import now
from limbeck.schema import Example, Prediction
from limbeck.serving.batches import Batches, QueueFullError
from limbeck.serving.cascade import Teacher
from limbeck.serving.gate import Gate, refusal
from limbeck.serving.metrics import Metrics
from limbeck.serving.protocol import (
    AnswersRequest,
    AnswersResponse,
    ChatCompletion,
    ChatRequest,
    CompletionChoice,
    CompletionMessage,
    ErrorResponse,
    ModelEntry,
    ModelList,
    ServedAnswer,
    Usage,
)

log = logging.getLogger(__name__)
_PATHS = frozenset(("/v1/answers", "/v1/chat/completions", "/v1/models", "/healthz", "/metrics", "/"))
MOST_CHARACTERS, MOST_CHOICES = 50_000, 64  # of a question
_MARGIN = 0.1  # seconds that the student's own answer needs to go out in time
_REFUSALS = {
    400: "not JSON",
    401: "a wrong key",
    408: "the body came too slowly",
    413: "the body is too large",
    415: "another type than JSON",
    421: "another host's name",
    422: "a field is wrong",
    429: "too many questions wait",
    500: "the student failed",
    504: "no answer in time",
}


@dataclass(frozen=True, kw_only=True)
class ServingOptions:
    """The options of a server."""

    batch_size: int = 32
    queue: int = 1024  # questions that wait at most
    workers: int = 1  # batches at the same time
    seconds: float = 60.0  # that a request may take
    token: str | None = None
    log_inputs: bool = False


class Service:
    """A student that answers the questions of all requests, by batches, and the teacher behind it."""

    def __init__(
        self,
        trained: TrainedStudent,
        name: str,
        options: ServingOptions,
        *,
        teacher: Teacher | None = None,
        pool: ThreadPoolExecutor | None = None,
    ) -> None:
        """Serve the student under a `name`; its work is done in `pool`, which has a thread for each worker."""
        self.trained, self.name, self.options, self.teacher = trained, name, options, teacher
        self.created, self._started = int(time.time()), now()
        self.metrics = Metrics(_PATHS, lambda: len(self.batches), teacher.cost if teacher else None)
        self.batches: Batches[tuple[Prediction, Usage]] = Batches(
            self._predict,
            size=options.batch_size,
            room=options.queue,
            workers=options.workers,
            pool=pool or ThreadPoolExecutor(options.workers),
            watch=self.metrics.batch,
        )

    def totals(self) -> ServerTotals:
        """Return what was answered since the start."""
        teacher, engine = self.teacher and self.teacher.totals(), self.trained.card.engine
        counts = self.metrics.totals()
        return ServerTotals(started=self._started, ended=now(), engine=engine, teacher=teacher, **counts)

    def _predict(self, examples: Sequence[Example], rationales: bool) -> list[tuple[Prediction, Usage]]:
        student, card, size = self.trained.student, self.trained.card, self.options.batch_size
        predictions = predict(student, card, examples, self.trained.task, rationales=rationales, batch_size=size)
        prompts, _ = student.source_ids([source(example, card.answer_view) for example in examples])
        completions = student.target_ids([prediction.prediction or "" for prediction in predictions])
        lengths = [(len(prompt), len(ids)) for prompt, ids in zip(prompts, completions, strict=True)]
        usages = [Usage(prompt_tokens=p, completion_tokens=c, total_tokens=p + c) for p, c in lengths]
        return list(zip(predictions, usages, strict=True))

    async def answer(
        self, questions: Sequence[str | dict[str, JsonValue]], *, rationale: bool
    ) -> list[tuple[ServedAnswer, Usage]]:
        """Return the answers in order. Raises LimbeckError for a wrong question or a full queue, and TimeoutError."""
        if rationale:
            self.trained.check_rationales()
        examples = [self._example(number, question) for number, question in enumerate(questions, start=1)]
        end = time.monotonic() + self.options.seconds
        async with asyncio.timeout(self.options.seconds):
            predicted = await self.batches.answers(examples, rationale=rationale)
        predictions, usages = zip(*predicted, strict=True)
        pairs = zip(examples, predictions, strict=True)
        answers = await asyncio.gather(*(self._settled(*pair, rationale=rationale, end=end) for pair in pairs))
        for prediction, answer in zip(predictions, answers, strict=True):
            self.metrics.answered(answer.answered_by, answer.passed_on)
            if self.options.log_inputs:
                log.info("%s", json.dumps({"input": prediction.input, **answer.model_dump(exclude_none=True)}))
        return list(zip(answers, usages, strict=True))

    async def _settled(self, example: Example, prediction: Prediction, *, rationale: bool, end: float) -> ServedAnswer:
        """Return the student's answer, or where it is not sure enough the teacher's, if that comes before `end`."""
        answer = ServedAnswer(
            answer=prediction.prediction or "",
            confidence=prediction.confidence,
            rationale=prediction.rationale,
            input_cut=bool(prediction.input_cut),
        )
        confidence = -math.inf if prediction.confidence is None else prediction.confidence
        if self.teacher is None or confidence >= self.teacher.least_confidence:
            return answer
        start = time.monotonic()
        sample = await self.teacher.answer(example, end - start - _MARGIN)
        self.metrics.waited(time.monotonic() - start)
        if sample is None:
            return answer.model_copy(update={"passed_on": "failed"})
        reason = sample.rationale if rationale else None
        by_teacher = {"answer": sample.label, "rationale": reason, "answered_by": "teacher", "passed_on": "answered"}
        return answer.model_copy(update=by_teacher)

    def _example(self, number: int, question: str | dict[str, JsonValue]) -> Example:
        row: dict[str, Any] = {"input": question} if isinstance(question, str) else question
        (example,) = read_later_table(
            [(f"question {number}", str(number), row)], self.trained.columns, self.trained.task
        )
        if len(example.input) > MOST_CHARACTERS or len(example.choices) > MOST_CHOICES:
            limits = f"{MOST_CHARACTERS:,} characters and {MOST_CHOICES} choices"
            raise DataError(f"question {number}: a question has at most {limits}", field="input")
        return example


def application(service: Service) -> FastAPI:
    """Return the application, behind its gate."""
    options = service.options

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.batches, service.teacher or nullcontext():
            yield

    app = FastAPI(
        title=f"limbeck: {service.name}",
        version=limbeck.__version__,
        lifespan=lifespan,
        redoc_url=None,
        responses={code: {"model": ErrorResponse, "description": text} for code, text in _REFUSALS.items()},
    )
    app.add_middleware(Gate, token=options.token, seconds=options.seconds, metrics=service.metrics)
    _handle_errors(app, options.seconds)
    protected = APIRouter(dependencies=[Depends(HTTPBearer(auto_error=False))] if options.token else [])
    _add_answers(protected, service)
    _add_state(app, protected, service)
    app.include_router(protected)
    return app


def _add_answers(router: APIRouter, service: Service) -> None:
    @router.post("/v1/answers")
    async def answers(request: AnswersRequest) -> AnswersResponse:
        """Answer one question or several."""
        start = time.monotonic()
        answers = await service.answer(request.questions, rationale=request.rationale)
        seconds = round(time.monotonic() - start, 4)
        return AnswersResponse(model=service.name, answers=[answer for answer, _ in answers], seconds=seconds)

    @router.post("/v1/chat/completions", response_model=ChatCompletion)
    async def chat_completions(request: ChatRequest) -> Any:
        """Answer the question in the last turn of the user, as OpenAI's endpoint of this name does."""
        ((answer, usage),) = await service.answer([request.question()], rationale=request.rationale)
        message = CompletionMessage(content=answer.answer, reasoning_content=answer.rationale)
        completion = ChatCompletion(
            id=f"chatcmpl-{uuid.uuid4().hex}",
            created=int(time.time()),
            model=service.name,
            choices=[CompletionChoice(message=message)],
            usage=usage,
            confidence=answer.confidence,
            answered_by=answer.answered_by,
            passed_on=answer.passed_on,
        )
        if not request.stream:
            return completion
        chunks = completion.chunks(bool(request.stream_options and request.stream_options.include_usage))
        events = [*(json.dumps(chunk) for chunk in chunks), "[DONE]"]
        return Response("".join(f"data: {event}\n\n" for event in events), media_type="text/event-stream")


def _add_state(app: FastAPI, protected: APIRouter, service: Service) -> None:
    @protected.get("/v1/models")
    async def models() -> ModelList:
        """List the student."""
        return ModelList(data=[ModelEntry(id=service.name, created=service.created)])

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the student is loaded and answers."""
        return {"status": "ok"}

    @protected.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Return the metrics in Prometheus' text format."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    page = (files("limbeck.serving") / "page.html").read_text(encoding="utf-8")
    script, style = (re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[0] for tag in ("script", "style"))
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    policy = (
        f"default-src 'none'; connect-src 'self'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def try_it() -> HTMLResponse:
        return HTMLResponse(page, headers={"content-security-policy": policy})


def _handle_errors(app: FastAPI, seconds: float) -> None:
    @app.exception_handler(LimbeckError)
    async def wrong(_: Request, error: LimbeckError) -> Response:
        if isinstance(error, QueueFullError):
            return refusal(429, str(error), "queue_full", headers={"retry-after": str(error.seconds)})
        if isinstance(error, DataError | RecipeError):
            return refusal(422, str(error), "invalid_request_error", param=error.field)
        log.error("%s", error)
        return refusal(500, "the student failed; the server's log says why", "server_error")

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        problem = error.errors()[0]
        if problem["type"] == "json_invalid":
            return refusal(400, f"not JSON, from character {problem['loc'][-1]} on", "invalid_request_error")
        path = [str(name) for name in problem["loc"][1:] if not re.search(r"[\[-]", str(name))]  # no union's members
        return refusal(422, str(problem["msg"]), "invalid_request_error", param=".".join(path) or None)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        return refusal(error.status_code, str(error.detail), "invalid_request_error", headers=dict(error.headers or {}))

    @app.exception_handler(TimeoutError)
    async def too_late(_: Request, _error: TimeoutError) -> Response:
        return refusal(504, f"no answer within {seconds:g} s", "timeout")

    @app.exception_handler(Exception)
    async def failed(_: Request, _error: Exception) -> Response:
        return refusal(500, "the student failed; the server's log says why", "server_error")
