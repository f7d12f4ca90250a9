"""The page: one file that needs no other and no network, and runs no script but its own two."""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

import limbeck
from limbeck.formatting import visible
from limbeck.report import render
from limbeck.report.assemble import Report
from limbeck.report.text import plain

_FOLDER = "templates"
_LONGEST = 1500  # characters of a text that stands on the page itself
_CODE = re.compile(r"`([^`]+)`")
_STYLE = re.compile(r'style="([^"]*)"')
_PREFIX = re.compile(r'aria-labelledby="([\w-]+-)title"')  # of all ids of a figure
# in a JSON text these stand in strings alone, where their numbers mean the same
_UNSAFE = {sign: f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def html(report: Report, made: str) -> str:
    """The whole page."""
    style, theme, browser = (_asset(name) for name in ("page.css", "theme.js", "cases.js"))
    figures = _apart([figure.svg for section in report.sections for figure in section.figures])
    drawn = iter(figures)
    values = {
        "report": report,
        "made": made,
        "version": limbeck.__version__,
        "policy": Markup(_policy([theme, browser], style, figures)),  # noqa: S704 - hashes of our own
        "style": Markup(style),  # noqa: S704 - files of this package
        "theme": Markup(theme),  # noqa: S704
        "browser": Markup(browser),  # noqa: S704
        "svg": lambda: Markup(next(drawn)),  # noqa: S704 - the next figure; they escape what they show
        "cases": data(report.cases.cases),
    }
    return _environment().get_template("index.html").render(values)


def data(value: Any) -> Markup:
    """JSON that can stand in a script element whatever is in it: it holds no `<`."""
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign, number in _UNSAFE.items():
        text = text.replace(sign, number)
    return Markup(text)  # noqa: S704 - escaped above


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("limbeck.report", _FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clear,
    )
    environment.filters |= {"prose": _prose, "cut": lambda text: visible(text, _LONGEST)}
    functions = (render.parts, render.heads, render.rows, render.wide, render.title, render.notes, render.sized)
    environment.globals |= {function.__name__: function for function in functions}
    return environment


def _clear(value: Any) -> Any:
    """Every text on the page, with what is hidden in it made visible."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _prose(sentence: str) -> Markup:
    """A sentence, what stands between backticks set as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(visible(sentence)))))  # noqa: S704 - escaped here


def _apart(figures: Sequence[str]) -> list[str]:
    """The figures; of those that are alike to the byte, each with ids of its own."""
    seen: Counter[str] = Counter()
    found = []
    for svg in figures:
        prefix = _PREFIX.search(svg)
        found.append(svg.replace(prefix[1], f"{prefix[1]}{seen[svg]}-") if prefix and seen[svg] else svg)
        seen[svg] += 1
    return found


def _policy(scripts: Sequence[str], style: str, figures: Sequence[str]) -> str:
    """Nothing is loaded or sent anywhere, and only what is hashed here is run or styles the page."""
    inner = sorted({found for svg in figures for found in _STYLE.findall(svg)})
    styles = " ".join(["'unsafe-hashes'", *map(_hash, [style, *inner])])
    return (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src {styles}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (files("limbeck.report") / _FOLDER / name).read_text(encoding="utf-8")
