"""Everything that is measured of a student on one split, as plain values: what a page of an evaluation has to say."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from limbeck.data import View, task_of
from limbeck.errors import LimbeckError
from limbeck.metrics.answered import Answered, read_answers
from limbeck.metrics.definitions import by_definition
from limbeck.metrics.dependence import dependence
from limbeck.metrics.embedding import Encoder
from limbeck.stats.intervals import wilson
from limbeck.metrics.judged import read_judgements, score_correlation, summarise
from limbeck.metrics.quality import quality
from limbeck.metrics.selective import cascade
from limbeck.metrics.thresholds import Cascaded, thresholds
from limbeck.runs.domain import Domain
from limbeck.runs.judgements import still_said
from limbeck.runs.measures import calibrate_file
from limbeck.runs.run import Run
from limbeck.notes import MEASURED
from limbeck.schema import Example, Prediction
from limbeck.models import Student
from limbeck.tasks import Task, is_right

STUDENT_COST, TEACHER_COST = 0.0, 1.0  # of one question: what a student costs is nothing beside a teacher

Found = tuple[Any, str | None]
"""What was measured, or None and the reason why there is nothing."""


@dataclass(frozen=True)
class Subject:
    """A run's student, asked: all that its page is made of."""

    run: Run
    domain: Domain
    results: dict[str, Any]
    predictions: list[Prediction]
    dependence: dict[str, Any] | None
    independence: str | None  # why there is no `dependence`


def dependence_of(run: Run, student: Student, domain: Domain, predictions: Sequence[Prediction]) -> Found:
    """The dependence of a student's two sides, while it is at hand."""
    if reason := _one_sided(run) or _unreasoned(run, predictions):
        return None, reason
    try:
        return asdict(dependence(student, domain.examples, title=f"{domain.name}, dependence")), None
    except LimbeckError as error:  # a broken student: the page says what else is known of it
        return None, str(error)


