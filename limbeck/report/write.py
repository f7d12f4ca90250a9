"""A report's folder, written whole or not at all: index.html, which needs no network, text and data."""

import base64
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup, escape

import limbeck
from limbeck.errors import FileError, LimbeckError
from limbeck.files import read_json, replacing
from limbeck.formatting import Markdown, finite, visible
from limbeck.grids import Grid, cells, read_failure
from limbeck.metrics.predictions import read_predictions
from limbeck.report.answers import comparable_sets, contrasts, grade
from limbeck.report.cases import sample_cases, shared_cases
from limbeck.report.overview import find_missing, overview
from limbeck.report.sections import accuracy_section, confidence_section, learning_section, rationale_section
from limbeck.report.tables import Section, Table, to_csv, to_latex, to_markdown
from limbeck.report.usage import usage_section
from limbeck.runs.compare import RunGroup, Value, group_runs, grouped
from limbeck.runs.page import render
from limbeck.runs.publication import citations, portable
from limbeck.runs.run import Run, flat, now, open_run, yaml_text

# makes the first section, the paper's tables, from runs, grids, and the errors of failed runs by name
ExtraSection = Callable[[Sequence[Run], Sequence[Grid], Mapping[str, str]], Section | None]

REPORT_JSON = "report.json"
_OURS = re.compile(r"index\.html|report\.(md|json)|tables/[a-z0-9-]+\.(md|tex|csv)|figures/[a-z0-9-]+\.svg")
FORMATS = {"md": to_markdown, "tex": to_latex, "csv": to_csv}
MAX_DRAWN = 12  # comparable sets with curves
SHARED_FACTS = ("limbeck", "revision", "versions.", "machine.", "data.")  # of a provenance


Report = dict[str, Any]  # by name in the templates and in report.json


def write_report(paths: Sequence[Path], out: Path, extra: ExtraSection | None = None, *, online: bool = False) -> Path:
    """Write the report of the runs in and below `paths`, replacing an older one; return `out/index.html`.

    `online`: data sets of the Hub are read for the teacher's words. Raises LimbeckError where `out` is something else,
    no run is finished, or a file cannot be read.
    """
    folder = Path(os.path.realpath(out))
    _check_replaceable(folder)
    texts = _files(make_report(paths, extra, online=online))
    with replacing(folder, folder=True) as temporary:
        for name, text in texts.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
    return out / "index.html"


def _check_replaceable(out: Path) -> None:
    """Raise FileError for a folder with anything but a report, and for the current one."""
    if Path.cwd().resolve().is_relative_to(out):
        raise FileError("is or holds the current folder; give another --output", path=out)
    if out.exists() and not out.is_dir():
        raise FileError("not a folder; give another --output", path=out)
    try:
        names = {name for name in read_json(out / REPORT_JSON)["files"] if _OURS.fullmatch(name)}
    except (LimbeckError, LookupError, TypeError):
        names = set()
    paths = (path for path in out.rglob("*") if path.is_symlink() or not path.is_dir())
    if foreign := sorted({str(path.relative_to(out)) for path in paths} - names):
        raise FileError(f"holds {foreign[0]!r}, of no report; give another --output", path=out)


def make_report(paths: Sequence[Path], extra: ExtraSection | None, *, online: bool = False) -> Report:
    runs, damaged = find_runs(paths)
    groups = sorted(group_runs(runs), key=lambda group: group.task)
    if not groups:
        raise LimbeckError(next(iter(damaged.values()), f"{paths[0]}: none of its {len(runs)} runs is finished"))
    grids, wrong_grids = _read_each(_files_below(paths, "grids/*.yaml"), _load_grid)
    failures, wrong_failures = _read_each(_files_below(paths, "failed/*.json"), read_failure)
    errors = {path.stem: error for path, error in failures.items()}
    missing, left_out = find_missing(runs, [*grids.values()], errors, damaged)
    left_out += [*wrong_grids.values(), *wrong_failures.values()]
    tasks = grouped(grade(groups, online=online), lambda member: member.task)
    sets = [comparable for members in tasks.values() for comparable in comparable_sets(members)]
    if len(sets) > MAX_DRAWN:
        left_out.append(f"curves of {len(sets) - MAX_DRAWN} of {len(sets)} sets of comparable run groups")
    tested = contrasts(sets)
    sections = [
        extra(runs, [*grids.values()], errors) if extra else None,
        accuracy_section(tested),
        learning_section(sets[:MAX_DRAWN], tasks),
        confidence_section(sets[:MAX_DRAWN], tasks),
        rationale_section(tasks),
        usage_section([member for members in tasks.values() for member in members]),
    ]
    cases = [case for members in tasks.values() for case in shared_cases(members)]
    return {
        "title": f"{', '.join(tasks)}: {len(groups)} run groups, {sum(len(group.runs) for group in groups)} runs",
        "overview": _without_folders(overview(tested, missing), paths),
        "sections": [
            replace(section, missing=_without_folders(section.missing, paths))
            for section in _with_file_names([section for section in sections if section])
        ],
        "comparisons": [
            {"task": contrast.member.task, "group": contrast.member.name, "baseline": contrast.baseline.name}
            | {**asdict(contrast.comparison), "adjusted": contrast.adjusted}
            for contrast in tested
            if contrast.comparison is not None
        ],
        "cases": sample_cases(cases),
        "shared_examples": len(cases),
        "provenance": _provenance(groups),
        "recipes": [
            {
                "title": f"{group.task}: {group.name}, seeds {', '.join(str(run.recipe.seed) for run in group.runs)}",
                "runs": " · ".join(_without_folders([str(run.path) for run in group.runs], paths)),
                "yaml": yaml_text(portable(group.recipe.resolved())),
            }
            for group in groups
        ],
        "left_out": _without_folders(left_out, paths),
        "citations": citations([group.recipe for group in groups]),
        "limbeck": limbeck.__version__,
        "made": now(),
    }


