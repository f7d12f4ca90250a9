"""All measurements of one student on one split as plain values: the content of an evaluation's page."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from limbeck.data.views import View
from limbeck.errors import LimbeckError
from limbeck.metrics.confidence import compare_definitions
from limbeck.metrics.dependence import dependence
from limbeck.metrics.graded import Graded, graded
from limbeck.metrics.judgements import read_judgements, score_correlation, summarise
from limbeck.metrics.predictions import read_predictions
from limbeck.metrics.quality import Encoder, quality
from limbeck.metrics.selective import cascade, choose_thresholds
from limbeck.models.student import Student
from limbeck.notes import MEASURED
from limbeck.runs.compare import calibrate_file
from limbeck.runs.domain import Domain
from limbeck.runs.judgements import judgement_files, up_to_date
from limbeck.runs.run import Run
from limbeck.schema import Example, Prediction
from limbeck.stats.intervals import Flags, wilson
from limbeck.tasks import Task, is_right
from limbeck.tasks.settings import task_of

Measurement = tuple[Any, str | None]
"""A measured value, or None and the reason why it is missing."""
Cascaded = tuple[Graded, Flags]
"""A student's answers, and whether its teacher is right on the same questions."""


@dataclass(frozen=True)
class Evaluation:
    """A run's student with its answers: everything that its page is computed from."""

    run: Run
    domain: Domain
    results: dict[str, Any]
    predictions: list[Prediction]
    dependence: dict[str, Any] | None
    no_dependence: str | None  # the reason why there is no `dependence`

    @cached_property
    def answers(self) -> list[Prediction]:
        """The answers as their file has them, so that all measures of confidence leave out the same ones."""
        return read_predictions(self.run.predictions(self.domain.name))

    @cached_property
    def validation_answers(self) -> list[Prediction]:
        """The run's answers on validation; empty without confidences, or where they are what is measured."""
        path = self.run.predictions("valid")
        answers = read_predictions(path) if self.domain.name != "valid" and path.is_file() else []
        return answers if any(answer.confidence is not None for answer in answers) else []


def measure_dependence(run: Run, student: Student, domain: Domain, predictions: Sequence[Prediction]) -> Measurement:
    """Measure the dependence of a student's two sides."""
    objective = run.recipe.objective.build()
    if objective.rationale_view is not None and not {View.PREDICT, View.EXPLAIN} <= set(objective.views):
        return None, f"a student trained with {objective.name} writes label and rationale in one text"
    if reason := _no_rationales(run, predictions):
        return None, reason
    try:
        return asdict(dependence(student, domain.examples, title=f"{domain.name}, dependence")), None
    except LimbeckError as error:  # a broken student: the page says what else is known of it
        return None, str(error)


