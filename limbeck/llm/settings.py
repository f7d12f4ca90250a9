"""Settings of a chat model: its name, sampling, limits, prices and budget."""

import ipaddress
import json
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from limbeck.errors import EndpointError, RecipeError
from limbeck.llm.messages import Tokens
from limbeck.settings import UNSHOWN, Settings, from_name, read_mapping

OPENAI = "https://api.openai.com/v1"
ALLOWED = "LIMBECK_KEYS"  # environment variable: NAME@HOST, or NAME@http://HOST, for each further key that may be sent
_OWN_HOSTS = {  # where a key is sent because a job says so
    "OPENAI_API_KEY": "api.openai.com",
    "DEEPSEEK_API_KEY": "api.deepseek.com",
    "FIREWORKS_API_KEY": "api.fireworks.ai",
    "GEMINI_API_KEY": "generativelanguage.googleapis.com",
    "GROQ_API_KEY": "api.groq.com",
    "MISTRAL_API_KEY": "api.mistral.ai",
    "OPENROUTER_API_KEY": "openrouter.ai",
    "TOGETHER_API_KEY": "api.together.xyz",
    "XAI_API_KEY": "api.x.ai",
}
SHORTEST_SECRET = 8  # characters; a shorter key ("EMPTY", "ollama") is no secret, and may be a word of an answer
_RESERVED = {"model", "messages", "max_tokens", "temperature", "top_p", "n", "stream"}


def _unshown(pattern: str, expected: str) -> AfterValidator:
    """Return a check whose error hides the text, which may hold a secret."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise PydanticCustomError(UNSHOWN, f"{expected} was expected")
        return text.rstrip("/")

    return AfterValidator(check)


_VARIABLE = _unshown(r"[A-Z_][A-Z0-9_]{0,99}", "the name of an environment variable, like OPENAI_API_KEY,")
_URL = _unshown(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", "http://HOST:PORT/v1, without user, password or query,")


class TeacherSettings(Settings):
    """A model behind an OpenAI-compatible endpoint, or (`engine: local`) a Hugging Face model on this machine."""

    name: str = Field(description="as the endpoint calls it; with engine local, on the Hub or a folder")
    engine: Literal["endpoint", "local"] = "endpoint"
    base_url: Annotated[str, _URL] | None = Field(None, description=f"by default $OPENAI_BASE_URL, else {OPENAI}")
    key: Annotated[str, _VARIABLE] = Field("OPENAI_API_KEY", description="environment variable with the key, if any")
    batch_size: int = Field(8, ge=1, description="conversations at a time (engine local)")

    def endpoint(self) -> str:
        """Return the base URL. Raises RecipeError for a wrong $OPENAI_BASE_URL."""
        values = {"name": self.name, "base_url": os.environ.get("OPENAI_BASE_URL", "").strip() or OPENAI}
        return self.base_url or str(self.parse(values, "$OPENAI_BASE_URL").base_url)

    def allowed_key(self) -> str | None:
        """Return the key, if there is one, to send to the endpoint.

        A job may be somebody else's, and names both. Raises EndpointError for a key that is not known to belong to
        the host, or would go there unencrypted, unless `$LIMBECK_KEYS` allows it.
        """
        key, url = read_key(self.key), urlsplit(self.endpoint())
        if key is None or len(key) < SHORTEST_SECRET or is_loopback(str(url.hostname)):
            return key
        is_own = self.base_url is None and self.key == "OPENAI_API_KEY"  # the user's environment names both
        known = url.scheme == "https" and (is_own or _OWN_HOSTS.get(self.key) == url.hostname)
        pair = f"{self.key}@{'' if url.scheme == 'https' else 'http://'}{url.hostname}"
        if not known and pair not in os.environ.get(ALLOWED, "").split():
            way = "" if url.scheme == "https" else " without encryption"
            reason = f"${self.key} would be sent to {url.hostname}{way}; if that is meant, set {ALLOWED}={pair}"
            raise EndpointError(reason, field="teacher.key")
        return key


NamedTeacher = Annotated[TeacherSettings, BeforeValidator(from_name, json_schema_input_type=str | TeacherSettings)]


class SamplingSettings(Settings):
    """Sampling of answers, which but for `max_tokens` identifies a stored reply."""

    samples: int = Field(1, ge=1, le=1000, description="answers to each question")
    temperature: float | None = Field(None, ge=0, le=2, description="by default 0 for one sample, 0.7 for several")
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int = Field(1024, ge=1, description="of an answer; one that reaches it is cut off, and a failure")
    extra: dict[str, JsonValue] = Field({}, description="further fields of the request, like {reasoning_effort: low}")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if reserved := _RESERVED & self.extra.keys():
            raise ValueError(f"extra: limbeck sets {min(reserved)!r} itself")
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("samples: at temperature 0 all are the same; raise temperature")
        return self

    @property
    def heat(self) -> float:
        """The temperature sent."""
        return self.temperature if self.temperature is not None else 0.7 if self.samples > 1 else 0.0


class LimitSettings(Settings):
    """Limits of the requests that one process sends."""

    concurrency: int = Field(16, ge=1, le=1000, description="requests in flight; with engine local, two batches")
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0, description="of questions and answers together, estimated")
    request_seconds: float = Field(120, gt=0, description="most that one request may take")
    hours: float | None = Field(None, gt=0, description="after which no request is sent")
    attempts: int = Field(8, ge=1, le=100, description="at each answer, in one start of the job")


class PriceSettings(Settings):
    """Prices of a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class BudgetSettings(Settings):
    """The most that a model may cost, over every start of the job."""

    money: float | None = Field(None, gt=0, description="in the currency of the prices")
    tokens: int | None = Field(None, gt=0, description="of questions and answers together")