def measures(subject: Subject, encoder: Encoder | None, others: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All measures of a student's answers, JSON-ready.

    Args:
        subject: whose answers, and to what.
        encoder: for the similarity of rationales.
        others: the differences to other runs, as `differences` has them.

    Returns:
        `run`, `split`, `out_of_domain` (the other data's name), `n`, `counts` (by the keys of `notes.MEASURED`), and
        the sections `accuracy`, `by_label`, `calibration`, `definitions`, `selective`, `cascade` (points), `teacher`,
        `thresholds`, `quality`, `judge`, `significance` and `dependence`. A section that there is not is None, and
        `reasons` says why.
    """
    calibration, unsure = _calibration(subject)
    selected = calibration.pop("selective") if calibration else None
    unsure_or = dict.fromkeys(("cascade", "teacher", "thresholds"), (None, unsure))
    sections: dict[str, Found] = {
        "accuracy": ({key: subject.results[key] for key in ("accuracy", "interval", "exact", "n")}, None),
        "by_label": _by_label(subject),
        "calibration": (calibration, unsure),
        "definitions": _definitions(subject.predictions),
        "selective": (selected, unsure),
        **(unsure_or if unsure else _cascade(subject)),
        "quality": _quality(subject, encoder),
        "judge": _judge(subject),
        "significance": (
            list(others) or None,
            None if others else "one run alone: name several on the command line to have their differences tested",
        ),
        "dependence": (subject.dependence, subject.independence),
    }
    return {
        "run": str(subject.run.path),
        "split": subject.domain.split,
        "out_of_domain": subject.domain.foreign,
        "n": len(subject.predictions),
        "counts": {key: subject.results[key] for key in MEASURED if key in subject.results},
        **{name: found for name, (found, _) in sections.items()},
        "reasons": {name: reason for name, (_, reason) in sections.items() if reason is not None},
    }


def judged_since(subject: Subject, found: dict[str, Any]) -> dict[str, Any]:
    """`found`, as `measures` made it, with what a judge said since."""
    judged, reason = _judge(subject)
    reasons = {name: why for name, why in found["reasons"].items() if name != "judge"}
    return {**found, "judge": judged, "reasons": {**reasons, "judge": reason} if reason else reasons}


def _by_label(subject: Subject) -> Found:
    found = subject.results["by_label"]
    return found, None if found else "the labels are free text, or too many"


def _unreasoned(run: Run, predictions: Sequence[Prediction]) -> str | None:
    """Why there are no rationales; None where there are."""
    if all(one.rationale is None for one in predictions):
        return _unlearnt(run) or "no rationales were generated: limbeck evaluate RUN --rationale does that"
    return None


def _unlearnt(run: Run) -> str | None:
    name, objective = run.recipe.objective.name, run.recipe.objective.build()
    return f"a student trained with {name} learns no rationales" if objective.rationale_view is None else None


def _one_sided(run: Run) -> str | None:
    """Why a student with rationales has no two sides: it never saw the views that they are taken from."""
    objective = run.recipe.objective.build()
    if objective.rationale_view is None or {View.PREDICT, View.EXPLAIN} <= set(objective.views):
        return None
    return f"a student trained with {objective.name} writes label and rationale in one text"


def _calibration(subject: Subject) -> Found:
    if all(one.confidence is None for one in _graded(subject)):
        return None, "no answer has a confidence"
    return calibrate_file(subject.run.predictions(subject.domain.name), _validation_file(subject)), None


def _graded(subject: Subject) -> list[Answered]:
    """Return the answers as their file has them, so that all measures of confidence leave out the same ones."""
    return read_answers(subject.run.predictions(subject.domain.name))


def _validation_file(subject: Subject) -> Path | None:
    """The run's predictions on validation, if any has a confidence and they are not what is measured."""
    path = subject.run.predictions("valid")
    if subject.domain.name == "valid" or not path.is_file():
        return None
    return path if any(one.confidence is not None for one in read_answers(path)) else None


def _definitions(predictions: Sequence[Prediction]) -> Found:
    found = by_definition(predictions)
    return (found, None) if found else (None, "no definition of confidence that any answer has")


def _cascade(subject: Subject) -> dict[str, Found]:
    domain = subject.domain
    here = _cascaded(_graded(subject), domain.examples, domain.task)
    if here is None:
        absent: Found = None, "no answer of the teacher to a question whose answer has a confidence"
        return {"cascade": absent, "teacher": absent, "thresholds": absent}
    points = cascade(here.confidence, here.correct, here.teacher, STUDENT_COST, TEACHER_COST)
    n, hits = len(here.teacher), sum(here.teacher)
    left_out = len(subject.predictions) - n
    alone = {"accuracy": hits / n, "interval": wilson(hits, n), "n": n, "left_out": left_out}
    return {
        "cascade": ([asdict(point) for point in points], None),
        "teacher": (alone, None),
        "thresholds": _thresholds(subject, here),
    }


def _cascaded(answers: Sequence[Answered], examples: Sequence[Example], task: Task) -> Cascaded | None:
    """Return the answers of known confidence to questions that the teacher answered, too; None where there are none."""
    asked = {example.id: example for example in examples}
    pairs = [
        (one, asked[str(one.id)])
        for one in answers
        if one.confidence is not None and one.id in asked and asked[one.id].teacher_label is not None
    ]
    if not pairs:
        return None
    teacher = [is_right(task, str(example.teacher_label), example) for _, example in pairs]
    return Cascaded([one.confidence or 0.0 for one, _ in pairs], [one.correct for one, _ in pairs], teacher)


def _thresholds(subject: Subject, here: Cascaded) -> Found:
    if subject.domain.name == "valid":
        return None, "a threshold is chosen on validation, which these answers are"
    file = _validation_file(subject)
    answers = read_answers(file) if file else []
    chosen = _cascaded(answers, subject.domain.validation, task_of(subject.run.recipe.data))
    if chosen is None:
        return None, "no validation predictions whose questions the teacher answered too"
    return thresholds(chosen, here, STUDENT_COST, TEACHER_COST), None


def _quality(subject: Subject, encoder: Encoder | None) -> Found:
    if reason := _unreasoned(subject.run, subject.predictions):
        return None, reason
    return quality(subject.predictions, subject.domain.examples, subject.domain.task, encoder), None


def _judge(subject: Subject) -> Found:
    """What `limbeck judge` left in the run's folder, where it is of these very rationales."""
    folder, name = subject.run.path / "evaluation", subject.domain.name
    path, gold = folder / f"judge-{name}.jsonl", folder / f"judge-gold-{name}.jsonl"
    if not path.is_file():
        reason = "no judge was asked: limbeck evaluate RUN --judge FILE does that"
        return None, _unlearnt(subject.run) or reason
    try:
        judgements = read_judgements(path)
        beside = read_judgements(gold) if gold.is_file() else []
    except LimbeckError as error:
        return None, str(error)
    said = {one.id: one for one in subject.predictions}
    now = [(one, said.get(one.id)) for one in judgements]
    if not now or not all(its and still_said(one, its.rationale, its.prediction) for one, its in now):
        return None, f"{path.name} is of other rationales than these: have them judged again"
    correlation = score_correlation(judgements, {id: bool(one.correct) for id, one in said.items()})
    return {"name": judgements[0].run, "summary": summarise([*beside, *judgements]), "correlation": correlation}, None
