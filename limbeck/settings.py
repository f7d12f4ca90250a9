"""The base of all settings: strict fields, YAML files, changes as key=value."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from limbeck.errors import RecipeError, unknown
from limbeck.files import read_text

MAX_CHARACTERS, MAX_NODES, MAX_DEPTH, MAX_DIGITS = 250_000, 50_000, 30, 100  # of a YAML text; nodes with aliases
_NUMBERS = frozenset(("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"))
_TAGS = _NUMBERS | {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "str", "seq", "map", "merge")}
Scalar = bool | int | float | str | None
UNSHOWN = "unshown"  # type of an error about a value that may hold a key


class Settings(BaseModel):
    """A frozen model that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, values: Any, where: str) -> Self:
        """Validate `values`. Raises RecipeError with `where` (a file, an option) and the field."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise _recipe_error(cls, where, error.errors()) from None

    @classmethod
    def load(cls, path: Path, changes: Sequence[str] = ()) -> Self:
        """Read a YAML file, with `changes` like `a.b=0.2`. Raises LimbeckError."""
        values = read_mapping(path)
        for text in changes:
            change(values, text)
        return cls.parse(values, " ".join([str(path), *(f"-s {text.partition('=')[0]}" for text in changes)]))


def from_name(value: Any) -> Any:
    """Return a string as settings with that `name`, anything else as it is."""
    return {"name": value} if isinstance(value, str) else value


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file. Raises LimbeckError."""
    values = yaml_value(read_text(path), str(path))
    if not isinstance(values, dict):
        raise RecipeError("a mapping was expected", path=path)
    return values


def yaml_value(text: str, where: str) -> Any:
    """Return the value of a YAML text, in which dates are strings. Raises RecipeError with `where` and the line.

    A text that is large, or would be with its aliases written out, is refused.
    """
    if len(text) > MAX_CHARACTERS:
        raise RecipeError(f"longer than {MAX_CHARACTERS:,} characters", path=where)
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError, AttributeError) as error:  # endless nesting
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or error
        raise RecipeError(f"not YAML ({reason})", path=where, line=mark.line + 1 if mark else None) from None


class _Loader(yaml.SafeLoader):
    """A safe loader of JSON's types alone, which looks at the nodes before it makes values of them."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _TAGS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            self._count(node, {}, 0)
        return node

    def _count(self, node: yaml.Node, counts: dict[yaml.Node, int], depth: int) -> int:
        """Return the number of nodes below and with `node`; it is 0 in `counts` while it is counted."""
        if counts.get(node):
            return counts[node]
        problem = None
        if node.tag not in _TAGS:
            problem = f"a value of the kind {node.tag!r:.60}"
        elif node.tag in _NUMBERS and len(node.value) > MAX_DIGITS:
            problem = f"a number of more than {MAX_DIGITS} digits"
        elif node in counts:
            problem = "an alias within what it stands for"
        elif depth > MAX_DEPTH:
            problem = f"nested more than {MAX_DEPTH} deep"
        else:
            counts[node] = 0
            nodes = [] if isinstance(node, yaml.ScalarNode) else node.value
            pairs = [part for pair in nodes for part in (pair if isinstance(pair, tuple) else [pair])]
            counts[node] = 1 + sum(self._count(part, counts, depth + 1) for part in pairs)
            if counts[node] > MAX_NODES:
                problem = f"more than {MAX_NODES:,} values"
        if problem:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return counts[node]


def change(values: dict[str, Any], text: str) -> None:
    """Apply a change `key=value`, `key` dotted, in place. Raises RecipeError."""
    key, equals, value = text.partition("=")
    if not equals:
        raise RecipeError("the form is key=value, like -s training.learning_rate=5e-4", path=f"-s {text}")
    put(values, key, yaml_value(value, f"-s {key}"), f"-s {text}")


def put(values: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Put `value` at the dotted `key`, in place. Raises RecipeError."""
    *path, last = key.split(".")
    if not all([*path, last]):
        raise RecipeError("a key is names with dots, like training.learning_rate", path=where)
    for name in path:
        inner = {} if values.get(name) is None else from_name(values[name])  # `objective: mi`, then objective.pool=mean
        if not isinstance(inner, dict):
            raise RecipeError(f"{name!r} is no mapping in the file", path=where)
        values[name] = inner
        values = inner
    values[last] = value


def _recipe_error(model: type[BaseModel], where: str, problems: list[ErrorDetails]) -> RecipeError:
    problem = problems[0]
    # a path holds union members: `function-after[...]`
    path = [str(key) for key in problem["loc"] if "[" not in str(key)]
    text, value = problem["msg"].removeprefix("Value error, "), problem["input"]
    if problem["type"] == "extra_forbidden":
        text = str(unknown("field", path[-1], _field_names(model)))
    elif not isinstance(value, Mapping | list) and problem["type"] not in ("missing", UNSHOWN):
        text += f", not {value!r:.80}"
    count = "" if len(problems) == 1 else f" (and {len(problems) - 1} more)"
    return RecipeError(text + count, path=where, field=".".join(path) or None)


def _field_names(annotation: Any) -> set[str]:
    """Return the fields of all models in a type."""
    fields = getattr(annotation, "model_fields", {})
    annotations = [*get_args(annotation), *(field.annotation for field in fields.values())]
    return set(fields).union(*map(_field_names, annotations))
