"""The page of an evaluation: what `measures` found as JSON and as Markdown, with its figures beside it."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from limbeck import figures
from limbeck.formatting import code
from limbeck.formatting import markdown as text
from limbeck.runs.sections import SECTIONS, accuracy
from limbeck.files import write_json, write_text

_FIGURES = {section.figure for section in SECTIONS if section.figure}


def write_page(folder: Path, name: str, found: dict[str, Any]) -> None:
    """Write `NAME.json`, `NAME.md` and `NAME-FIGURE.svg` of what `measures` found into the folder."""
    write_json(folder / f"{name}.json", found)
    drawn = _figures(found)
    for figure, svg in drawn.items():
        write_text(folder / f"{name}-{figure}.svg", svg)
    for figure in _FIGURES - drawn.keys():  # of an earlier evaluation
        (folder / f"{name}-{figure}.svg").unlink(missing_ok=True)
    write_text(folder / f"{name}.md", markdown(found, name))


def markdown(found: dict[str, Any], name: str) -> str:
    """The page: a section for each measure, with its numbers, or the reason why it has none."""
    where = f"{found['out_of_domain']}, {found['split']}" if found["out_of_domain"] else found["split"]
    lines = [f"# {code(found['run'])}, {text(where)}: {found['n']} answers", "", *accuracy(found)]
    for section in SECTIONS:
        lines += [f"## {section.title}", ""]
        if found[section.key] is None:
            lines += [f"Not measured: {text(found['reasons'][section.key])}.", ""]
            continue
        lines += section.lines(found)
        if section.figure:
            lines += [f"![{section.title}]({quote(f'{name}-{section.figure}.svg')})", ""]
    return "\n".join(lines)


def _figures(found: dict[str, Any]) -> dict[str, str]:
    drawn = {}
    if found["calibration"] is not None:
        drawn["reliability"] = figures.reliability(found["calibration"]["bins"])
        drawn["risk-coverage"] = figures.risk_coverage({"student": found["selective"]["curve"]})
    if found["cascade"] is not None:
        drawn["cascade"] = figures.cascade({"student": found["cascade"]}, found["teacher"]["accuracy"])
    return drawn
