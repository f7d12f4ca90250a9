"""What every settings model shares: strict fields, and errors of one line that name the field."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from limbeck.errors import LimbeckError, unknown
from limbeck.files import read_text

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

    @classmethod
    def load(cls, path: Path, changes: Sequence[str] = ()) -> Self:
        """The settings in the YAML file `path`, with `changes` of the form `key=value`, `key` dotted (`a.b=0.2`).

        Raises:
            LimbeckError: names the file (or the change), the field, and what is wrong with it.
        """
        values = yaml_value(read_text(path), str(path))
        if not isinstance(values, dict):
            required = next(name for name, field in cls.model_fields.items() if field.is_required())
            raise LimbeckError(f"{path}: a mapping was expected, with at least the key {required!r}")
        for text in changes:
            change(values, text)
        return cls.parse(values, " ".join([str(path), *(f"-s {text.partition('=')[0]}" for text in changes)]))


def from_name(value: Any) -> Any:
    """A bare string where settings may stand, as the settings with that `name`; anything else as it is."""
    return {"name": value} if isinstance(value, str) else value


def yaml_value(text: str, where: str) -> Any:
    """The value of a YAML text found at `where`.

    Raises:
        LimbeckError: it is no YAML; names the line.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise LimbeckError(f"{where}{line}: not YAML ({getattr(error, 'problem', None) or error})") from None
    except (ValueError, RecursionError, AttributeError) as error:  # a date that is none; nesting without end
        raise LimbeckError(f"{where}: not YAML ({error})") from None


def change(values: dict[str, Any], text: str) -> None:
    """Apply a change of the form `key=value`, `key` dotted, in place.

    Raises:
        LimbeckError: it has another form, or as `put`.
    """
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise LimbeckError(f"-s {text}: of the form key=value, like -s objective.alignment_weight=0.2")
    put(values, key, yaml_value(value, f"-s {key}"), f"-s {text}")


def put(values: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Put `value` at the dotted `key`, in place; a mapping on the way is made where there is none, or for a bare name.

    Raises:
        LimbeckError: no key, or something on the way is no mapping; names `where`.
    """
    *path, last = key.split(".")
    if not all([*path, last]):
        raise LimbeckError(f"{where}: a key is a name, or names with dots between, like objective.alignment_weight")
    level = values
    for part in path:
        inner = level.get(part)
        if isinstance(inner, str):
            inner = {"name": inner}  # `objective: mi`, then `-s objective.alignment_weight=0.2`
        level[part] = inner = {} if inner is None else inner
        if not isinstance(inner, dict):
            raise LimbeckError(f"{where}: {part!r} is no mapping in the file")
        level = inner
    level[last] = value


def _first(model: type[BaseModel], problems: list[ErrorDetails]) -> str:
    """The first problem in one line, and how many more there are."""
    problem = problems[0]
    # pydantic puts its own words for a union's members into the path: `function-after[...]`
    field = ".".join(str(part) for part in problem["loc"] if "[" not in str(part)) or "the whole"
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
