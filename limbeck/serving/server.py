"""The server: its socket, its token, its connections, and its end."""

import asyncio
import logging
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import torch
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from limbeck.errors import FileError, LimbeckError, RecipeError
from limbeck.llm.settings import is_loopback
from limbeck.models.lora import merged
from limbeck.models.settings import EngineName
from limbeck.runs import open_run
from limbeck.runs.evaluation import TrainedStudent, open_trained
from limbeck.serving.app import Service, ServingOptions, application
from limbeck.serving.cascade import CascadeOptions, Teacher, least_confidence, measured_questions

log = logging.getLogger(__name__)
_HEAD_SECONDS = 15.0  # from a connection, or its last response, to the next request's head
_GRACE_SECONDS = 0.3  # for the request of a connection that was just made when the server ends
_BACKLOG = 4096


class _Connection(H11Protocol):
    """A connection that is closed where no request comes: uvicorn itself waits for ever for the first."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_request()

    def shutdown(self) -> None:
        if self.cycle is None:  # its first request may be on the way
            self.loop.call_later(_GRACE_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def _expect_request(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(_HEAD_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def serve(
    model: Path,
    options: ServingOptions,
    *,
    host: str,
    port: int,
    engine: EngineName | None = None,
    cascade: CascadeOptions | None = None,
) -> None:
    """Serve a run's student until SIGINT or SIGTERM, then answer what is in flight.

    With a `cascade` its teacher answers what the student is not sure of. In the end a line of counts and times is
    added to the run's serving.jsonl. Raises RecipeError for an address that others reach without a token, LimbeckError
    if the student cannot be served.
    """
    if not is_loopback(host) and not options.token:
        reason = "others reach this address: name the environment variable of a key with --api-key-env"
        raise RecipeError(reason, field="--host")
    folder = model.resolve().parent if model.resolve().name == "model" else model.resolve()
    run = open_run(folder) if (folder / "recipe.yaml").is_file() and (folder / "model").is_dir() else None
    # loaded where it will answer: with threads of OpenMP for another thread too, each operation would wait for its own
    pool = ThreadPoolExecutor(options.workers, "student")
    trained = pool.submit(_open_student, model, engine, options.workers).result()
    teacher = None
    if cascade is not None:
        job, task = cascade.job, trained.card.task
        if job.task != task:
            raise RecipeError(f"its task is {job.task!r}, the student's {task!r}", field="--teacher")
        if run is None:
            log.warning("%s is no run: the questions it was tested on are unknown, and may be harvested", folder)
        threshold = least_confidence(cascade, run, trained.card)
        teacher = Teacher(job, folder.name, least_confidence=threshold, measured=measured_questions(run))
        log.info("questions of a confidence below %.4g are passed on to %s", threshold, job.teacher.name)
    service = Service(trained, folder.name, options, teacher=teacher, pool=pool)
    server, listener = open_server(service, host, port)
    address, bound = f"[{host}]" if ":" in host else host, listener.getsockname()[1]
    with suppress(KeyboardInterrupt):
        # as Ctrl-C, before uvicorn has its own handlers and in the end, when it raises signals anew
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        log.info("%s answers at http://%s:%d (%s)", service.name, address, bound, trained.card.engine)
        server.run(sockets=[listener])
    if run is not None:
        try:
            run.add_serving(service.totals())
        except LimbeckError as error:  # of a folder that is only read
            log.warning("the counts of this server are not kept: %s", error)


def _open_student(model: Path, engine: EngineName | None, workers: int) -> TrainedStudent:
    trained = open_trained(model, {"engine": engine})
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    student = trained.student.eval()
    student.model = merged(student.model)
    student.use_engine(student.engine(trained.card.engine))
    return trained


def open_server(service: Service, host: str, port: int) -> tuple[uvicorn.Server, socket.socket]:
    """Return a server and the socket that it is to run with. Raises FileError if the address cannot be used."""
    _allow_connections()
    config = uvicorn.Config(
        application(service),
        http=_Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2 * int(service.options.seconds) + 1,  # for the body, and for the answer
    )
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise FileError(f"{host}:{port} cannot be used ({error}); give another --port", field="--port") from None
    return uvicorn.Server(config), listener


def _allow_connections() -> None:
    """Let this process hold as many connections as the system allows it."""
    if os.name == "posix":
        import resource

        _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
