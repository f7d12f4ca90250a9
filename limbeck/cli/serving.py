"""`limbeck serve`: a student in use."""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from limbeck.cli import terminal
from limbeck.cli.terminal import argument, option
from limbeck.errors import RecipeError
from limbeck.llm.settings import read_key

SERVE_EXAMPLES = (
    "Examples:\n\n"
    "limbeck serve runs/mine\n\n"
    "limbeck serve runs/mine --engine ctranslate2-int8 --port 8080\n\n"
    "limbeck serve runs/mine --teacher job.yaml --threshold 0.8\n\n"
    "LIMBECK_KEY=... limbeck serve runs/mine --host 0.0.0.0 --api-key-env LIMBECK_KEY"
)
_LIMITS, _CASCADE = "Limits", "Cascade"
_TEACHER = "Annotation job, YAML, whose teacher answers where the student is unsure."
_THRESHOLD = "Least probability of being right, like 0.8; auto: as accurate as the teacher alone, on validation."
_MAX_COST = "Largest share of the questions that may be passed on, on validation; in place of --threshold."


def serve(
    model: Annotated[Path, argument("Folder of a run, or its model/.")],
    *,
    host: Annotated[str, option("Address to listen on; others than this machine's need --api-key-env.")] = "127.0.0.1",
    port: Annotated[int, option("Port to listen on; 0: any that is free.", min=0, max=65535)] = 8000,
    engine: terminal.Engine = None,
    api_key_env: Annotated[
        str | None, option("Environment variable with the key that clients send.", metavar="VARIABLE")
    ] = None,
    teacher: Annotated[Path | None, option(_TEACHER, rich_help_panel=_CASCADE)] = None,
    threshold: Annotated[str, option(_THRESHOLD, rich_help_panel=_CASCADE)] = "auto",
    max_cost: Annotated[float | None, option(_MAX_COST, min=0, max=1, rich_help_panel=_CASCADE)] = None,
    batch_size: Annotated[int, option("Most questions at a time.", min=1, rich_help_panel=_LIMITS)] = 32,
    workers: Annotated[int, option("Batches at the same time.", min=1, max=64, rich_help_panel=_LIMITS)] = 1,
    queue: Annotated[int, option("Most questions that wait.", min=256, rich_help_panel=_LIMITS)] = 1024,
    timeout: Annotated[float, option("Seconds that a request may take.", min=0.1, rich_help_panel=_LIMITS)] = 60.0,
    log_inputs: Annotated[bool, option("Log the questions and their answers.", "--log-inputs")] = False,
) -> None:
    """Serve a student over HTTP: OpenAI's chat completions, /v1/answers, and a page to try it.

    Ctrl-C or SIGTERM ends it once what is in flight is answered.
    """
    if missing := [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]:
        raise RecipeError(f"limbeck serve needs {missing[0]}: pip install 'limbeck[serve]'")
    from limbeck.annotation.job import Job
    from limbeck.serving.app import ServingOptions
    from limbeck.serving.cascade import CascadeOptions
    from limbeck.serving.server import serve as run

    token = None
    if api_key_env is not None and (token := read_key(api_key_env)) is None:
        raise RecipeError(f"${api_key_env} is not set", field="--api-key-env")
    probability, cascade = None if threshold == "auto" else _probability(threshold), None
    if (probability is not None and max_cost is not None) or (
        teacher is None and (probability, max_cost) != (None, None)
    ):
        raise RecipeError("--threshold or --max-cost says what is passed on to a --teacher: give one of them")
    if teacher is not None:
        cascade = CascadeOptions(job=Job.load(teacher), threshold=probability, max_cost=max_cost)
    options = ServingOptions(
        batch_size=batch_size, queue=queue, workers=workers, seconds=timeout, token=token, log_inputs=log_inputs
    )
    run(model, options, host=host, port=port, engine=engine, cascade=cascade)


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise RecipeError(f"auto, or a probability like 0.8, was expected, not {text!r:.40}", field="--threshold")
    return value
