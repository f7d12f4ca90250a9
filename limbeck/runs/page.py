"""The page of an evaluation: its measurements as JSON and as Markdown (`page.md.jinja`), with figures beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from limbeck import figures
from limbeck.files import write_json, write_text
from limbeck.formatting import Markdown
from limbeck.metrics.calibration import TITLES
from limbeck.notes import lines_of
from limbeck.runs.templates import render

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
    "dependence": "Dependence of the label's side and the rationale's",
}
FIGURES = {"calibration": "reliability", "selective": "risk-coverage", "cascade": "cascade"}
_CASCADE_POINTS = 11  # on the page: every tenth of the questions passed on


def write_page(folder: Path, name: str, page: dict[str, Any]) -> None:
    """Write `NAME.json`, `NAME.md` and `NAME-FIGURE.svg` of an `Evaluation.page` into the folder."""
    write_json(folder / f"{name}.json", page)
    for section, figure in FIGURES.items():
        path = folder / f"{name}-{figure}.svg"
        if page[section] is None:
            path.unlink(missing_ok=True)  # of an earlier evaluation
        elif section == "calibration":
            write_text(path, figures.reliability(page["calibration"]["bins"]))
        elif section == "selective":
            write_text(path, figures.risk_coverage({"student": page["selective"]["curve"]}))
        else:
            write_text(path, figures.cascade({"student": page["cascade"]}, page["teacher"]["accuracy"]))
    write_text(folder / f"{name}.md", page_markdown(page, name))


def page_markdown(page: dict[str, Any], name: str) -> str:
    """Return the page: a section for each measurement, with its numbers or the reason why it is missing."""
    files = {section: Markdown(quote(f"{name}-{figure}.svg")) for section, figure in FIGURES.items()}
    return _render(page, SECTIONS, files)


def calibration_markdown(metrics: dict[str, Any]) -> str:
    """Return the sections of a page that tell what `calibrate_file` has measured."""
    reasons = {"by_label": "the labels are free text, or too many"}
    sections = {section: SECTIONS[section] for section in ("by_label", "calibration", "selective")}
    return _render({**metrics, "calibration": metrics, "reasons": reasons}, sections, {})


def _render(page: dict[str, Any], sections: Mapping[str, str], files: Mapping[str, Markdown]) -> str:
    points = page.get("cascade") or []
    shares = [step / (_CASCADE_POINTS - 1) for step in range(_CASCADE_POINTS)] if points else []
    return render(
        "page.md.jinja",
        page=page,
        sections=sections,
        figures=files,
        lines_of=lines_of,
        calibration_titles=TITLES,
        cascade_points=[min(points, key=lambda point: abs(point["passed"] - share)) for share in shares],
    )
