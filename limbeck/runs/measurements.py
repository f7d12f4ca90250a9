"""All measurements of one student on one split as plain values: the content of an evaluation's page."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.views import View
from limbeck.errors import DataError, LimbeckError
from limbeck.metrics.calibration import compare_definitions
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
        results, path = self.results, self.run.predictions(self.domain.name)
        page: dict[str, Any] = {
            "run": str(self.run.path),
            "split": self.domain.split,
            "out_of_domain": self.domain.dataset,
            "n": len(self.predictions),
            "counts": {key: results[key] for key in MEASURED if key in results},
            "accuracy": {key: results[key] for key in ("accuracy", "interval", "exact", "n")},
            **dict.fromkeys(SECTIONS),
        }
        reasons = {"significance": "a single run: name several on the command line to test their differences"}
        measures: dict[str, Callable[[], Any]] = {
            "by_label": lambda: _require(results["by_label"], "the labels are free text, or too many"),
            "calibration": lambda: calibrate_file(path, self._validation()),
            "selective": lambda: _require(page["calibration"], reasons.get("calibration", "")).pop("selective"),
            "definitions": lambda: _require(compare_definitions(self.predictions), "no answer has a confidence"),
            "cascade": self._cascade,
            "teacher": self._teacher,
            "thresholds": self._thresholds,
            "quality": self._quality,
            "judge": lambda: judge_scores(self.run, self.domain.name),
            "dependence": self._dependence,
        }
        for name, measure in measures.items():
            try:
                page[name] = measure()
            except LimbeckError as error:
                reasons[name] = str(error)
        return {**page, "reasons": reasons}

    def _validation(self) -> Path | None:
        """Return the predictions on validation; None where there are none, or they are what is measured."""
        path = self.run.predictions("valid")
        answers = read_predictions(path) if self.domain.name != "valid" and path.is_file() else []
        return path if any(answer.confidence is not None for answer in answers) else None

    def _test(self) -> tuple[Graded, Flags]:
        return _with_teacher(self.run.predictions(self.domain.name), self.domain.examples, self.domain.task)

    def _cascade(self) -> list[dict[str, Any]]:
        answers, teacher = self._test()
        return [asdict(point) for point in cascade(answers.confidence, answers.correct, teacher)]

    def _teacher(self) -> dict[str, Any]:
        _, teacher = self._test()
        n, right = len(teacher), int(teacher.sum())
        return {"accuracy": right / n, "interval": wilson(right, n), "n": n, "left_out": len(self.predictions) - n}

    def _thresholds(self) -> dict[str, Any]:
        path = _require(self._validation(), "there are no other answers on validation to choose a threshold on")
        task = task_of(self.run.recipe.data)
        return choose_thresholds(_with_teacher(path, self.domain.validation, task), self._test())

    def _quality(self) -> dict[str, Any]:
        self._check_rationales()
        return quality(self.predictions, self.domain.examples, self.domain.task, self.encoder)

    def _dependence(self) -> dict[str, Any]:
        self._check_rationales()
        objective = self.run.recipe.objective.build()
        separate = {View.PREDICT, View.EXPLAIN} <= set(objective.views)
        _require(separate, f"a student trained with {objective.name} writes label and rationale in one text")
        return asdict(dependence(self.student, self.domain.examples, title=f"{self.domain.name}, dependence"))

    def _check_rationales(self) -> None:
        name = self.run.recipe.objective.name
        _require(self.run.writes_rationales, f"a student trained with {name} learns no rationales")
        generated = any(prediction.rationale is not None for prediction in self.predictions)
        _require(generated, "no rationales were generated: limbeck evaluate RUN --rationale does that")


def _require(value: Any, reason: str) -> Any:
    if not value:
        raise DataError(reason)
    return value


def _with_teacher(path: Path, examples: Sequence[Example], task: Task) -> tuple[Graded, Flags]:
    """Return a file's answers with a confidence to questions that the teacher answered, and whether it is right."""
    questions = {example.id: example for example in examples if example.teacher_label is not None}
    rows = [
        (answer.confidence, bool(answer.correct), is_right(task, str(question.teacher_label), question))
        for answer in read_predictions(path)
        if answer.confidence is not None and (question := questions.get(answer.id))
    ]
    _require(rows, "no answer of the teacher to a question whose answer has a confidence")
    confidence, correct, teacher = zip(*rows, strict=True)
    return graded(confidence, correct), np.array(teacher, dtype=bool)
