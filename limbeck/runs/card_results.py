"""What a model card says of a run's measures, of their limits, and of where all comes from."""

from collections.abc import Mapping
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.files import read_json
from limbeck.formatting import Markdown, code, interval
from limbeck.formatting import markdown as text
from limbeck.formatting import number as plain_number
from limbeck.models import Card
from limbeck.runs.run import Run, count_lines

Row = tuple[Markdown, Markdown, Markdown]  # a measure, its value, its interval

_DEPENDENCE = "dependence of label's and rationale's side, nats, at least; to compare runs with"
_SEQUENCE = "the probability that the student, sampled from, writes this very answer"
_CONFIDENCE = {
    None: f"the answer's probability among the choices where there are any, and elsewhere {_SEQUENCE}",
    "sequence": _SEQUENCE,
    "normalised": "the geometric mean of the probabilities of the answer's tokens, which is of no event",
    "first-token": "the highest probability over the vocabulary where the answer's first token is written",
    "choices": "the answer's probability among the choices, whose probabilities sum to one",
}
_FAITHLESS = {
    "predict": "the answer is not computed from it, which is written in a pass of its own, under another prefix",
    "rationale-first": "it precedes the answer in one text, and nothing shows that the answer follows from it",
    "answer-first": "it is written after the answer, and cannot have led to it",
}


def splits(results: Mapping[str, Any]) -> list[tuple[Markdown, Mapping[str, Any]]]:
    """Each split that was measured, what it is named on the card, and accuracy with interval, exact and n."""
    elsewhere = results.get("out_of_domain") or {}
    named = [(Markdown("valid, which chose the checkpoint"), results["valid"]), (Markdown("test"), results["test"])]
    named += [(Markdown(f"test of {code(task)}, out of domain"), found) for task, found in elsewhere.items()]
    empty = dict.fromkeys(("accuracy", "interval", "exact", "n"))
    if not elsewhere:
        named.append((Markdown("another task, out of domain"), {}))
    return [(name, {**empty, **found}) for name, found in named]


def count_sentences(results: Mapping[str, Any]) -> list[Markdown]:
    """Return what was cut or not answered of each split that was measured."""
    found = [(where, line) for where, line in count_lines(results) if where != "notes"]
    return [Markdown(f"{text(where)}: {text(line.text)}.") for where, line in found]


