"""What every settings model shares: strict fields, and errors of one line that name the field."""

from collections.abc import Iterator, Mapping
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from limbeck.errors import LimbeckError, unknown

UNSHOWN = "unshown"  # the type of a PydanticCustomError about a value that may hold a key: it is never shown


class Settings(BaseModel):
    """A frozen model that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, values: Any, where: str) -> Self:
        """Validate `values`, found at `where` (a file, or a command-line option).

        Raises:
            LimbeckError: names `where`, the field and what is wrong; an unknown field is met with the nearest name.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise LimbeckError(f"{where}: {_first(cls, error.errors())}") from None


def from_name(value: Any) -> Any:
    """A bare string where settings may stand, as the settings with that `name`; anything else as it is."""
    return {"name": value} if isinstance(value, str) else value


def _first(model: type[BaseModel], problems: list[ErrorDetails]) -> str:
    """The first problem in one line, and how many more there are."""
    problem = problems[0]
    field = ".".join(str(part) for part in problem["loc"]) or "the whole"
    if problem["type"] == "extra_forbidden":
        *path, name = problem["loc"]
        text = str(unknown("field", str(name), _fields(model, path)))
        text = text if not path else f"{'.'.join(map(str, path))}: {text}"
    else:
        reason = problem["msg"].removeprefix("Value error, ")
        given = problem["input"]
        unshown = isinstance(given, Mapping | list) or problem["type"] in ("missing", UNSHOWN)
        shown = "" if unshown else f", not {given!r:.80}"
        text = f"{field}: {reason}{shown}"
    return text if len(problems) == 1 else f"{text} (and {len(problems) - 1} more)"


def _fields(model: type[BaseModel], path: list[int | str]) -> list[str]:
    """The field names that may stand at `path` below `model`, following nested models and unions of them."""
    level = [model]
    for part in path:
        level = [
            inner
            for outer in level
            for name, field in outer.model_fields.items()
            if name == part
            for inner in _models(field.annotation)
        ] or [inner for inner in level if part in _tags(inner)]
    return [name for inner in level for name in inner.model_fields]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _tags(model: type[BaseModel]) -> list[Any]:
    """The values of a model's own `kind` field: pydantic puts a union's tag into an error's path."""
    kind = model.model_fields.get("kind")
    return list(get_args(kind.annotation)) if kind else []
