"""The report as a page, one HTML file that needs no network and runs one script, its own; and as Markdown."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

import limbeck
from limbeck.formatting import Markdown, finite, markdown, visible
from limbeck.report.report import Report
from limbeck.report.tables import to_markdown


def html(report: Report, made: str) -> str:
    """Return the page; `made` is the time."""
    style, script = (_asset(name) for name in ("page.css", "cases.js"))
    environment = Environment(
        loader=PackageLoader("limbeck.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {"prose": _prose, "image": _image}
    policy = (  # nothing is loaded or sent anywhere, and only what is hashed here is run or styles the page
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return environment.get_template("index.html").render(
        report=report,
        made=made,
        version=limbeck.__version__,
        policy=Markup(policy),  # noqa: S704 - hashes of our own
        style=Markup(style),  # noqa: S704 - files of this package
        script=Markup(script),  # noqa: S704
        cases=script_json(report.cases),
    )


def to_text(report: Report, made: str, links: Mapping[str, str]) -> str:
    """Return the report as Markdown, without the cases; `links` are the files of figures by their names."""
    environment = Environment(  # noqa: S701 - Markdown, which `finalize` escapes
        loader=PackageLoader("limbeck.report", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=markdown,
    )
    environment.globals |= {"table": lambda table: Markdown(to_markdown(table))}
    template = environment.get_template("report.md.jinja")
    return template.render(report=report, made=made, version=limbeck.__version__, links=links)


def script_json(value: Any) -> Markup:
    """Return JSON that can stand in a script element whatever is in it: it has no `<`."""
    text = json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    escaped = re.sub("[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)
    return Markup(escaped)  # noqa: S704 - escaped here; in JSON these characters stand in strings alone


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
