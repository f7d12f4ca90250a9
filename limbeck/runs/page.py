"""The page of an evaluation: its `measurements` as JSON and as Markdown (`page.md.jinja`), with figures beside it."""

from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from limbeck import figures
from limbeck.files import write_json, write_text
from limbeck.formatting import Markdown
from limbeck.metrics.calibration import TITLES
from limbeck.notes import lines_of
from limbeck.runs.templates import render

_CASCADE_POINTS = 11  # on the page: every tenth of the questions passed on


class PageSection(NamedTuple):
    """A heading, the key of its measurement, and the name of its figure."""

    title: str
    key: str
    figure: str | None = None


SECTIONS = (
    PageSection("Labels", "by_label"),
    PageSection("Calibration", "calibration"),
    PageSection("Temperature", "calibration"),
    PageSection("Reliability", "calibration", "reliability"),
    PageSection("Definitions of confidence", "definitions"),
    PageSection("Selective prediction: the most confident answers", "selective", "risk-coverage"),
    PageSection("Cascade: the student where it is confident, else the teacher", "cascade", "cascade"),
    PageSection("Thresholds of the cascade", "thresholds"),
    PageSection("Rationales", "quality"),
    PageSection("The judge", "judge"),
    PageSection("Significance", "significance"),
    PageSection("Dependence of the label's side and the rationale's", "dependence"),
)


def write_page(folder: Path, name: str, page: dict[str, Any]) -> None:
    """Write `NAME.json`, `NAME.md` and `NAME-FIGURE.svg` of `measurements` into the folder."""
    write_json(folder / f"{name}.json", page)
    svgs = {}
    if page["calibration"] is not None:
        svgs["reliability"] = figures.reliability(page["calibration"]["bins"])
        svgs["risk-coverage"] = figures.risk_coverage({"student": page["selective"]["curve"]})
    if page["cascade"] is not None:
        svgs["cascade"] = figures.cascade({"student": page["cascade"]}, page["teacher"]["accuracy"])
    for figure in filter(None, (section.figure for section in SECTIONS)):
        path = folder / f"{name}-{figure}.svg"
        if figure in svgs:
            write_text(path, svgs[figure])
        else:  # of an earlier evaluation
            path.unlink(missing_ok=True)
    write_text(folder / f"{name}.md", page_markdown(page, name))


def page_markdown(page: dict[str, Any], name: str) -> str:
    """Return the page: a section for each measurement, with its numbers or the reason why it is missing."""
    points = page["cascade"] or []
    shares = [step / (_CASCADE_POINTS - 1) for step in range(_CASCADE_POINTS)] if points else []
    return render(
        "page.md.jinja",
        page=page,
        split=f"{page['out_of_domain']}, {page['split']}" if page["out_of_domain"] else page["split"],
        sections=SECTIONS,
        counts=lines_of(page["counts"], page["accuracy"]["n"]),
        calibration_titles=TITLES,
        cascade_points=[min(points, key=lambda point: abs(point["passed"] - share)) for share in shares],
        file=lambda figure: Markdown(quote(f"{name}-{figure}.svg")),
    )
