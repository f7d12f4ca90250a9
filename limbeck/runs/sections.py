"""The sections of an evaluation's page: how what `measures` found becomes Markdown."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck.formatting import CALIBRATION, cell, code
from limbeck.formatting import markdown as text
from limbeck.formatting import markdown_table as table
from limbeck.notes import lines_of

_SHOWN = 11  # points of the cascade on the Markdown page: every tenth of the questions passed on

_DEFINITIONS = {
    "average_confidence": "average confidence",
    "ece": "ECE",
    "brier": "Brier score",
    "nll": "NLL",
    "aurc": "AURC",
}
_QUALITY = {
    "n": "rationales beside the teacher's",
    "blank": "rationales asked for, of which none came",
    "cut": "compared by their beginning alone, for their length",
    "rouge1": "ROUGE-1, F",
    "rouge2": "ROUGE-2, F",
    "rougeL": "ROUGE-L, F",
    "words": "words, mean",
    "reference_words": "words of the teacher's, mean",
    "length_ratio": "the one by the other",
    "repetition": "repetition, share of 3-grams that stood before",
    "reference_repetition": "the teacher's repetition",
}
_GOALS = {"best": "the best accuracy", "as_teacher": "the teacher's accuracy at the least cost"}
_WAYS = {"single": "single", "self_consistency": "self-consistency"}


@dataclass(frozen=True)
class Section:
    """A heading, the key of what it shows, and how that becomes Markdown; where there is nothing, the reason does."""

    title: str
    key: str
    lines: Callable[[dict[str, Any]], list[str]]
    figure: str | None = None


def accuracy(found: dict[str, Any]) -> list[str]:
    """Return the page's first lines: the accuracy, and counts that belong beside it."""
    one = found["accuracy"]
    said = f"{cell(one['accuracy'])} {cell(one['interval'])}"
    lines = [f"Accuracy {said}, by Wilson's interval; {cell(one['exact'])} are the very same text as the label.", ""]
    for line in lines_of(found["counts"], one["n"]):
        lines += [f"{text(line.text[0].upper() + line.text[1:])}.", ""]
    return lines


def _by_label(found: dict[str, Any]) -> list[str]:
    one = found["by_label"]
    rows = [
        (of["label"], *(of[key] for key in ("n", "accuracy", "interval", "predicted", "f1"))) for of in one["labels"]
    ]
    majority = one["majority"]
    said = (
        f"Answering {code(majority['label'])} always: {cell(majority['accuracy'])}. Macro F1: {cell(one['macro_f1'])}."
    )
    other = f" {one['other']} answers are none of these labels." if one["other"] else ""
    return [said + other, "", *table(("label", "n", "accuracy", "95 % interval", "answered", "F1"), rows)]


def _measured(found: dict[str, Any]) -> list[str]:
    """Return what the measures of confidence leave out."""
    one = found["calibration"]
    said = [
        f"{one['without_confidence']} without a confidence are left out" if one["without_confidence"] else "",
        f"{one['unanswered']} without an answer count with a confidence of 0" if one["unanswered"] else "",
        f"what is over all choices is of {one['n_choices']}" if 0 < one["n_choices"] < one["n"] else "",
    ]
    said = [words for words in said if words]
    return [f"Of {one['n']} answers; {'; '.join(said)}.", ""] if said else []


def _calibration(found: dict[str, Any]) -> list[str]:
    one = found["calibration"]
    rows = [
        (title, one[key], one[f"{key}_interval"], one.get(f"{key}_expected_if_calibrated"), one.get(f"{key}_p_value"))
        for key, title in CALIBRATION.items()
        if one[key] is not None
    ]
    heads = ("measure", "value", "95 % interval", "if calibrated", "p if calibrated")
    return [*_measured(found), *table(heads, rows)]


def _scaling(found: dict[str, Any]) -> list[str]:
    one, scaled = found["calibration"], found["calibration"]["scaling"]
    value = f"{cell(one['temperature'])} {cell(one['temperature_interval'])}"
    reason = one["temperature_reason"] or scaled["reason"]
    lines = [f"Temperature {value if one['temperature'] else 'none'}, fitted on {one['temperature_fitted_on']}.", ""]
    if reason:
        lines = [f"{lines[0]} No value after it: {text(reason)}.", ""]
    rows = [
        ("negative log-likelihood", scaled["nll_before"], scaled["nll_after"]),
        ("expected calibration error", scaled["ece_before"], scaled["ece_after"]),
    ]
    return [*lines, *table(("measure", "before", "after"), rows)]


def _definitions(found: dict[str, Any]) -> list[str]:
    rows = [
        (name, one["n"], *(f"{cell(one[key])} {cell(one[f'{key}_interval'])}" for key in _DEFINITIONS), one["auroc"])
        for name, one in found["definitions"].items()
    ]
    return table(("definition", "n", *_DEFINITIONS.values(), "AUROC"), rows)


def _reliability(found: dict[str, Any]) -> list[str]:
    rows = [
        (f"{one['low']:.1f} to {one['high']:.1f}", one["n"], one["confidence"], one["accuracy"], one["interval"])
        for one in found["calibration"]["bins"]
    ]
    return table(("confidence", "n", "mean confidence", "accuracy", "95 % interval"), rows)


def _surest(found: dict[str, Any]) -> list[str]:
    one = found["selective"]
    rows = [(f"{at['coverage']:.0%}", at["threshold"], at["accuracy"], at["interval"]) for at in one["at_coverage"]]
    areas = [
        ("area under the risk-coverage curve (AURC)", one["aurc"], one["aurc_interval"]),
        ("its excess over that of the best order (E-AURC)", one["e_aurc"], one["e_aurc_interval"]),
    ]
    return [
        *table(("share", "of confidence from", "accuracy", "95 % interval"), rows),
        *table(("measure", "value", "95 % interval"), areas),
    ]


