"""Which teacher, how it is sampled, and how fast, how long and for how much money it may be asked."""

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from limbeck.settings import UNSHOWN, Settings, from_name

OPENAI = "https://api.openai.com/v1"


class TeacherSettings(Settings):
    """A model behind an OpenAI-compatible endpoint, or (`engine: local`) a Hugging Face model on this machine."""

    name: str = Field(description="as the endpoint calls it; for engine local a name on the Hub, or a folder")
    engine: Literal["endpoint", "local"] = "endpoint"
    base_url: str | None = Field(None, description=f"of the endpoint; by default $OPENAI_BASE_URL, or else {OPENAI}")
    key: str = Field(
        "OPENAI_API_KEY", description="the environment variable that holds the key; not set: no key is sent"
    )
    batch_size: int = Field(8, ge=1, description="conversations at a time (engine local)")

    @field_validator("key")
    @classmethod
    def _variable(cls, key: str) -> str:
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,99}", key):
            # said without what was given: it may be the key itself
            raise PydanticCustomError(UNSHOWN, "the name of an environment variable was expected, like OPENAI_API_KEY")
        return key

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        return url if url is None else check_url(url)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.engine == "local" and self.base_url is not None:
            raise ValueError("base_url is for engine endpoint; a local model has none")
        if self.engine == "endpoint" and "batch_size" in self.model_fields_set:
            raise ValueError("batch_size is for engine local; an endpoint has limits.concurrency")
        return self


NamedTeacher = Annotated[TeacherSettings, BeforeValidator(from_name, json_schema_input_type=str | TeacherSettings)]


class SamplingSettings(Settings):
    """How answers are drawn. What is sent of it but `max_tokens` is part of what a stored reply stands for.

    That includes the temperature: with the default ones, answers to one sample are not among those to several.
    """

    samples: int = Field(1, ge=1, le=1000, description="answers to each question")
    temperature: float | None = Field(None, ge=0, le=2, description="by default 0 for one sample, 0.7 for several")
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int = Field(1024, ge=1, description="of an answer; one that reaches it is cut off, and a failure")
    extra: dict[str, Any] = Field(
        default_factory=dict, description="further fields of the request, like {reasoning_effort: low}"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        ours = {"model", "messages", "max_tokens", "temperature", "top_p", "n", "stream"}
        if taken := sorted(ours & self.extra.keys()):
            raise ValueError(f"extra: {taken[0]!r} is not for extra: limbeck sets it")
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("samples: several at temperature 0 are all the same; raise temperature")
        return self

    @property
    def heat(self) -> float:
        """The temperature that is sent."""
        return self.temperature if self.temperature is not None else 0.7 if self.samples > 1 else 0.0


class LimitSettings(Settings):
    """How hard an endpoint is pressed, by each process that asks it."""

    concurrency: int = Field(
        16, ge=1, le=4096, description="requests in flight at a time; of engine local: twice what its batches hold"
    )
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0, description="of questions and answers together, estimated")
    request_seconds: float = Field(120, gt=0, description="the longest that one request may take")
    hours: float | None = Field(None, gt=0, description="after so many no new request is sent")
    attempts: int = Field(8, ge=1, le=100, description="at each answer, in one start of the job")


class BudgetSettings(Settings):
    """What all the requests of a job may cost, those of earlier starts included. When it is spent the job ends."""

    money: float | None = Field(None, gt=0, description="in the currency of the prices")
    tokens: int | None = Field(None, gt=0, description="of questions and answers together")


class PriceSettings(Settings):
    """What a million tokens cost."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


def check_url(url: str) -> str:
    """The URL of an endpoint, without a slash at its end.

    Raises:
        ValueError: it is no http(s) URL, or holds a password or a query, where keys are met with.
    """
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname
    except ValueError:
        whole = None
    if not whole:
        raise PydanticCustomError(UNSHOWN, "an address like http://HOST:PORT/v1 or https://HOST/v1 was expected")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise PydanticCustomError(
            UNSHOWN,
            "a URL without user, password or query was expected: a key belongs into the environment variable `key`",
        )
    return url.rstrip("/")
