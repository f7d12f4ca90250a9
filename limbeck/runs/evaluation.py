"""Students measured on their own and on other data, or asked about any file of rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.rows import Columns, read_later_rows
from limbeck.data.views import View
from limbeck.distributed import is_main_process
from limbeck.errors import DataError, LimbeckError, RecipeError
from limbeck.files import check_writable, read_jsonl, write_jsonl
from limbeck.metrics.calibration import compare_definitions
from limbeck.metrics.dependence import dependence
from limbeck.metrics.graded import Graded, accuracy, as_arrays
from limbeck.metrics.predict import predict
from limbeck.metrics.predictions import read_predictions
from limbeck.metrics.quality import Encoder, quality
from limbeck.metrics.selective import cascade, choose_thresholds
from limbeck.metrics.usable import usable_information
from limbeck.models import Answers, Card, EngineName
from limbeck.models.loading import open_student
from limbeck.models.settings import AnswerSettings
from limbeck.models.student import Student
from limbeck.notes import MEASURED
from limbeck.runs.compare import calibrate_file, differences
from limbeck.runs.domain import Domain, domain_of
from limbeck.runs.judging import judge_scores
from limbeck.runs.page import SECTIONS, write_page
from limbeck.runs.recipe import load_recipe
from limbeck.runs.run import ACCURACY, Run, open_run
from limbeck.schema import Example, Prediction
from limbeck.stats.intervals import Flags, wilson
from limbeck.tasks import Split, Task, get, is_right


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """The options of an evaluation; None stands for the recipe's own setting.

    Rationales are also generated if the recipe says so or some exist; `dataset` and `root` are as in `domain_of`.
    """

    split: Split = "test"
    rationales: bool = False
    engine: EngineName | None = None
    answers: Answers | None = None
    votes: int | None = None
    temperature: float | None = None
    dataset: str | None = None
    root: Path | None = None
    encoder: str | None = None


def evaluate(path: Path | str, options: EvaluationOptions = EvaluationOptions()) -> dict[str, Any]:
    """Evaluate one run as `evaluate_runs` does."""
    return evaluate_runs([Path(path)], options)[str(Path(path))]


def evaluate_runs(paths: Sequence[Path], options: EvaluationOptions = EvaluationOptions()) -> dict[str, dict[str, Any]]:
    """Measure finished runs' students; write predictions, accuracy and a page of all measures into their folders.

    On other data the files are named NAME-SPLIT, and `results.json` has the test split's results under `out_of_domain`.
    Returns the results of `measure` by path. Raises LimbeckError for a run that is not finished or named twice, data
    that is gone or has other labels, and a student without rationales, choices or the engine that are asked for.
    """
    runs = {str(path): open_run(path) for path in map(Path, paths)}
    if len({run.path.resolve() for run in runs.values()}) < len(paths):
        raise RecipeError(f"{', '.join(map(str, paths))}: name each run once")
    finished = [run for run in runs.values() if run.results]  # raises where one is not finished
    if options.rationales and not any(run.writes_rationales for run in finished):
        raise _no_rationales(finished[0].recipe.objective.name)
    domains = {name: domain_of(run, options.split, options.dataset, options.root) for name, run in runs.items()}
    files = {name: run.predictions(domains[name].name) for name, run in runs.items()}
    load_encoder = cache(Encoder)
    results, pages = {}, {}
    for name, run in runs.items():
        domain, settings, file = domains[name], run.recipe.evaluation, files[name]
        has_rationales = file.is_file() and any("rationale" in row for _, row in read_jsonl(file))
        rationales = run.writes_rationales and (options.rationales or settings.rationales or has_rationales)
        encoder_name = rationales and (options.encoder or settings.encoder)
        encoder = load_encoder(encoder_name) if encoder_name else None
        student, card = _open(run.model, asdict(options))
        results[name], predictions = measure(
            student, card, domain, path=file, rationales=rationales, batch_size=settings.batch_size
        )
        run.write_results(domain.add(results[name], run.results, file))
        pages[name] = Evaluation(run, student, domain, results[name], predictions, encoder).page()
        write_page(run.path / "evaluation", domain.name, pages[name])
    if len(runs) > 1:
        compared = differences(files)
        for name, run in runs.items():
            pages[name]["significance"] = compared[name]
            del pages[name]["reasons"]["significance"]
            write_page(run.path / "evaluation", domains[name].name, pages[name])
    return results


def predict_file(
    model: Path | str,
    source: Path | str,
    target: Path | str,
    *,
    rationales: bool = False,
    batch_size: int = 64,
    engine: EngineName | None = None,
    answers: Answers | None = None,
    votes: int | None = None,
    temperature: float | None = None,
) -> dict[str, Any]:
    """Answer every row of a JSONL, CSV or Parquet file; write the answers as JSON lines, all or none.

    `model` is a run's folder or its `model/`; rows have `input` (or the task's fields) and if known `label`, or the
    run's own columns; `-` is the standard stream; the options of answers are by default the student's. Returns the
    results of `measure` over the rows with a label, and the number of `rows`. Raises LimbeckError if the student is
    missing or cannot do what is asked, a row is wrong, or the target not writable.
    """
    source, target = Path(source), Path(target)
    check_writable(target, source)
    trained = open_trained(
        Path(model), {"engine": engine, "answers": answers, "votes": votes, "temperature": temperature}
    )
    if rationales:
        trained.check_rationales()
    rows = read_later_rows(source, trained.columns, trained.task)
    domain = Domain(source.name, "test", trained.task, tuple(rows))
    results, _ = measure(
        trained.student, trained.card, domain, path=target, rationales=rationales, batch_size=batch_size
    )
    return {**results, "rows": len(rows)}


@dataclass(frozen=True)
class TrainedStudent:
    """A student as it was measured, its task, and the names of its rows' columns."""

    student: Student
    card: Card
    task: Task
    columns: Columns

    def check_rationales(self) -> None:
        """Raise RecipeError if the student learned no rationales."""
        if self.card.rationale_view is None:
            raise _no_rationales(self.card.objective)


