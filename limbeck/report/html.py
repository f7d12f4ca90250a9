"""The report's page: one HTML file that needs no other file and no network, and runs one script, its own."""

import base64
import hashlib
import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

import limbeck
from limbeck.formatting import finite, visible
from limbeck.report import tables

if TYPE_CHECKING:
    from limbeck.report.write import Report

MAX_TEXT = 1500  # characters of a text that stands on the page itself
# in a JSON text these stand in strings alone, where the escapes mean the same
_UNSAFE = {char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def html(report: "Report", timestamp: str) -> str:
    """Return the whole page."""
    style, script = (_asset(name) for name in ("page.css", "cases.js"))
    environment = Environment(
        loader=PackageLoader("limbeck.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters |= {"prose": _prose, "cut": lambda text: visible(text, MAX_TEXT), "image": _image}
    functions = (tables.heads, tables.rows, tables.title, tables.notes)
    environment.globals |= {function.__name__: function for function in functions}
    policy = (  # nothing is loaded or sent anywhere, and only what is hashed here is run or styles the page
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return environment.get_template("index.html").render(
        report=report,
        timestamp=timestamp,
        version=limbeck.__version__,
        policy=Markup(policy),  # noqa: S704 - hashes of our own
        style=Markup(style),  # noqa: S704 - files of this package
        script=Markup(script),  # noqa: S704
        cases=script_json(report.cases.cases),
    )


def script_json(value: Any) -> Markup:
    """Return JSON that can stand in a script element whatever is in it: it has no `<`."""
    text = json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(re.sub("[<>&\u2028\u2029]", lambda match: _UNSAFE[match[0]], text))  # noqa: S704 - escaped here


def _finalize(value: Any) -> Any:
    """Make hidden characters visible in every text of the page."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _prose(sentence: str) -> Markup:
    """Return a sentence with what stands between backticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(visible(sentence)))))  # noqa: S704 - escaped here


def _image(svg: str) -> str:
    """Return an SVG as the address of an image, in which no script runs and no style leaks."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (files("limbeck.report") / "templates" / name).read_text(encoding="utf-8")
