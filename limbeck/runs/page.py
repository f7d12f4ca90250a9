"""Markdown from templates, and the page of an evaluation: measurements as JSON, text and figures."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from limbeck.errors import DataError, first_line
from limbeck.files import write_json, write_text
from limbeck.formatting import Markdown, cell, code, estimate, interval, number
from limbeck.metrics.calibration import TITLES
from limbeck.notes import lines_of

SECTIONS = {  # by the keys of `Evaluation.page`
    "by_label": "Labels",
    "calibration": "Calibration",
    "definitions": "Definitions of confidence",
    "selective": "Selective prediction: the most confident answers",
    "cascade": "Cascade: the student where it is confident, else the teacher",
    "teacher": "The teacher",
    "thresholds": "Thresholds of the cascade",
    "quality": "Rationales",
    "judge": "The judge",
    "significance": "Significance",
    "usable": "Usable information of rationales",
    "dependence": "Dependence of the label's side and the rationale's",
}
FIGURES = {"calibration": "reliability", "selective": "risk-coverage", "cascade": "cascade"}


_ENVIRONMENT = jinja2.Environment(  # noqa: S701  Markdown, which `cell` escapes, not HTML
    loader=jinja2.PackageLoader("limbeck", ""),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
    finalize=cell,
)
_ENVIRONMENT.globals |= {
    "code": code,
    "estimate": lambda value, ends: Markdown(estimate(value, ends)),
    "interval": lambda ends: Markdown(interval(ends, 3)),
    "measured": lambda value, digits=3: Markdown("not measured" if value is None else number(value, digits)),
    "verbatim": Markdown,
    "python": lambda value: Markdown(json.dumps(value, ensure_ascii=False)),  # texts as Python literals
    "lines_of": lines_of,
}


def render(template: str, **values: Any) -> str:
    """Return a Markdown template of the package with these values, escaped unless they are Markdown."""
    return _ENVIRONMENT.get_template(template).render(values)


@contextmanager
def read_as_page(path: Path) -> Iterator[None]:
    """Raise DataError for whatever is wrong with an evaluation that limbeck did not write."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, jinja2.TemplateError) as error:
        reason = f"no evaluation of limbeck ({first_line(error)}); `limbeck evaluate` writes it anew"
        raise DataError(reason, path=path) from error


def write_page(folder: Path, name: str, page: dict[str, Any]) -> None:
    """Write `NAME.json`, `NAME.md` and `NAME-FIGURE.svg` of an `Evaluation.page` into the folder."""
    from limbeck import figures  # matplotlib, which `limbeck calibrate` does not need

    write_json(folder / f"{name}.json", page)
    write_text(folder / f"{name}.md", page_markdown(page, name))
    for section, figure in FIGURES.items():
        path = folder / f"{name}-{figure}.svg"
        if (values := page[section]) is None:
            path.unlink(missing_ok=True)
        elif section == "calibration":
            write_text(path, figures.reliability(values["bins"]))
        elif section == "selective":
            points = [figures.Point(row["coverage"], row["risk"]) for row in values["curve"]]
            write_text(path, figures.risk_coverage({"student": points}))
        else:
            points = [figures.Point(row["cost"], row["accuracy"]) for row in values]
            write_text(path, figures.cascade({"student": points}, page["teacher"]["accuracy"]))


def page_markdown(page: dict[str, Any], name: str, sections: Mapping[str, str] = SECTIONS) -> str:
    """Return the page: a section for each measurement, with numbers or a reason."""
    points = page.get("cascade") or []
    tenths = range(11) if points else ()
    return render(
        "runs/page.md.jinja",
        page=page,
        sections=sections,
        figures={key: Markdown(quote(f"{name}-{figure}.svg")) for key, figure in FIGURES.items() if "run" in page},
        calibration_titles=TITLES,
        cascade_points=[min(points, key=lambda point: abs(point["cost"] - tenth / 10)) for tenth in tenths],
    )


def calibration_markdown(metrics: dict[str, Any]) -> str:
    """Return the results of `calibrate_file` as a page without figures."""
    page = {**metrics, "calibration": metrics, "reasons": {"by_label": "the labels are free text, or too many"}}
    return page_markdown(page, "", {key: SECTIONS[key] for key in ("by_label", "calibration", "selective")})