def open_trained(model: Path, changes: Mapping[str, Any]) -> TrainedStudent:
    """Open a run's folder or its `model/`, with `changes` of `AnswerSettings` other than None. Raises LimbeckError."""
    model = model / "model" if (model / "model").is_dir() else model
    student, card = _open(model, changes)
    recipes = [*model.glob("recipe.yaml"), *model.parent.glob("recipe.yaml")]
    columns = load_recipe(recipes[0]).data.columns if recipes else {}
    return TrainedStudent(student, card, get(card.task, card.choices, card.answer), columns)


def measure(
    student: Student, card: Card, domain: Domain, *, path: Path, rationales: bool, batch_size: int
) -> tuple[dict[str, Any], list[Prediction]]:
    """Write predictions as JSON lines, without unknown fields; return the results, and the predictions.

    The results are those of `accuracy`, `engine`, `answers`, of votes also `votes` and `temperature`, and of other data
    the questions `in_training`, if known.
    """
    examples, task, title = domain.examples, domain.task, domain.name
    predictions = predict(student, card, examples, task, rationales=rationales, batch_size=batch_size, title=title)
    if is_main_process():
        rows = map(asdict, predictions)
        write_jsonl(path, ({name: value for name, value in row.items() if value is not None} for row in rows))
    results = {
        **accuracy(predictions, task.choices),
        **({} if domain.in_training is None else {"in_training": domain.in_training}),
        "engine": card.engine if rationales or card.answers == "generate" else None,
        "answers": card.answers,
        **({"votes": card.votes, "temperature": card.temperature} if card.votes else {}),
    }
    return results, predictions


