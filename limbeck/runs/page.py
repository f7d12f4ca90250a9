"""The page of an evaluation: its `measurements` as JSON and as Markdown, with figures beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from limbeck import figures
from limbeck.files import write_json, write_text
from limbeck.formatting import CALIBRATION, code, estimate, markdown, markdown_table, number
from limbeck.notes import lines_of

_CASCADE_POINTS = 11  # on the page: every tenth of the questions passed on

_DEFINITIONS = {
    "average_confidence": "average confidence",
    "ece": "ECE",
    "brier": "Brier score",
    "nll": "NLL",
    "aurc": "AURC",
}
_QUALITY = {
    "n": "rationales with one of the teacher's to compare with",
    "blank": "rationales asked for that are blank",
    "cut": "compared by their beginning alone, for their length",
    "rouge1": "ROUGE-1, F",
    "rouge2": "ROUGE-2, F",
    "rougeL": "ROUGE-L, F",
    "words": "words, mean",
    "reference_words": "words of the teacher's, mean",
    "length_ratio": "ratio of the two",
    "repetition": "repetition: share of 3-grams that occurred before",
    "reference_repetition": "repetition of the teacher's",
}
_GOALS = {"best": "the best accuracy", "as_teacher": "the teacher's accuracy at the least cost"}
_SAMPLINGS = {"single": "single", "self_consistency": "self-consistency"}


@dataclass(frozen=True)
class Section:
    """A heading, the key of its measurement, and how that becomes Markdown."""

    title: str
    key: str
    lines: Callable[[dict[str, Any]], list[str]]
    figure: str | None = None


def write_page(folder: Path, name: str, page: dict[str, Any]) -> None:
    """Write `NAME.json`, `NAME.md` and `NAME-FIGURE.svg` of `measurements` into the folder."""
    write_json(folder / f"{name}.json", page)
    svgs = _figures(page)
    for section in SECTIONS:
        if section.figure in svgs:
            write_text(folder / f"{name}-{section.figure}.svg", svgs[section.figure])
        elif section.figure:  # of an earlier evaluation
            (folder / f"{name}-{section.figure}.svg").unlink(missing_ok=True)
    write_text(folder / f"{name}.md", page_markdown(page, name))


def page_markdown(page: dict[str, Any], name: str) -> str:
    """Return the page: a section for each measurement, with its numbers or the reason why it is missing."""
    split = f"{page['out_of_domain']}, {page['split']}" if page["out_of_domain"] else page["split"]
    lines = [f"# {code(page['run'])}, {markdown(split)}: {page['n']} answers", "", *_accuracy(page)]
    for section in SECTIONS:
        lines += [f"## {section.title}", ""]
        if page[section.key] is None:
            lines += [f"Not measured: {markdown(page['reasons'][section.key])}.", ""]
            continue
        lines += section.lines(page)
        if section.figure:
            lines += [f"![{section.title}]({quote(f'{name}-{section.figure}.svg')})", ""]
    return "\n".join(lines)


def _figures(page: dict[str, Any]) -> dict[str | None, str]:
    svgs: dict[str | None, str] = {}
    if page["calibration"] is not None:
        svgs["reliability"] = figures.reliability(page["calibration"]["bins"])
        svgs["risk-coverage"] = figures.risk_coverage({"student": page["selective"]["curve"]})
    if page["cascade"] is not None:
        svgs["cascade"] = figures.cascade({"student": page["cascade"]}, page["teacher"]["accuracy"])
    return svgs


def _accuracy(page: dict[str, Any]) -> list[str]:
    accuracy = page["accuracy"]
    lines = [
        f"Accuracy {estimate(accuracy['accuracy'], accuracy['interval'])}, by Wilson's interval; "
        f"{number(accuracy['exact'])} are exactly the label's text.",
        "",
    ]
    for line in lines_of(page["counts"], accuracy["n"]):
        lines += [f"{markdown(line.text[0].upper() + line.text[1:])}.", ""]
    return lines


def _by_label(page: dict[str, Any]) -> list[str]:
    by_label = page["by_label"]
    majority, unlisted = by_label["majority"], by_label["other"]
    keys = ("label", "n", "accuracy", "interval", "predicted", "f1")
    return [
        f"Answering {code(majority['label'])} always: {number(majority['accuracy'])}. "
        f"Macro F1: {number(by_label['macro_f1'])}."
        + (f" {unlisted} answers are none of these labels." if unlisted else ""),
        "",
        *markdown_table(
            ("label", "n", "accuracy", "95 % interval", "answered", "F1"),
            [[label[key] for key in keys] for label in by_label["labels"]],
        ),
    ]


def _calibration(page: dict[str, Any]) -> list[str]:
    calibration = page["calibration"]
    left_out = [
        f"{calibration['without_confidence']} without a confidence are left out"
        if calibration["without_confidence"]
        else "",
        f"{calibration['unanswered']} without an answer count with a confidence of 0"
        if calibration["unanswered"]
        else "",
        f"measures over all choices are of {calibration['n_choices']}"
        if 0 < calibration["n_choices"] < calibration["n"]
        else "",
    ]
    remarks = "; ".join(filter(None, left_out))
    rows = [
        (
            title,
            calibration[key],
            calibration[f"{key}_interval"],
            calibration.get(f"{key}_expected_if_calibrated"),
            calibration.get(f"{key}_p_value"),
        )
        for key, title in CALIBRATION.items()
        if calibration.get(key) is not None
    ]
    heads = ("measure", "value", "95 % interval", "if calibrated", "p if calibrated")
    return [*([f"Of {calibration['n']} answers; {remarks}.", ""] if remarks else []), *markdown_table(heads, rows)]


def _temperature(page: dict[str, Any]) -> list[str]:
    calibration, scaled = page["calibration"], page["calibration"]["scaling"]
    temperature = calibration["temperature"]
    text = estimate(temperature, calibration["temperature_interval"]) if temperature else "none"
    line = f"Temperature {text}, fitted on {calibration['temperature_fitted_on']}."
    if reason := calibration["temperature_reason"] or scaled["reason"]:
        line += f" No value after it: {markdown(reason)}."
    rows = [
        ("negative log-likelihood", scaled["nll_before"], scaled["nll_after"]),
        ("expected calibration error", scaled["ece_before"], scaled["ece_after"]),
    ]
    return [line, "", *markdown_table(("measure", "before", "after"), rows)]


def _definitions(page: dict[str, Any]) -> list[str]:
    rows = [
        (
            name,
            values["n"],
            *(estimate(values[key], values[f"{key}_interval"]) for key in _DEFINITIONS),
            values["auroc"],
        )
        for name, values in page["definitions"].items()
    ]
    return markdown_table(("definition", "n", *_DEFINITIONS.values(), "AUROC"), rows)


def _reliability(page: dict[str, Any]) -> list[str]:
    rows = [
        (
            f"{bucket['low']:.1f} to {bucket['high']:.1f}",
            bucket["n"],
            bucket["confidence"],
            bucket["accuracy"],
            bucket["interval"],
        )
        for bucket in page["calibration"]["bins"]
    ]
    return markdown_table(("confidence", "n", "mean confidence", "accuracy", "95 % interval"), rows)


def _selective(page: dict[str, Any]) -> list[str]:
    selective = page["selective"]
    rows = [
        (f"{point['coverage']:.0%}", point["threshold"], point["accuracy"], point["interval"])
        for point in selective["at_coverage"]
    ]
    areas = [
        ("area under the risk-coverage curve (AURC)", selective["aurc"], selective["aurc_interval"]),
        ("its excess over that of the best order (E-AURC)", selective["e_aurc"], selective["e_aurc_interval"]),
    ]
    return [
        *markdown_table(("share", "confidence at least", "accuracy", "95 % interval"), rows),
        *markdown_table(("measure", "value", "95 % interval"), areas),
    ]


def _cascade(page: dict[str, Any]) -> list[str]:
    points, teacher = page["cascade"], page["teacher"]
    shares = np.linspace(0, 1, _CASCADE_POINTS)
    chosen = [min(points, key=lambda point: abs(point["passed"] - share)) for share in shares]
    left_out = f", without {teacher['left_out']} that it or the student left open" if teacher["left_out"] else ""
    return [
        f"The teacher alone: {estimate(teacher['accuracy'], teacher['interval'])}{left_out}. The cost is per question, "
        "in units of a question to the teacher; the student's is taken as zero.",
        "",
        *markdown_table(
            ("passed on", "accuracy", "cost"),
            [(f"{point['passed']:.0%}", point["accuracy"], point["cost"]) for point in chosen],
        ),
    ]


def _thresholds(page: dict[str, Any]) -> list[str]:
    rows = [
        (
            _GOALS[goal],
            "all to the teacher" if choice["threshold"] is None else choice["threshold"],
            *(choice["on_validation"][key] for key in ("accuracy", "cost")),
            *(choice["here"][key] for key in ("accuracy", "interval", "cost")),
        )
        for goal, choice in page["thresholds"].items()
    ]
    heads = (
        "goal",
        "confidence from",
        "accuracy on validation",
        "cost on validation",
        "accuracy",
        "95 % interval",
        "cost",
    )
    return ["Chosen on the run's validation predictions, applied to these answers.", "", *markdown_table(heads, rows)]


def _rationales(page: dict[str, Any]) -> list[str]:
    quality = page["quality"]
    bleu, similarity, consistency = quality["bleu"] or {"score": None}, quality["similarity"], quality["consistency"]
    rows = [("BLEU, of the corpus, 0 to 100", bleu["score"])]
    rows += [(title, quality[key]) for key, title in _QUALITY.items()]
    if similarity is None:
        note = "Not measured: similarity; it needs an encoder, `--encoder NAME`."
    else:
        rows.append(("similarity, mean cosine", similarity["mean"]))
        note = f"Similarity by the encoder {code(similarity['encoder'])}."
    rows += [
        ("consistency: the rationale's conclusion is the answer", consistency["consistency"]),
        ("rationales with a conclusion that can be read", consistency["readable"]),
    ]
    return [*markdown_table(("measure", "value"), rows), note, ""]


def _judge(page: dict[str, Any]) -> list[str]:
    judge, correlation = page["judge"], page["judge"]["correlation"]
    keys = ("mean", "sd", "n", "unread", "missing", "agreement", "alpha")
    rows = [
        (owner, title, *(summary[sampling][key] for key in keys))
        for owner, tasks in judge["summary"].items()
        for summary in tasks.values()
        for sampling, title in _SAMPLINGS.items()
        if sampling in summary
    ]
    heads = ("rationales", "asked", "mean, 1 to 5", "sd", "n", "unread", "missing", "agreement", "alpha")
    lines = [
        *markdown_table(heads, rows),
        f"Correlation of the single score with a right answer, of {markdown(judge['name'])}:",
        "",
    ]
    if correlation["reason"]:
        return [*lines, f"undefined: {markdown(correlation['reason'])}.", ""]
    rows = [
        (name.replace("_", "-"), *(correlation[name][key] for key in ("value", "interval", "p_value")))
        for name in ("pearson", "point_biserial", "spearman")
    ]
    return [*lines, *markdown_table(("coefficient", "value", "95 % interval", "p"), rows)]


def _significance(page: dict[str, Any]) -> list[str]:
    keys = ("difference", "interval", "p_value", "adjusted", "discordant", "cohens_g", "detectable")
    comparisons = page["significance"]
    rows = [(code(each["run"]), *(each[key] for key in keys)) for each in comparisons if "reason" not in each]
    heads = ("minus", "difference", "95 % interval", "p", "adjusted p", "discordant", "Cohen's g", "detectable")
    lines = markdown_table(heads, rows) if rows else []
    for comparison in comparisons:
        if "reason" in comparison:
            lines += [f"Not compared with {code(comparison['run'])}: {markdown(comparison['reason'])}.", ""]
    return [
        *lines,
        "p by McNemar's test (mid-p), adjusted by Holm's method over all pairs of the runs evaluated together; "
        "detectable: the smallest true difference that this many examples show four times out of five.",
        "",
    ]


def _dependence(page: dict[str, Any]) -> list[str]:
    dependence = page["dependence"]
    if dependence["reason"]:
        return [f"Not measured: {markdown(dependence['reason'])}.", ""]
    rows = [
        ("lower bound (InfoNCE), nats", dependence["nats"], dependence["interval"]),
        ("by chance: the mean over shuffled pairs", dependence["chance"], None),
        ("by chance: the highest", dependence["chance_upper"], None),
        ("ceiling, log K", dependence["ceiling"], None),
    ]
    near_ceiling = ' It is near the ceiling: read it as "at least", and compare it with nothing.'
    return [
        *markdown_table(("measure", "value", "95 % interval"), rows),
        f"Of {dependence['n']} pairs; compare it only between runs on the same examples."
        + (near_ceiling if dependence["near_ceiling"] else ""),
        "",
    ]


SECTIONS = (
    Section("Labels", "by_label", _by_label),
    Section("Calibration", "calibration", _calibration),
    Section("Temperature", "calibration", _temperature),
    Section("Reliability", "calibration", _reliability, "reliability"),
    Section("Definitions of confidence", "definitions", _definitions),
    Section("Selective prediction: the most confident answers", "selective", _selective, "risk-coverage"),
    Section("Cascade: the student where it is confident, else the teacher", "cascade", _cascade, "cascade"),
    Section("Thresholds of the cascade", "thresholds", _thresholds),
    Section("Rationales", "quality", _rationales),
    Section("The judge", "judge", _judge),
    Section("Significance", "significance", _significance),
    Section("Dependence of the label's side and the rationale's", "dependence", _dependence),
)