def measurements(
    evaluation: Evaluation, encoder: Encoder | None, comparisons: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return all measurements of a student's answers, JSON-ready.

    Args:
        evaluation: the student's answers.
        encoder: for the similarity of rationales.
        comparisons: the differences to other runs, as of `differences`.

    Returns:
        `run`, `split`, `out_of_domain` (the other data's name), `n`, `counts` (by the keys of `notes.MEASURED`), and
        the sections `accuracy`, `by_label`, `calibration`, `definitions`, `selective`, `cascade` (points), `teacher`,
        `thresholds`, `quality`, `judge`, `significance` and `dependence`. A missing section is None, and `reasons` says
        why.
    """
    results, predictions = evaluation.results, evaluation.predictions
    calibration, no_confidence = _calibration(evaluation)
    selective = calibration.pop("selective") if calibration else None
    definitions = compare_definitions(predictions)
    sections: dict[str, Measurement] = {
        "accuracy": ({key: results[key] for key in ("accuracy", "interval", "exact", "n")}, None),
        "by_label": (
            results["by_label"],
            None if results["by_label"] else "the labels are free text, or too many",
        ),
        "calibration": (calibration, no_confidence),
        "definitions": (definitions or None, None if definitions else "no answer has a confidence of any definition"),
        "selective": (selective, no_confidence),
        **_cascade(evaluation, no_confidence),
        "quality": _quality(evaluation, encoder),
        "judge": _judge(evaluation),
        "significance": (
            list(comparisons) or None,
            None if comparisons else "a single run: name several on the command line to test their differences",
        ),
        "dependence": (evaluation.dependence, evaluation.no_dependence),
    }
    return {
        "run": str(evaluation.run.path),
        "split": evaluation.domain.split,
        "out_of_domain": evaluation.domain.dataset,
        "n": len(predictions),
        "counts": {key: results[key] for key in MEASURED if key in results},
        **{name: value for name, (value, _) in sections.items()},
        "reasons": {name: reason for name, (_, reason) in sections.items() if reason is not None},
    }


def with_judgements(evaluation: Evaluation, page: dict[str, Any]) -> dict[str, Any]:
    """Return a page of `measurements` with a judge's newest scores."""
    scores, reason = _judge(evaluation)
    reasons = {name: text for name, text in page["reasons"].items() if name != "judge"}
    return {**page, "judge": scores, "reasons": {**reasons, "judge": reason} if reason else reasons}


def _no_rationales(run: Run, predictions: Sequence[Prediction]) -> str | None:
    """Return why there are no rationales; None where there are."""
    if any(prediction.rationale is not None for prediction in predictions):
        return None
    return _learns_none(run) or "no rationales were generated: limbeck evaluate RUN --rationale does that"


def _learns_none(run: Run) -> str | None:
    objective = run.recipe.objective.build()
    return f"a student trained with {objective.name} learns no rationales" if objective.rationale_view is None else None


def _calibration(evaluation: Evaluation) -> Measurement:
    if all(answer.confidence is None for answer in evaluation.answers):
        return None, "no answer has a confidence"
    validation = evaluation.run.predictions("valid") if evaluation.validation_answers else None
    return calibrate_file(evaluation.run.predictions(evaluation.domain.name), validation), None


def _cascade(evaluation: Evaluation, no_confidence: str | None) -> dict[str, Measurement]:
    domain = evaluation.domain
    cascaded = None if no_confidence else _cascaded(evaluation.answers, domain.examples, domain.task)
    if cascaded is None:
        reason = no_confidence or "no answer of the teacher to a question whose answer has a confidence"
        return dict.fromkeys(("cascade", "teacher", "thresholds"), (None, reason))
    answers, teacher = cascaded
    points = cascade(answers.confidence, answers.correct, teacher)
    n, hits = len(teacher), int(teacher.sum())
    left_out = len(evaluation.predictions) - n
    return {
        "cascade": ([asdict(point) for point in points], None),
        "teacher": ({"accuracy": hits / n, "interval": wilson(hits, n), "n": n, "left_out": left_out}, None),
        "thresholds": _thresholds(evaluation, cascaded),
    }


def _cascaded(answers: Sequence[Prediction], examples: Sequence[Example], task: Task) -> Cascaded | None:
    """Return the answers of known confidence to questions that the teacher answered, too; None where there are none."""
    questions = {example.id: example for example in examples}
    pairs = [
        (answer, question)
        for answer in answers
        if answer.confidence is not None
        and (question := questions.get(str(answer.id))) is not None
        and question.teacher_label is not None
    ]
    if not pairs:
        return None
    teacher = np.array([is_right(task, str(question.teacher_label), question) for _, question in pairs], dtype=bool)
    confidence = [float(answer.confidence) for answer, _ in pairs if answer.confidence is not None]
    return graded(confidence, [bool(answer.correct) for answer, _ in pairs]), teacher


def _thresholds(evaluation: Evaluation, cascaded: Cascaded) -> Measurement:
    if evaluation.domain.name == "valid":
        return None, "a threshold is chosen on validation, which these answers are"
    task = task_of(evaluation.run.recipe.data)
    validation = _cascaded(evaluation.validation_answers, evaluation.domain.validation, task)
    if validation is None:
        return None, "no validation predictions whose questions the teacher answered too"
    return choose_thresholds(validation, cascaded), None


def _quality(evaluation: Evaluation, encoder: Encoder | None) -> Measurement:
    if reason := _no_rationales(evaluation.run, evaluation.predictions):
        return None, reason
    return quality(evaluation.predictions, evaluation.domain.examples, evaluation.domain.task, encoder), None


def _judge(evaluation: Evaluation) -> Measurement:
    """Return what `limbeck judge` left in the run's folder, where it is of these very rationales."""
    path, gold_path = judgement_files(evaluation.run, evaluation.domain.name)
    if not path.is_file():
        reason = "no judge was asked: limbeck evaluate RUN --judge FILE does that"
        return None, _learns_none(evaluation.run) or reason
    try:
        judgements = read_judgements(path)
        gold = read_judgements(gold_path) if gold_path.is_file() else []
    except LimbeckError as error:
        return None, str(error)
    predictions = {prediction.id: prediction for prediction in evaluation.predictions}
    if not judgements or not all(
        (prediction := predictions.get(judgement.id))
        and up_to_date(judgement, prediction.rationale, prediction.prediction)
        for judgement in judgements
    ):
        return None, f"{path.name} is of other rationales than these: have them judged again"
    correct = {id: bool(prediction.correct) for id, prediction in predictions.items()}
    return {
        "name": judgements[0].run,
        "summary": summarise([*gold, *judgements]),
        "correlation": score_correlation(judgements, correct),
    }, None
