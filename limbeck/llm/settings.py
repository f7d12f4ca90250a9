"""Settings of a chat model that is asked: which one, how it is sampled, its limits, its prices and the budget."""

import json
import os
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from limbeck.errors import EndpointError, RecipeError
from limbeck.llm.messages import Tokens
from limbeck.settings import UNSHOWN, Settings, from_name, yaml_value

OPENAI = "https://api.openai.com/v1"
SHORTEST_SECRET = 8  # characters; a shorter key ("EMPTY", "ollama") is no secret, and may well be a word of an answer


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
    def _check_key(cls, key: str) -> str:
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,99}", key):
            # the value may be the key itself: the error must not show it
            raise PydanticCustomError(UNSHOWN, "the name of an environment variable was expected, like OPENAI_API_KEY")
        return key

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, url: str | None) -> str | None:
        return url if url is None else check_url(url)

    @model_validator(mode="after")
    def _check_engine(self) -> Self:
        if self.engine == "local" and self.base_url is not None:
            raise ValueError("base_url is for engine endpoint; a local model has none")
        if self.engine == "endpoint" and "batch_size" in self.model_fields_set:
            raise ValueError("batch_size is for engine local; an endpoint has limits.concurrency")
        return self

    def endpoint(self) -> str:
        """Return the base URL of the endpoint.

        Raises:
            EndpointError: $OPENAI_BASE_URL is no such URL.
        """
        try:
            return self.base_url or check_url(os.environ.get("OPENAI_BASE_URL", "").strip() or OPENAI)
        except PydanticCustomError as error:
            raise EndpointError(str(error), field="$OPENAI_BASE_URL") from None


NamedTeacher = Annotated[TeacherSettings, BeforeValidator(from_name, json_schema_input_type=str | TeacherSettings)]


class SamplingSettings(Settings):
    """Sampling of answers. All of it but `max_tokens` identifies a stored reply, the temperature included."""

    samples: int = Field(1, ge=1, le=1000, description="answers to each question")
    temperature: float | None = Field(None, ge=0, le=2, description="by default 0 for one sample, 0.7 for several")
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int = Field(1024, ge=1, description="of an answer; one that reaches it is cut off, and a failure")
    extra: dict[str, Any] = Field(
        default_factory=dict, description="further fields of the request, like {reasoning_effort: low}"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        reserved = {"model", "messages", "max_tokens", "temperature", "top_p", "n", "stream"} & self.extra.keys()
        if reserved:
            raise ValueError(f"extra: {min(reserved)!r} is not for extra: limbeck sets it")
        try:
            json.dumps(self.extra, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"extra: cannot be sent as JSON ({error})") from None
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("samples: several at temperature 0 are all the same; raise temperature")
        return self

    @property
    def heat(self) -> float:
        """The temperature that is sent."""
        return self.temperature if self.temperature is not None else 0.7 if self.samples > 1 else 0.0


class LimitSettings(Settings):
    """Limits of the requests that one process sends."""

    concurrency: int = Field(
        16, ge=1, le=4096, description="requests in flight at a time; of engine local: twice what its batches hold"
    )
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0, description="of questions and answers together, estimated")
    request_seconds: float = Field(120, gt=0, description="the longest that one request may take")
    hours: float | None = Field(None, gt=0, description="after so many no new request is sent")
    attempts: int = Field(8, ge=1, le=100, description="at each answer, in one start of the job")


class PriceSettings(Settings):
    """Prices of a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class BudgetSettings(Settings):
    """The most that all requests to a model may cost, over every start of the job. When it is spent the job ends."""

    money: float | None = Field(None, gt=0, description="in the currency of the prices")
    tokens: int | None = Field(None, gt=0, description="of questions and answers together")


def price_of(model: str, prices: PriceSettings | None) -> PriceSettings | None:
    """Return `prices`, or else the model's list prices; None: unknown."""
    if prices is not None:
        return prices
    text = (files("limbeck.llm") / "prices.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml_value(text, "prices.yaml")
    return PriceSettings.parse(table[model], model) if model in table else None


def cost(tokens: Tokens, price: PriceSettings) -> float:
    """Return the price of `tokens`."""
    return (tokens.prompt * price.input + tokens.completion * price.output) / 1e6


def coverage(budget: BudgetSettings, price: PriceSettings | None, model: str) -> Callable[[Tokens], bool] | None:
    """Return a function that tells whether the budget covers so many tokens; None: there is no budget.

    Raises:
        RecipeError: the budget is in money, and no price is known.
    """
    if budget.money is not None and price is None:
        raise RecipeError(
            f"no price of {model!r} is known; give it, for a million tokens, as prices: {{input: ..., output: ...}}",
            field="budget.money",
        )

    def covers(tokens: Tokens) -> bool:
        if budget.tokens is not None and sum(tokens) > budget.tokens:
            return False
        return budget.money is None or price is None or cost(tokens, price) <= budget.money

    return None if budget.tokens is None and budget.money is None else covers


def read_key(variable: str) -> str | None:
    """Return the key in the environment's `variable`; None: it is not set.

    Raises:
        EndpointError: no HTTP header can carry it.
    """
    key = os.environ.get(variable, "").strip()
    if not re.fullmatch(r"""((?!["'\\])[!-~])*""", key):  # quotes: a file of variables that no shell read
        raise EndpointError("a key is ASCII without blanks, quotes and backslashes", field=f"${variable}")
    return key or None


def refuse_key(variable: str, values: Any, where: str) -> None:
    """Check that `values`, which come from `where` and are to be stored, do not contain the key.

    Raises:
        RecipeError: they do.
    """
    key = os.environ.get(variable, "").strip()
    if len(key) >= SHORTEST_SECRET and key in json.dumps(values, ensure_ascii=False):
        raise RecipeError(f"the key in ${variable} stands in {where} too; take it out: that is kept")


def check_url(url: str) -> str:
    """Return the URL of an endpoint without the slash at its end.

    Raises:
        PydanticCustomError: no http(s) URL, or one with a password or a query, where keys are met with.
    """
    try:
        address = urlsplit(url)
        host = (address.hostname or "").encode("idna")  # as the resolver will; so is the port read
        usable = address.scheme in ("http", "https") and bool(host) and address.port != 0 and not re.search(r"\s", url)
    except ValueError:
        usable = False
    if not usable or address.username or address.password or address.query or address.fragment:
        raise PydanticCustomError(
            UNSHOWN,
            "an address like http://HOST:PORT/v1 or https://HOST/v1 was expected, without user, password or query: "
            "a key belongs into the environment variable `key`",
        )
    return url.rstrip("/")
