"""The report as Markdown: the paragraph, the tables, links to figures; what is to be browsed is on the page."""

from collections.abc import Iterator, Sequence

import limbeck
from limbeck.experiments.report import render, text
from limbeck.experiments.report.assemble import Report, Section


def markdown(report: Report, made: str, figures: Sequence[str]) -> str:
    """`figures`: the stems of the figures' files, in order."""
    stems = iter(figures)
    lines = [f"# {text.markdown(report.title)}", "", text.markdown(" ".join(report.overview)), ""]
    for section in report.sections:
        lines += _section(section, stems)
    lines += ["## Provenance", ""]
    for name, values in report.origin["facts"].items():
        said = "; ".join(f"{text.markdown(one['value'])} ({one['runs']} runs)" for one in values)
        lines.append(f"- {text.markdown(name)}: {said}")
    lines += [f"- left out: {text.markdown(one)}" for one in report.left_out]
    lines += ["", "## Citations", "", *(f"- {text.markdown(one.text)}" for one in report.citations), ""]
    cases = len(report.cases.cases)
    lines.append(f"{cases:,} cases, recipes and data hashes are in index.html and report.json.")
    return "\n".join([*lines, "", f"limbeck {limbeck.__version__}, {made}", ""])


def _section(section: Section, stems: Iterator[str]) -> list[str]:
    lines = [f"## {text.markdown(section.title)}", "", text.markdown(section.text), ""]
    lines += [render.markdown(table) for table in section.tables]
    for figure, stem in zip(section.figures, stems, strict=False):
        lines += [f"![{text.markdown(figure.title)}](figures/{stem}.svg)", ""]
    return [*lines, *(f"- {text.markdown(one)}" for one in section.missing), ""]