def _cascade(found: dict[str, Any]) -> list[str]:
    points, teacher = found["cascade"], found["teacher"]
    chosen = [min(points, key=lambda one: abs(one["passed"] - share)) for share in np.linspace(0, 1, _SHOWN)]
    rows = [(f"{one['passed']:.0%}", one["accuracy"], one["cost"]) for one in chosen]
    left_out = f", without {teacher['left_out']} that it or the student left open" if teacher["left_out"] else ""
    return [
        f"The teacher alone: {cell(teacher['accuracy'])} {cell(teacher['interval'])}{left_out}. Cost: a question, in "
        "units of one put to the teacher; the student's is counted as nothing.",
        "",
        *table(("passed on", "accuracy", "cost"), rows),
    ]


def _thresholds(found: dict[str, Any]) -> list[str]:
    rows = [
        (
            _GOALS[goal],
            "all to the teacher" if one["threshold"] is None else one["threshold"],
            *(one["on_validation"][key] for key in ("accuracy", "cost")),
            *(one["here"][key] for key in ("accuracy", "interval", "cost")),
        )
        for goal, one in found["thresholds"].items()
    ]
    heads = ("to reach", "confidence from", "there", "cost there", "accuracy here", "95 % interval", "cost here")
    return ["Chosen on the run's validation predictions, tried here.", "", *table(heads, rows)]


def _rationales(found: dict[str, Any]) -> list[str]:
    one, agreeing = found["quality"], found["quality"]["consistency"]
    bleu, similarity = one["bleu"] or {"score": None}, one["similarity"]
    rows = [("BLEU, of the corpus, 0 to 100", bleu["score"]), *((title, one[key]) for key, title in _QUALITY.items())]
    if similarity is None:
        lines = ["Not measured: similarity; it takes an encoder, `--encoder NAME`.", ""]
    else:
        rows.append(("similarity, mean cosine", similarity["mean"]))
        lines = [f"Similarity by the encoder {code(similarity['encoder'])}.", ""]
    rows += [
        ("consistency: the rationale's conclusion is the answer", agreeing["consistency"]),
        ("rationales with a conclusion that can be read", agreeing["readable"]),
    ]
    return [*table(("measure", "value"), rows), *lines]


def _judge(found: dict[str, Any]) -> list[str]:
    one = found["judge"]
    rows = [
        (whose, title, *(cells[way][key] for key in ("mean", "sd", "n", "unread", "missing", "agreement", "alpha")))
        for whose, tasks in one["summary"].items()
        for cells in tasks.values()
        for way, title in _WAYS.items()
        if way in cells
    ]
    heads = ("rationales", "asked", "mean, 1 to 5", "sd", "n", "unread", "missing", "agreement", "alpha")
    lines = [
        *table(heads, rows),
        f"Correlation of the single score with a right answer, of {text(one['name'])}:",
        "",
    ]
    correlation = one["correlation"]
    if correlation["reason"]:
        return [*lines, f"undefined: {text(correlation['reason'])}.", ""]
    names = ("pearson", "point_biserial", "spearman")
    rows = [
        (name.replace("_", "-"), *(correlation[name][key] for key in ("value", "interval", "p_value")))
        for name in names
    ]
    return [*lines, *table(("coefficient", "value", "95 % interval", "p"), rows)]


def _significance(found: dict[str, Any]) -> list[str]:
    keys = ("difference", "interval", "p_value", "adjusted", "discordant", "cohens_g", "detectable")
    others = found["significance"]
    rows = [(code(one["run"]), *(one[key] for key in keys)) for one in others if "reason" not in one]
    heads = ("less", "difference", "95 % interval", "p", "adjusted p", "discordant", "Cohen's g", "detectable")
    lines = table(heads, rows) if rows else []
    for one in others:
        if "reason" in one:
            lines += [f"Not compared with {code(one['run'])}: {text(one['reason'])}.", ""]
    return [
        *lines,
        "p by McNemar's test (mid-p), adjusted by Holm's method over all pairs of the runs evaluated together; "
        "detectable: the smallest true difference that so many examples show four times of five.",
        "",
    ]


def _dependence(found: dict[str, Any]) -> list[str]:
    one = found["dependence"]
    if one["reason"]:
        return [f"Not measured: {text(one['reason'])}.", ""]
    rows = [
        ("lower bound (InfoNCE), nats", one["nats"], one["interval"]),
        ("by chance: the mean over shuffled pairs", one["chance"], None),
        ("by chance: the highest", one["chance_upper"], None),
        ("ceiling, log K", one["ceiling"], None),
    ]
    near = ' It is near the ceiling: read it as "at least", and compare it with nothing.' if one["near_ceiling"] else ""
    said = f"Of {one['n']} pairs; to be compared between runs on the same examples only.{near}"
    return [*table(("measure", "value", "95 % interval"), rows), said, ""]


SECTIONS = (
    Section("Labels", "by_label", _by_label),
    Section("Calibration", "calibration", _calibration),
    Section("Temperature", "calibration", _scaling),
    Section("Reliability", "calibration", _reliability, "reliability"),
    Section("Definitions of confidence", "definitions", _definitions),
    Section("Selective prediction: the surest answers", "selective", _surest, "risk-coverage"),
    Section("Cascade: the student where it is sure, else the teacher", "cascade", _cascade, "cascade"),
    Section("Thresholds of the cascade", "thresholds", _thresholds),
    Section("Rationales", "quality", _rationales),
    Section("The judge", "judge", _judge),
    Section("Significance", "significance", _significance),
    Section("Dependence of the label's side and the rationale's", "dependence", _dependence),
)