def by_label(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the test split's accuracy by label; empty where labels are free text, or were not measured so."""
    found = results["test"].get("by_label")
    return found if isinstance(found, dict) else {}


def evaluation(run: Run) -> dict[str, Any]:
    """What `limbeck evaluate` wrote of the test split, if it is of the run's newest measurement; else nothing."""
    try:
        return run.page() or {}
    except LimbeckError:
        return {}


def measures(found: Mapping[str, Any], reasons: bool) -> list[Row]:
    """Rows of calibration, selective prediction and, if the student `reasons`, its rationales."""
    calibration, selective = found.get("calibration") or {}, found.get("selective") or {}
    fitted = f", on {code(calibration['temperature_fitted_on'])}" if "temperature_fitted_on" in calibration else ""
    rows = [
        _row("average confidence", calibration, "average_confidence"),
        _row("expected calibration error, 10 bins", calibration, "ece"),
        _row("the same by chance, were it calibrated", calibration, "ece_expected_if_calibrated"),
        _row("Brier score", calibration, "brier"),
        _row(f"temperature that fits best{fitted}", calibration, "temperature"),
        _row("area under the risk-coverage curve (AURC; less is better)", selective, "aurc"),
    ]
    for point in selective.get("at_coverage") or ():
        if point["coverage"] in (0.5, 0.8, 0.9):
            rows.append(_row(f"accuracy on the surest {point['coverage']:.0%}", point, "accuracy", "interval"))
    if not selective.get("at_coverage"):
        rows.append(_row("accuracy on the surest half", {}, "accuracy"))
    return rows + (_rationales(found) if reasons else [])


def _rationales(found: Mapping[str, Any]) -> list[Row]:
    quality, bound = found.get("quality") or {}, found.get("dependence") or {}
    agreeing, similar = quality.get("consistency") or {}, quality.get("similarity") or {}
    said = f", in the {agreeing['readable']:.0%} that conclude legibly" if agreeing.get("readable") is not None else ""
    words = f" (the teacher's: {number(quality['reference_words'], 1)})" if quality.get("reference_words") else ""
    chance = f" (shuffled: {number(bound['chance'])})" if bound.get("chance") is not None else ""
    by = f" by {code(similar['encoder'])}" if similar.get("encoder") else ""
    rows = [
        _row("rationales: BLEU against the teacher's, 0 to 100", quality.get("bleu") or {}, "score", digits=1),
        _row("rationales: ROUGE-L against the teacher's", quality, "rougeL"),
        _row(f"rationales: similarity to the teacher's{by}", similar, "mean"),
        _row(f"rationales: words{words}", quality, "words", digits=1),
        _row("rationales: share of 3-grams repeated", quality, "repetition"),
        _row(f"rationales: conclude with the answer given{said}", agreeing, "consistency"),
        _row(f"{_DEPENDENCE}{chance}", bound, "nats", "interval"),
    ]
    if bound.get("reason"):
        rows[-1] = (rows[-1][0], Markdown(f"not measured: {code(bound['reason'])}"), Markdown(""))
    return rows


def _row(title: str, found: Mapping[str, Any], name: str, ends: str | None = None, digits: int = 3) -> Row:
    ends_ = interval(found.get(ends or f"{name}_interval"), digits)
    return Markdown(title), number(found.get(name), digits), Markdown(ends_)


def confidence(run: Run, card: Card) -> Markdown:
    """What the student's confidence in an answer is."""
    part = "" if card.answer_view == "predict" else ", of the answer's part of the text alone"
    return Markdown(_CONFIDENCE[run.recipe.evaluation.confidence] + part)


def limits(run: Run, card: Card) -> list[Markdown]:
    """What the measures do not show."""
    objective, seed = run.recipe.objective.build(), run.recipe.seed
    lines = [
        f"One run of one seed ({seed}): the intervals are of the questions alone, and say nothing of what another seed "
        "would give.",
        "Validation accuracy chose the checkpoint, and flatters the student; the test split chose nothing.",
        "A test split drawn as the training rows were says little of other questions, other wording, other languages.",
    ]
    if card.rationale_view:
        lines += [
            f"A rationale is no faithful explanation: {_FAITHLESS[card.answer_view]}.",
            "Nearness to the teacher's text is no measure of good reasoning. Whether the rationales are true was not "
            "measured here.",
            "The teacher's rationales are wrong at times, and the student learnt from those too.",
        ]
    if objective.alignments:
        lines.append("The alignment is named after mutual information; its value is no estimate of it.")
    if objective.sees_padding:
        lines.append(f"{code(objective.name)} repeats a fault of the released code: padding changes the loss.")
    lines.append("Not measured: bias, harmful answers, robustness against inputs made to mislead.")
    return [Markdown(line) for line in lines]


def provenance(run: Run) -> dict[str, Any]:
    """What the run's provenance.json holds. Raises LimbeckError where that is no provenance."""
    path = run.path / "provenance.json"
    found = read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("data"), dict):
        raise LimbeckError(f"{path}: no provenance of a run")
    return found


def provenance_lines(run: Run, license: str | None) -> list[Markdown]:
    """Versions, machine, times, licence."""
    origin, results = provenance(run), run.results
    machine = {name: code(value) for name, value in origin.get("machine", {}).items()}
    versions = ", ".join(f"{code(name)} {code(version)}" for name, version in origin.get("versions", {}).items())
    revision = code(origin["revision"]) if origin.get("revision") else "not recorded"
    lines = [
        f"limbeck {code(origin.get('limbeck'))}, revision {revision}.",
        f"Versions: {versions}.",
        f"Machine: {machine.get('platform')}, {machine.get('cores')} cores, device {machine.get('device')}.",
        f"Started {code(origin.get('started'))}, finished {code(results.get('finished'))}; "
        f"training took {code(results['training']['seconds'])} s since its last start.",
    ]
    if origin.get("resumed"):
        lines.append(f"Interrupted and gone on with {len(origin['resumed'])} times.")
    given = f"{code(license)}, says the owner" if license else "not given; ask the owner"
    lines.append(f"Licence: {given}. Those of the data and of the model it began as may bind this one too.")
    return [Markdown(line) for line in lines]


def number(value: float | None, digits: int = 3) -> Markdown:
    """Return a measure of which a page says that it is not there."""
    return Markdown("not measured" if value is None else plain_number(value, digits))
