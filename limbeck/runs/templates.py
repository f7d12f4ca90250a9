"""Markdown from the templates of this folder, with all values escaped that are not Markdown already."""

import json
from importlib.resources import files
from typing import Any

import jinja2

from limbeck.formatting import Markdown, cell, code, estimate, interval, number


def render(template: str, **values: Any) -> str:
    """Return the template of this name, filled with `values`."""
    environment = jinja2.Environment(  # noqa: S701  Markdown, which `cell` escapes, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        finalize=cell,
    )
    environment.globals |= {
        "code": code,
        "estimate": lambda value, ends: Markdown(estimate(value, ends)),
        "interval": lambda ends: Markdown(interval(ends, 3)),
        "measured": lambda value, digits=3: Markdown("not measured" if value is None else number(value, digits)),
        "verbatim": Markdown,
        "python": lambda value: Markdown(json.dumps(value, ensure_ascii=False)),  # texts as Python literals
    }
    return environment.from_string((files("limbeck.runs") / template).read_text(encoding="utf-8")).render(values)
