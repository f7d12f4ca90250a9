"""All measurements of one student on one split as plain values: the content of an evaluation's page."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from limbeck.data.views import View
from limbeck.errors import DataError, LimbeckError
from limbeck.metrics.confidence import compare_definitions
from limbeck.metrics.dependence import dependence
from limbeck.metrics.graded import Graded, graded
from limbeck.metrics.predictions import read_predictions
from limbeck.metrics.quality import Encoder, quality
from limbeck.metrics.selective import cascade, choose_thresholds
from limbeck.models.student import Student
from limbeck.notes import MEASURED
from limbeck.runs.compare import calibrate_file
from limbeck.runs.domain import Domain
from limbeck.runs.judging import judge_scores
from limbeck.runs.page import SECTIONS
from limbeck.runs.run import Run
from limbeck.schema import Example, Prediction
from limbeck.stats.intervals import Flags, wilson
from limbeck.tasks import Task, is_right
from limbeck.tasks.settings import task_of


@dataclass(frozen=True)
class Evaluation:
    """A run's student with its answers: everything that its page is computed from.

    A measure that cannot be taken raises a LimbeckError with the reason.
    """

    run: Run
    student: Student
    domain: Domain
    results: dict[str, Any]
    predictions: list[Prediction]
    encoder: Encoder | None  # for the similarity of rationales

    def page(self) -> dict[str, Any]:
        """Return all measurements, JSON-ready.

        Returns:
            `run`, `split`, `out_of_domain` (the other data's name), `n`, `counts` (by the keys of `notes.MEASURED`),
            and the sections; a missing one is None, and `reasons` says why.
        """
        page: dict[str, Any] = {
            "run": str(self.run.path),
            "split": self.domain.split,
            "out_of_domain": self.domain.dataset,
            "n": len(self.predictions),
            "counts": {key: self.results[key] for key in MEASURED if key in self.results},
            "accuracy": {key: self.results[key] for key in ("accuracy", "interval", "exact", "n")},
            **dict.fromkeys(SECTIONS),
        }
        reasons = {"significance": "a single run: name several on the command line to test their differences"}
        sections: dict[str, Callable[[], Any]] = {
            "by_label": self._by_label,
            "calibration": self._calibration,
            "definitions": self._definitions,
            "cascade": self._cascade,
            "thresholds": self._thresholds,
            "quality": self._quality,
            "judge": lambda: judge_scores(self.run, self.domain.name),
            "dependence": self._dependence,
        }
        for name, measure in sections.items():
            try:
                page[name] = measure()
            except LimbeckError as error:
                page[name], reasons[name] = None, str(error)
        for name, whole, part in (("selective", "calibration", "selective"), ("teacher", "cascade", "teacher")):
            page[name] = page[whole].pop(part) if page[whole] else None
            reasons |= {name: reasons[whole]} if whole in reasons else {}
        page["cascade"] = page["cascade"] and page["cascade"]["points"]
        return {**page, "reasons": reasons}

    def _by_label(self) -> dict[str, Any]:
        if not self.results["by_label"]:
            raise DataError("the labels are free text, or too many")
        return dict(self.results["by_label"])

    def _calibration(self) -> dict[str, Any]:
        validation = self.run.predictions("valid") if self._validation_answers() else None
        return calibrate_file(self.run.predictions(self.domain.name), validation)

    def _definitions(self) -> dict[str, Any]:
        definitions = compare_definitions(self.predictions)
        if not definitions:
            raise DataError("no answer has a confidence of any definition")
        return definitions

    def _validation_answers(self) -> list[Prediction]:
        """Return the answers on validation; none without confidences, or where they are what is measured."""
        path = self.run.predictions("valid")
        answers = read_predictions(path) if self.domain.name != "valid" and path.is_file() else []
        return answers if any(answer.confidence is not None for answer in answers) else []

    def _cascaded(self) -> tuple[Graded, Flags]:
        """Return the answers as their file has them, so that all measures of confidence leave out the same ones."""
        answers = read_predictions(self.run.predictions(self.domain.name))
        return _with_teacher(answers, self.domain.examples, self.domain.task)

    def _cascade(self) -> dict[str, Any]:
        answers, teacher = self._cascaded()
        n, hits = len(teacher), int(teacher.sum())
        left_out = len(self.predictions) - n
        return {
            "points": [asdict(point) for point in cascade(answers.confidence, answers.correct, teacher)],
            "teacher": {"accuracy": hits / n, "interval": wilson(hits, n), "n": n, "left_out": left_out},
        }

    def _thresholds(self) -> dict[str, Any]:
        if self.domain.name == "valid":
            raise DataError("a threshold is chosen on validation, which these answers are")
        task = task_of(self.run.recipe.data)
        validation = _with_teacher(self._validation_answers(), self.domain.validation, task)
        return choose_thresholds(validation, self._cascaded())

    def _check_rationales(self) -> None:
        if not self.run.writes_rationales:
            raise DataError(f"a student trained with {self.run.recipe.objective.name} learns no rationales")
        if all(prediction.rationale is None for prediction in self.predictions):
            raise DataError("no rationales were generated: limbeck evaluate RUN --rationale does that")

    def _quality(self) -> dict[str, Any]:
        self._check_rationales()
        return quality(self.predictions, self.domain.examples, self.domain.task, self.encoder)

    def _dependence(self) -> dict[str, Any]:
        self._check_rationales()
        objective = self.run.recipe.objective.build()
        if not {View.PREDICT, View.EXPLAIN} <= set(objective.views):
            raise DataError(f"a student trained with {objective.name} writes label and rationale in one text")
        return asdict(dependence(self.student, self.domain.examples, title=f"{self.domain.name}, dependence"))


def _with_teacher(answers: Sequence[Prediction], examples: Sequence[Example], task: Task) -> tuple[Graded, Flags]:
    """Return the answers with a confidence to questions that the teacher answered, too, and whether it is right."""
    questions = {example.id: example for example in examples if example.teacher_label is not None}
    pairs = [
        (answer.confidence, bool(answer.correct), is_right(task, str(question.teacher_label), question))
        for answer in answers
        if answer.confidence is not None and (question := questions.get(answer.id))
    ]
    if not pairs:
        raise DataError("no answer of the teacher to a question whose answer has a confidence")
    confidence, correct, teacher = zip(*pairs, strict=True)
    return graded(confidence, correct), np.array(teacher, dtype=bool)
