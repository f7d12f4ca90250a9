"""A report's folder: index.html, report.md, report.json, tables/ and figures/, written whole or not at all."""

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import limbeck
from limbeck.errors import FileError, LimbeckError
from limbeck.files import read_json, replacing
from limbeck.formatting import finite
from limbeck.report.render import html, to_text
from limbeck.report.report import ExtraSection, Report, make_report
from limbeck.report.tables import to_csv, to_latex, to_markdown
from limbeck.runs.provenance import now

REPORT_JSON = "report.json"
FORMATS = {"md": to_markdown, "tex": to_latex, "csv": to_csv}


def write_report(paths: Sequence[Path], out: Path, extra: ExtraSection | None = None) -> Path:
    """Write the report of the runs in `paths` into the folder `out`, in place of an older report there.

    Args:
        paths: runs' folders, or folders that hold runs.
        out: a new or empty folder, an older report, or a link to one.
        extra: makes a section that comes first.

    Returns:
        The page, `out/index.html`.

    Raises:
        LimbeckError: something else is at `out`; there is no finished run; a file cannot be read.
    """
    folder = Path(os.path.realpath(out))
    _check_replaceable(folder)
    texts = _files(make_report(paths, extra))
    with replacing(folder) as temporary:
        for name, text in texts.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        _check_replaceable(folder)  # again: it may have been filled meanwhile
        older = temporary.with_suffix(".old")
        if folder.is_dir():
            folder.rename(older)
    shutil.rmtree(older, ignore_errors=True)
    return out / "index.html"


def _check_replaceable(out: Path) -> None:
    """Refuse a folder that holds anything but a report."""
    if out.exists() and not out.is_dir():
        raise FileError("not a folder; give another --output", path=out)
    try:
        report = read_json(out / REPORT_JSON)
    except LimbeckError:
        report = None
    names = report.get("files") if isinstance(report, dict) else None
    paths = (path for path in out.rglob("*") if path.is_symlink() or not path.is_dir())
    if foreign := sorted({str(path.relative_to(out)) for path in paths} - set(map(str, names or ()))):
        raise FileError(f"holds {foreign[0]!r}, of no report, which would be lost; give another --output", path=out)


def _files(report: Report) -> dict[str, str]:
    """Return every file's text by its name. report.json names them all, for the next report to know what is its own."""
    texts: dict[str, str] = {}
    figures = {figure.table.name: figure for figure in report.figures}
    links = {}  # by a figure's name
    for table in [*report.tables, *(figure.table for figure in report.figures)]:
        stem = re.sub(r"[^a-z0-9]+", "-", table.name.lower()).strip("-")[:80]
        while f"tables/{stem}.md" in texts:
            stem += "-more"
        texts |= {f"tables/{stem}.{ending}": write(table) for ending, write in FORMATS.items()}
        if table.name in figures:
            links[table.name] = f"figures/{stem}.svg"
            texts[links[table.name]] = figures[table.name].svg
    made = now()
    texts |= {"index.html": html(report, made), "report.md": to_text(report, made, links)}
    values = asdict(report)
    for figure in (figure for section in values["sections"] for figure in section["figures"]):
        del figure["svg"]  # it has a file of its own
    data = {**values, "limbeck": limbeck.__version__, "made": made, "files": [*texts, REPORT_JSON]}
    return {**texts, REPORT_JSON: json.dumps(finite(data), indent=1, ensure_ascii=False, allow_nan=False)}
