"""The page: one file that needs no other and no network, and runs no script but its own two."""

import base64
import hashlib
import json
import re
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

import limbeck
from limbeck.experiments.report import render
from limbeck.experiments.report.assemble import Report
from limbeck.experiments.report.text import plain, shown

_FOLDER = "templates"
_LONGEST = 1500  # characters of a text that stands on the page itself
_CODE = re.compile(r"`([^`]+)`")
_STYLE = re.compile(r'style="([^"]*)"')
# in a JSON text these stand in strings alone, where their numbers mean the same
_UNSAFE = {sign: f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def html(report: Report, made: str) -> str:
    """The whole page."""
    style, theme, browser = (_asset(name) for name in ("page.css", "theme.js", "cases.js"))
    figures = [figure.svg for section in report.sections for figure in section.figures]
    return (
        _environment()
        .get_template("index.html")
        .render(
            report=report,
            made=made,
            version=limbeck.__version__,
            policy=Markup(_policy([theme, browser], style, figures)),  # noqa: S704 - hashes of our own
            style=Markup(style),  # noqa: S704 - files of this package
            theme=Markup(theme),  # noqa: S704
            browser=Markup(browser),  # noqa: S704
            cases=data(report.cases.cases),
        )
    )


def data(value: Any) -> Markup:
    """JSON that can stand in a script element whatever is in it: it holds no `<`."""
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign, number in _UNSAFE.items():
        text = text.replace(sign, number)
    return Markup(text)  # noqa: S704 - escaped above


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("limbeck.experiments.report", _FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clear,
    )
    environment.filters["prose"] = _prose
    environment.filters["cut"] = lambda text: shown(text, _LONGEST)
    environment.globals |= {"parts": render.parts, "heads": render.heads, "rows": render.rows, "wide": render.wide}
    environment.globals |= {
        "title": render.title,
        "notes": render.notes,
        "sized": render.sized,
        "svg": Markup,
    }  # figures escape what they show
    return environment


def _clear(value: Any) -> Any:
    """Every text on the page, with what is hidden in it made visible."""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _prose(sentence: str) -> Markup:
    """A sentence, what stands between backticks set as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(shown(sentence, _LONGEST)))))  # noqa: S704 - escaped here


def _policy(scripts: list[str], style: str, figures: list[str]) -> str:
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
    return (files("limbeck.experiments.report") / _FOLDER / name).read_text(encoding="utf-8")