class AskingSettings(Settings):
    """The terms on which a model is asked."""

    teacher: NamedTeacher
    limits: LimitSettings = LimitSettings()
    budget: BudgetSettings = BudgetSettings()
    prices: PriceSettings | None = Field(None, description="of a million tokens; by default from limbeck's table")
    store: Path = Path("annotations.sqlite")

    @cached_property
    def _prices(self) -> PriceSettings | None:
        price = read_mapping(Path(__file__).with_name("prices.yaml")).get(self.teacher.name)
        return self.prices or (PriceSettings(**price) if price else None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.budget.money is not None and self._prices is None:
            raise ValueError(f"budget.money: no price of {self.teacher.name!r} is known; set prices.input and .output")
        return self

    def cost(self, tokens: Tokens) -> float | None:
        """Return the price of `tokens`, None if unknown."""
        prices = self._prices
        return (tokens.prompt * prices.input + tokens.completion * prices.output) / 1e6 if prices else None

    def covers(self, tokens: Tokens) -> bool:
        money, most = self.budget.money, self.budget.tokens
        return (most is None or sum(tokens) <= most) and (money is None or (self.cost(tokens) or 0.0) <= money)


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address, perhaps with a port, is this machine's own."""
    name = host.rpartition(":")[0] if host.count(":") == 1 or "]:" in host else host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def read_key(variable: str) -> str | None:
    """Return the key in an environment variable. Raises EndpointError if it fits no HTTP header."""
    key = os.environ.get(variable, "").strip()
    if not re.fullmatch(r"""((?!["'\\])[!-~])*""", key):  # quotes: from a file that no shell read
        raise EndpointError("a key is ASCII without blanks, quotes and backslashes", field=f"${variable}")
    return key or None


def refuse_key(variable: str, values: Any) -> None:
    """Raise a RecipeError if `values` contain the key."""
    key = os.environ.get(variable, "").strip()
    if len(key) >= SHORTEST_SECRET and key in json.dumps(values, ensure_ascii=False):
        raise RecipeError(f"the settings or the prompt hold the key in ${variable}; take it out")
