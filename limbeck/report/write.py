"""A report's folder: index.html, report.md, report.json, tables/ and figures/, written whole or not at all."""

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import limbeck
from limbeck.errors import LimbeckError
from limbeck.files import read_json, replacing
from limbeck.report import render
from limbeck.report.assemble import Report, assemble
from limbeck.report.html import html
from limbeck.report.markdown import markdown
from limbeck.report.studies import Paper, PaperResults
from limbeck.report.tables import Figure, Table
from limbeck.report.text import plain
from limbeck.runs.provenance import now

_JSON = "report.json"
MARKER = "limbeck_report"  # the key in it by which a folder is known to be a report's
_FORMATS = {"md": render.markdown, "tex": render.latex, "csv": render.csv}


def write_report(paths: Sequence[Path], out: Path, paper: Paper = lambda *_: PaperResults()) -> Path:
    """Write the report of the runs in `paths` into the folder `out`, or that which it links to, for an older report.

    Returns:
        Its page, `out/index.html`.

    Raises:
        LimbeckError: there is something else at `out`; no finished run; what cannot be read.
    """
    place = Path(os.path.realpath(out))
    _check_place(place)
    report = assemble(paths, paper)
    made = now()
    with replacing(place) as temporary:
        for name, text in _files(report, made).items():
            file = temporary / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", errors="backslashreplace")
        _check_place(place)  # again: it may have been filled meanwhile
        older = temporary.with_suffix(".old")
        if place.is_dir():
            place.rename(older)
    shutil.rmtree(older, ignore_errors=True)
    return out / "index.html"


def _files(report: Report, made: str) -> dict[str, str]:
    """Every file's text by its name. report.json names them all: by that the next report knows what it may replace."""
    tables = [table for section in report.sections for table in section.tables]
    figures = [figure for section in report.sections for figure in section.figures]
    stems = _names(tables, figures)
    texts = {"index.html": html(report, made)}
    texts["report.md"] = markdown(report, made, [stems[id(figure)] for figure in figures])
    for table in (*tables, *(figure.table for figure in figures)):
        for ending, write in _FORMATS.items():
            texts[f"tables/{stems[id(table)]}.{ending}"] = write(table)
    for figure in figures:
        texts[f"figures/{stems[id(figure)]}.svg"] = figure.svg
    data = plain({**_data(report, made), "files": [*texts, _JSON]})
    return {**texts, _JSON: json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)}


def _names(tables: Sequence[Table], figures: Sequence[Figure]) -> dict[int, str]:
    """By the identity of a table or figure the stem of its file; a figure's table has the figure's."""
    stems: dict[int, str] = {}
    every: list[Table | Figure] = [*tables, *figures]
    for one in every:
        stem = re.sub(r"[^a-z0-9]+", "-", one.name.lower()).strip("-")[:80] or "table"
        taken = set(stems.values())
        number = next(n for n in range(1, len(taken) + 2) if (stem if n == 1 else f"{stem}-{n}") not in taken)
        stems[id(one)] = stem if number == 1 else f"{stem}-{number}"
    return stems | {id(figure.table): stems[id(figure)] for figure in figures}


def _data(report: Report, made: str) -> dict[str, Any]:
    """Everything that is in the report; a figure as its numbers."""
    sections = [
        {**asdict(section), "figures": [{"title": one.title, "table": asdict(one.table)} for one in section.figures]}
        for section in report.sections
    ]
    return {
        MARKER: 1,
        "limbeck": limbeck.__version__,
        "made": made,
        "title": report.title,
        "overview": report.overview,
        "sections": sections,
        "studies": [asdict(one) for one in report.studies],
        "comparisons": report.comparisons,
        "cases": report.cases.cases,
        "shared_examples": report.cases.shared,
        "provenance": report.origin,
        "left_out": report.left_out,
        "citations": [asdict(one) for one in report.citations],
    }


def _check_place(out: Path) -> None:
    """Refuse a place that holds anything but a report."""
    if not out.exists():
        return
    if not out.is_dir():
        raise LimbeckError(f"{out}: no folder of its own; give another --output")
    if Path.cwd().is_relative_to(out.resolve()):  # a shell would be left in a folder that is no more
        raise LimbeckError(f"{out}: is or holds the current folder, and would be replaced; give another --output")
    if not any(out.iterdir()):
        return
    written = _written(out)
    if written is None:
        raise LimbeckError(f"{out}: holds something that is no report of limbeck's; give another --output")
    files = (inner for inner in out.rglob("*") if inner.is_symlink() or not inner.is_dir())
    if others := sorted({str(file.relative_to(out)) for file in files} - written):
        raise LimbeckError(f"{out}: holds {others[0]!r} beside the report, which would be lost; move it away")


def _written(out: Path) -> set[str] | None:
    """The files that the report in a folder is made of, by its own word; None: it is no report."""
    try:
        found = read_json(out / _JSON)
    except LimbeckError:
        return None
    if not isinstance(found, dict) or MARKER not in found:
        return None
    names = found.get("files")
    return set(map(str, names)) if isinstance(names, list) else set()
