"""A report's folder: index.html, report.md, report.json, tables/ and figures/, written whole or not at all."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import limbeck
from limbeck.errors import FileError, LimbeckError
from limbeck.files import read_json, replacing
from limbeck.formatting import finite, markdown
from limbeck.grids import Grid
from limbeck.report.cases import PAGE_BYTES, Case, CaseStudy, PageCases, load_cases, sample_cases
from limbeck.report.contrasts import Contrast, comparable_sets, contrasts, grade
from limbeck.report.html import html
from limbeck.report.origin import origin
from limbeck.report.overview import ErrorOf, errors_in, find_missing, grid_folders, overview
from limbeck.report.sections import (
    Section,
    accuracy_section,
    confidence_section,
    learning_section,
    rationale_section,
    tasks_of,
)
from limbeck.report.tables import Figure, Table, to_csv, to_latex, to_markdown
from limbeck.runs.citations import Citation, citations
from limbeck.runs.groups import find_runs, group_runs
from limbeck.runs.provenance import now
from limbeck.runs.run import Run

REPORT_JSON = "report.json"
MARKER = "limbeck_report"  # the key in it by which a folder is known to be a report's
FORMATS = {"md": to_markdown, "tex": to_latex, "csv": to_csv}
MAX_PAGE = 4_500_000  # bytes

# A further section and case studies, made of runs, grids and their failures: the paper's tables and figures.
ExtraSection = Callable[[Sequence[Run], Sequence[Grid], ErrorOf], tuple[Section | None, list[CaseStudy]]]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a report says, before it is rendered."""

    title: str
    overview: tuple[str, ...]
    sections: tuple[Section, ...]
    studies: tuple[CaseStudy, ...]
    comparisons: tuple[dict[str, Any], ...]
    cases: PageCases
    origin: Mapping[str, Any]
    left_out: tuple[str, ...]
    citations: tuple[Citation, ...]

    @property
    def tables(self) -> list[Table]:
        return [table for section in self.sections for table in section.tables]

    @property
    def figures(self) -> list[Figure]:
        return [figure for section in self.sections for figure in section.figures]


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
    report = make_report(paths, extra)
    with replacing(folder) as temporary:
        for name, text in _files(report, now()).items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        _check_replaceable(folder)  # again: it may have been filled meanwhile
        older = temporary.with_suffix(".old")
        if folder.is_dir():
            folder.rename(older)
    shutil.rmtree(older, ignore_errors=True)
    return out / "index.html"