def find_runs(paths: Sequence[Path]) -> tuple[list[Run], dict[Path, str]]:
    """Return the runs, finished or not, in and below these folders, and by folder why others cannot be read.

    Raises FileError for a folder without any.
    """
    recipes = _files_below(paths, "recipe.yaml")
    for path in paths:
        if not any(path.rglob("recipe.yaml")):
            raise FileError("no run here (recipe.yaml) or below", path=path)
    runs, damaged = _read_each({recipe.parent.resolve(): recipe.parent for recipe in recipes}.values(), _open_checked)
    return [*runs.values()], damaged


def _files_below(folders: Sequence[Path], pattern: str) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.rglob(pattern))]


def _read_each(paths: Iterable[Path], read: Callable[[Path], Value]) -> tuple[dict[Path, Value], dict[Path, str]]:
    """Return the value that `read` makes of each path, and the errors for those that it refuses."""
    values, errors = dict[Path, Value](), dict[Path, str]()
    for path in paths:
        try:
            values[path] = read(path)
        except LimbeckError as error:
            errors[path] = str(error)
    return values, errors


def _open_checked(path: Path) -> Run:
    """Return the run in a folder. Raises LimbeckError where a file that accuracies need cannot be read."""
    run = open_run(path)
    if (path / "results.json").exists():
        results, _ = run.results, run.provenance
        for name in ("test", *(f"{name}-test" for name in results.get("out_of_domain", {}))):
            read_predictions(run.measured_predictions(name))
    return run


def _load_grid(path: Path) -> Grid:
    grid = Grid.load(path)
    cells(grid)  # raises where a recipe is wrong
    return grid


def _without_folders(sentences: Iterable[str], paths: Sequence[Path]) -> list[str]:
    """Return sentences with paths below what these have in common, and of others the last part: they may be mailed."""
    forms = [[path.absolute().parent for path in paths], [path.resolve().parent for path in paths]]
    common = {os.path.commonpath(form) for form in forms}
    for place in sorted(common - {"/"}, key=len, reverse=True):
        sentences = [re.sub(rf"(?<![\w./:-]){re.escape(place)}/", "", sentence) for sentence in sentences]
    return [re.sub(r"(?<![\w./:-])/[^\s:;,'\"()`]*/", "", sentence) for sentence in sentences]


def _with_file_names(sections: Sequence[Section]) -> list[Section]:
    stems: set[str] = set()

    def named(table: Table) -> Table:
        stem = re.sub(r"[^a-z0-9]+", "-", table.name.lower()).strip("-")[:80]
        while stem in stems:
            stem += "-more"
        stems.add(stem)
        return replace(table, name=stem)

    return [
        replace(
            section,
            tables=[named(table) for table in section.tables],
            figures=[replace(figure, table=named(figure.table)) for figure in section.figures],
        )
        for section in sections
    ]


def _provenance(groups: Sequence[RunGroup]) -> list[tuple[str, str, int]]:
    facts = Counter(
        (f"{group.task}: {key}" if key.startswith("data.") else key, str(value))
        for group in groups
        for run in group.runs
        for key, value in flat(run.provenance).items()
        if key.startswith(SHARED_FACTS)
    )
    return [(*fact, count) for fact, count in facts.items()]  # of runs


def _files(report: Report) -> dict[str, str]:
    """Return every file's text by name; report.json lists what the next report may replace."""
    texts = {"index.html": html(report), "report.md": to_text(report)}
    for section in report["sections"]:
        for table in [*section.tables, *(figure.table for figure in section.figures)]:
            texts |= {f"tables/{table.name}.{ending}": write(table) for ending, write in FORMATS.items()}
        texts |= {f"figures/{figure.table.name}.svg": figure.svg for figure in section.figures}
    data = report | {"files": [*texts, REPORT_JSON], "sections": list(map(asdict, report["sections"]))}
    for figure in (figure for section in data["sections"] for figure in section["figures"]):
        del figure["svg"]  # in its own file
    return {**texts, REPORT_JSON: json.dumps(finite(data), indent=1, ensure_ascii=False, allow_nan=False)}


def html(report: Report) -> str:
    folder = files("limbeck.report") / "templates"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("page.css", "cases.js"))
    policy = (  # nothing is loaded or sent, and only what is hashed here runs or styles the page
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    environment = Environment(
        loader=PackageLoader("limbeck.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {"prose": _prose, "image": _image}
    values = {"report": report, "policy": policy, "style": Markup(style), "script": Markup(script)}  # noqa: S704 - ours
    cases = htmlsafe_json_dumps(finite(report["cases"]), ensure_ascii=False, separators=(",", ":"))
    return environment.get_template("index.html").render(values, cases=cases)


def to_text(report: Report) -> str:
    """Return the report as Markdown, without the cases."""
    name = "report/templates/report.md.jinja"
    return render(name, report=report, table=lambda table: Markdown(to_markdown(table)))


def _prose(sentence: str) -> Markup:
    """Return HTML with code for what stands between backticks."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(visible(sentence)))))  # noqa: S704 - escaped here


def _image(svg: str) -> str:
    """Return an image's address, in which no script runs and no style leaks."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
