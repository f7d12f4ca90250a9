"""The report as Markdown: the paragraph, the tables, links to figures; what is to be browsed is on the page."""

from collections.abc import Iterator, Sequence

import limbeck
from limbeck.report import render, text
from limbeck.report.assemble import Report, Section
from limbeck.report.cases import Case
from limbeck.report.studies import Study


def markdown(report: Report, made: str, figures: Sequence[str]) -> str:
    """`figures`: the stems of the figures' files, in order."""
    stems = iter(figures)
    lines = [f"# {text.markdown(report.title)}", "", " ".join(map(text.markdown, report.overview)), ""]
    for section in report.sections:
        lines += _section(section, stems)
    for study in report.studies:
        lines += _study(study)
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


def _study(study: Study) -> list[str]:
    lines = [f"## {text.markdown(f'{study.title}: {study.task}')}", "", text.markdown(study.reason or study.rule), ""]
    for kind in study.kinds:
        lines += [f"### {text.markdown(kind.name)}: {kind.count:,}", ""]
        lines += [line for case in kind.picked for line in _case(case)]
    return lines


def _case(case: Case) -> list[str]:
    given = [("gold", case.label, None), ("teacher", case.teacher_label, case.rationale)]
    said = [(one.arm, f"{one.prediction} ({'right' if one.correct else 'wrong'})", one.rationale) for one in case.said]
    rows = [
        f"- **{text.markdown(name)}**: {text.markdown(answer)}. {text.markdown(why or '')}"
        for name, answer, why in (*given, *said)
        if answer is not None
    ]
    return [f"> {text.markdown(case.input)}", "", *rows, ""]