def make_report(paths: Sequence[Path], extra: ExtraSection | None = None) -> Report:
    """Return the report of the runs in these folders.

    Raises:
        LimbeckError: as `find_runs` and `group_runs`; no run is finished; predictions that cannot be read.
    """
    runs = find_runs(paths)
    groups = group_runs(runs)
    if not groups:
        raise LimbeckError(f"{paths[0]}: none of its {len(runs)} runs is finished, so there is nothing to report")
    cases = load_cases(groups)
    members = grade(groups, cases)
    sets = comparable_sets(members)
    tested = contrasts(sets)
    folders = grid_folders(paths, runs)
    grids = [Grid.load(path) for folder in folders for path in sorted((folder / "grids").glob("*.yaml"))]
    pages = {run.path: page for group in groups for run in group.runs if (page := run.page()) is not None}
    missing = find_missing(folders, runs, grids)
    section, studies = extra(runs, grids, errors_in(folders)) if extra else (None, [])
    sections = (
        *([section] if section else []),
        accuracy_section(groups, tested),
        learning_section(sets, members),
        confidence_section(sets, members, pages),
        rationale_section(groups, members, cases, pages),
    )
    figure_bytes = sum(len(figure.svg) for section in sections for figure in section.figures)
    return Report(
        title=f"{', '.join(task for task, _ in tasks_of(groups))}: {len(groups)} run groups, "
        f"{sum(len(group.runs) for group in groups)} runs",
        overview=tuple(overview(groups, missing, tested)),
        sections=sections,
        studies=tuple(studies),
        comparisons=tuple(_comparison(contrast) for contrast in tested if contrast.comparison is not None),
        # the page stays small whatever else is on it: a figure weighs 4/3 of its bytes there
        cases=sample_cases(groups, cases, min(PAGE_BYTES, max(PAGE_BYTES // 8, MAX_PAGE - 3 * figure_bytes // 2))),
        origin=origin(groups),
        left_out=missing.sentences,
        citations=tuple(citations([group.recipe for group in groups])),
    )


def _comparison(contrast: Contrast) -> dict[str, Any]:
    values = asdict(contrast.comparison) if contrast.comparison else {}
    return {
        "task": contrast.member.task,
        "group": contrast.member.name,
        "baseline": contrast.comparable.baseline.name,
        **values,
        "adjusted": contrast.adjusted,
    }


def _files(report: Report, timestamp: str) -> dict[str, str]:
    """Return every file's text by its name. report.json names them all, for the next report to know what is its own."""
    stems = _stems([*report.tables, *report.figures])
    figure_stems = stems[len(report.tables) :]
    all_tables = [*report.tables, *(figure.table for figure in report.figures)]
    texts = {"index.html": html(report, timestamp), "report.md": _markdown(report, timestamp, figure_stems)}
    for table, stem in zip(all_tables, stems, strict=True):
        texts |= {f"tables/{stem}.{ending}": write(table) for ending, write in FORMATS.items()}
    for figure, stem in zip(report.figures, figure_stems, strict=True):
        texts[f"figures/{stem}.svg"] = figure.svg
    data = finite({**_data(report, timestamp), "files": [*texts, REPORT_JSON]})
    return {**texts, REPORT_JSON: json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)}


def _stems(items: Sequence[Table | Figure]) -> list[str]:
    """Return a file's stem for each table or figure."""
    stems: list[str] = []
    for item in items:
        stem = re.sub(r"[^a-z0-9]+", "-", item.name.lower()).strip("-")[:80] or "table"
        number = 1
        while (name := stem if number == 1 else f"{stem}-{number}") in stems:
            number += 1
        stems.append(name)
    return stems


def _data(report: Report, timestamp: str) -> dict[str, Any]:
    """Return everything that is in the report; a figure as its numbers."""
    sections = [
        {**asdict(section), "figures": [{"title": f.title, "table": asdict(f.table)} for f in section.figures]}
        for section in report.sections
    ]
    return {
        MARKER: 1,
        "limbeck": limbeck.__version__,
        "made": timestamp,
        "title": report.title,
        "overview": report.overview,
        "sections": sections,
        "studies": [asdict(study) for study in report.studies],
        "comparisons": report.comparisons,
        "cases": report.cases.cases,
        "shared_examples": report.cases.shared,
        "provenance": report.origin,
        "left_out": report.left_out,
        "citations": [asdict(citation) for citation in report.citations],
    }


def _markdown(report: Report, timestamp: str, figure_stems: Sequence[str]) -> str:
    """Return the report as Markdown: the overview, the tables, links to figures; browsing is left to the page."""
    stems = iter(figure_stems)
    lines = [f"# {markdown(report.title)}", "", " ".join(map(markdown, report.overview)), ""]
    for section in report.sections:
        lines += [f"## {markdown(section.title)}", "", markdown(section.text), "", *map(to_markdown, section.tables)]
        for figure in section.figures:
            lines += [f"![{markdown(figure.title)}](figures/{next(stems)}.svg)", ""]
        lines += [*(f"- {markdown(sentence)}" for sentence in section.missing), ""]
    for study in report.studies:
        lines += [f"## {markdown(f'{study.title}: {study.task}')}", "", markdown(study.reason or study.rule), ""]
        for kind in study.kinds:
            lines += [f"### {markdown(kind.name)}: {kind.count:,}", ""]
            lines += [line for case in kind.picked for line in _case_lines(case)]
    lines += ["## Provenance", ""]
    for name, values in report.origin["facts"].items():
        counts = "; ".join(f"{markdown(entry['value'])} ({entry['runs']} runs)" for entry in values)
        lines.append(f"- {markdown(name)}: {counts}")
    lines += [f"- left out: {markdown(sentence)}" for sentence in report.left_out]
    lines += ["", "## Citations", "", *(f"- {markdown(citation.text)}" for citation in report.citations), ""]
    lines.append(f"{len(report.cases.cases):,} cases, recipes and data hashes are in index.html and report.json.")
    return "\n".join([*lines, "", f"limbeck {limbeck.__version__}, {timestamp}", ""])


def _case_lines(case: Case) -> Iterator[str]:
    yield from (f"> {markdown(case.input)}", "")
    rows = [("gold", case.label, None), ("teacher", case.teacher_label, case.rationale)]
    for answer in case.answers:
        verdict = "right" if answer.correct else "wrong"
        rows.append((answer.group, f"{answer.prediction} ({verdict})", answer.rationale))
    for name, text, rationale in rows:
        if text is not None:
            yield f"- **{markdown(name)}**: {markdown(text)}. {markdown(rationale or '')}"
    yield ""


def _check_replaceable(out: Path) -> None:
    """Refuse a folder that holds anything but a report."""
    if not out.exists():
        return
    advice = "give another --output"
    if not out.is_dir():
        raise FileError(f"not a folder; {advice}", path=out)
    if Path.cwd().is_relative_to(out.resolve()):  # a shell would be left in a folder that is gone
        raise FileError(f"is or holds the current folder, and would be replaced; {advice}", path=out)
    if not any(out.iterdir()):
        return
    try:
        data = read_json(out / REPORT_JSON)
    except LimbeckError:
        data = None
    if not isinstance(data, dict) or MARKER not in data:
        raise FileError(f"holds something that is not a report of limbeck's; {advice}", path=out)
    names = set(map(str, data["files"])) if isinstance(data.get("files"), list) else set()
    paths = (path for path in out.rglob("*") if path.is_symlink() or not path.is_dir())
    if foreign := sorted({str(path.relative_to(out)) for path in paths} - names):
        raise FileError(f"holds {foreign[0]!r} beside the report, which would be lost; move it away", path=out)
