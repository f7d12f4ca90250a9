"""A report's folder: index.html, report.md, report.json, tables/ and figures/, written whole or not at all."""

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import limbeck
from limbeck.errors import LimbeckError
from limbeck.experiments.provenance import now
from limbeck.experiments.report import render
from limbeck.experiments.report.assemble import Report, assemble
from limbeck.experiments.report.html import html
from limbeck.experiments.report.markdown import markdown
from limbeck.experiments.report.text import plain
from limbeck.experiments.tables import Figure, Table
from limbeck.files import read_json, replacing

MARKER = "limbeck_report"  # the key in report.json by which a folder is known to be a report's
_WRITTEN = frozenset(("index.html", "report.md", "report.json", "tables", "figures"))
_FORMATS = {"md": render.markdown, "tex": render.latex, "csv": render.csv}


def write_report(paths: Sequence[Path], out: Path) -> Path:
    """Write the report of the runs in `paths` into the folder `out`, in place of an older report.

    Returns:
        Its page, `out/index.html`.

    Raises:
        LimbeckError: there is something else at `out`; no finished run; what cannot be read.
    """
    _check_place(out)
    report = assemble(paths)
    made = now()
    with replacing(out) as temporary:
        for name, text in _files(report, made):
            file = temporary / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", errors="backslashreplace")
        _check_place(out)  # again: it may have been filled meanwhile
        older = temporary.with_suffix(".old")
        if out.is_dir():
            out.rename(older)
    shutil.rmtree(older, ignore_errors=True)
    return out / "index.html"


def _files(report: Report, made: str) -> Iterator[tuple[str, str]]:
    """Every file's name and text."""
    tables = [table for section in report.sections for table in section.tables]
    figures = [figure for section in report.sections for figure in section.figures]
    files = _names(tables, figures)
    yield "index.html", html(report, made)
    yield "report.md", markdown(report, made, [files[id(figure)] for figure in figures])
    yield "report.json", json.dumps(plain(_data(report, made)), indent=1, ensure_ascii=False, allow_nan=False)
    for table in (*tables, *(figure.table for figure in figures)):
        for ending, write in _FORMATS.items():
            yield f"tables/{files[id(table)]}.{ending}", write(table)
    for figure in figures:
        yield f"figures/{files[id(figure)]}.svg", figure.svg


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
    if not out.is_dir() or out.is_symlink():
        raise LimbeckError(f"{out}: no folder of its own; give another --output")
    there = {inner.name for inner in out.iterdir()}
    if not there:
        return
    try:
        marked = MARKER in read_json(out / "report.json")
    except (LimbeckError, TypeError):
        marked = False
    if not marked:
        raise LimbeckError(f"{out}: holds something that is no report of limbeck's; give another --output")
    if others := sorted(there - _WRITTEN):
        raise LimbeckError(f"{out}: holds {others[0]!r} beside the report, which would be lost; move it away")