@dataclass(frozen=True)
class Evaluation:
    """A run's student with its answers."""

    run: Run
    student: Student
    domain: Domain
    results: dict[str, Any]
    predictions: list[Prediction]
    encoder: Encoder | None  # for the similarity of rationales

    def page(self) -> dict[str, Any]:
        """Return all measurements, JSON-ready; a missing section is None, and `reasons` says why."""
        results, domain = self.results, self.domain
        page: dict[str, Any] = {
            "run": str(self.run.path),
            "split": domain.split,
            "out_of_domain": domain.dataset,
            "n": len(self.predictions),
            "counts": {key: results[key] for key in MEASURED if key in results},
            "accuracy": {key: results[key] for key in ACCURACY if key in results},
            **dict.fromkeys(SECTIONS),
        }
        reasons = {"significance": "a single run; evaluate several together"}
        measures: dict[str, Callable[[], Any]] = {
            "by_label": lambda: _require(results["by_label"], "the labels are free text, or too many"),
            "calibration": lambda: calibrate_file(self.run.predictions(domain.name), self._validation()),
            "selective": lambda: _require(page["calibration"], reasons.get("calibration", "")).pop("selective"),
            "definitions": lambda: _require(compare_definitions(self.predictions), "no answer has a confidence"),
            "cascade": self._cascade,
            "teacher": self._teacher,
            "thresholds": self._thresholds,
            "quality": lambda: quality(self._explained(), domain.examples, domain.task, self.encoder),
            "judge": lambda: judge_scores(self.run, domain.name),
            "usable": self._usable,
            "dependence": self._dependence,
        }
        for name, measure in measures.items():
            try:
                page[name] = measure()
            except LimbeckError as error:
                reasons[name] = str(error)
        return {**page, "reasons": reasons}

    def _validation(self) -> Path | None:
        """Return the file of validation predictions, unless they are measured, or were answered in another way."""
        valid = self.run.results["valid"]
        alike = all(valid.get(key) == self.results.get(key) for key in ("answers", "votes", "temperature"))
        there = self.domain.name != "valid" and alike and self.run.predictions("valid").is_file()
        return self.run.measured_predictions("valid") if there else None

    def _with_teacher(self) -> tuple[Graded, Flags]:
        return _with_teacher(self.run.predictions(self.domain.name), self.domain.examples, self.domain.task)

    def _cascade(self) -> list[dict[str, Any]]:
        answers, teacher = self._with_teacher()
        return [asdict(point) for point in cascade(answers.confidence, answers.correct, teacher)]

    def _teacher(self) -> dict[str, Any]:
        _, teacher = self._with_teacher()
        n, right = len(teacher), int(teacher.sum())
        return {"accuracy": right / n, "interval": wilson(right, n), "n": n, "left_out": len(self.predictions) - n}

    def _thresholds(self) -> dict[str, Any]:
        path = _require(self._validation(), "no other answers on validation to choose a threshold on")
        validation = _with_teacher(path, self.domain.validation, self.run.recipe.data.get_task())
        return choose_thresholds(validation, self._with_teacher())

    def _usable(self) -> dict[str, Any]:
        objective, examples = self.run.recipe.objective.build(), self.domain.examples
        _require(objective.reads_rationales, "only a student of mi-bound has learnt to read rationales")
        own = [replace(row, rationale=p.rationale) for row, p in zip(examples, self.predictions, strict=True)]
        measures, reasons = {}, {}
        for writer, rows in (("teacher", examples), ("student", own)):
            title, size = f"{self.domain.name}, rationales of the {writer}", self.run.recipe.evaluation.batch_size
            try:
                measures[writer] = asdict(usable_information(self.student, rows, batch_size=size, title=title))
            except DataError as error:
                reasons[writer] = str(error)
        return {**_require(measures, "; ".join(reasons.values())), "reasons": reasons}

    def _dependence(self) -> dict[str, Any]:
        self._explained()
        objective = self.run.recipe.objective.build()
        separate = {View.PREDICT, View.EXPLAIN} <= {*objective.views}
        _require(separate, f"a student of {objective.name} writes label and rationale in one text")
        return asdict(dependence(self.student, self.domain.examples, title=f"{self.domain.name}, dependence"))

    def _explained(self) -> list[Prediction]:
        if not self.run.writes_rationales:
            raise _no_rationales(self.run.recipe.objective.name)
        explained = any(prediction.rationale is not None for prediction in self.predictions)
        return _require(explained and self.predictions, "no rationales were generated: evaluate with --rationale")


def _require(value: Any, reason: str) -> Any:
    if not value:
        raise DataError(reason)
    return value


def graded_with_teacher(run: Run) -> tuple[Graded, Flags]:
    """Return a run's validation answers that have a confidence and the teacher's, and whether that is right [N].

    Raises LimbeckError where the data is gone or has no such row.
    """
    domain = domain_of(run, "valid")
    return _with_teacher(run.measured_predictions("valid"), domain.examples, domain.task)


def _with_teacher(path: Path, examples: Sequence[Example], task: Task) -> tuple[Graded, Flags]:
    """Return a file's answers that have a confidence and the teacher's, and whether that is right [N]."""
    questions = {example.id: example for example in examples if example.teacher_label is not None}
    answers = [p for p in read_predictions(path) if p.confidence is not None and p.id in questions]
    _require(answers, "no answer of the teacher to a question whose answer has a confidence")
    teacher = [is_right(task, str(questions[row.id].teacher_label), questions[row.id]) for row in answers]
    return as_arrays(answers), np.array(teacher, dtype=bool)


def _no_rationales(objective: str) -> RecipeError:
    return RecipeError(f"a student of {objective} learns none; train one with dss or mi", field="rationale")


def _open(model: Path, changes: Mapping[str, Any]) -> tuple[Student, Card]:
    """Return a student and its card, in which the `changes` of answers other than None are made."""
    student, card = open_student(model)
    values = {name: changes[name] for name in AnswerSettings.model_fields if changes.get(name) is not None}
    return student, Card.parse({**card.model_dump(), **values}, "evaluate")
