"""Predictions of trained students and their evaluation: on their own data, on other data, on any file of rows."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from limbeck.data.rows import read_later_rows
from limbeck.errors import RecipeError
from limbeck.files import check_writable, read_jsonl, write_jsonl
from limbeck.metrics.graded import accuracy
from limbeck.metrics.predict import choices_of, predict
from limbeck.metrics.quality import Encoder
from limbeck.models import Answers, Card, EngineName
from limbeck.models.loading import open_student
from limbeck.models.student import Student
from limbeck.runs.compare import differences
from limbeck.runs.domain import Domain, domain_of
from limbeck.runs.measurements import Evaluation
from limbeck.runs.page import write_page
from limbeck.runs.recipe import load_recipe
from limbeck.runs.run import Run, open_run
from limbeck.schema import Example, Prediction
from limbeck.tasks import Split, Task, get


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """The options of an evaluation; None stands for the recipe's own setting.

    Rationales are generated if this or the recipe's `evaluation.rationales` says so, or if the run's folder has some
    already. `dataset` names other data: a task with the same labels (of the run's own source, or of the released
    archive at `root`), a recipe file, or a file of labelled rows of the run's own task.
    """

    split: Split = "test"
    rationales: bool = False
    engine: EngineName | None = None
    answers: Answers | None = None
    dataset: str | None = None
    root: Path | None = None
    encoder: str | None = None


def evaluate(path: Path | str, options: EvaluationOptions = EvaluationOptions()) -> dict[str, Any]:
    """Evaluate one run as `evaluate_runs` does, and return its results."""
    return evaluate_runs([Path(path)], options)[str(Path(path))]


def evaluate_runs(paths: Sequence[Path], options: EvaluationOptions = EvaluationOptions()) -> dict[str, dict[str, Any]]:
    """Measure finished runs' students; write predictions, accuracy and a page of all measures into their folders.

    On other data the files are named NAME-SPLIT, and `results.json` has the test split's results under `out_of_domain`.
    Each page of several runs has the run's differences to all others.

    Returns:
        By path: what `accuracy` returns; `engine` and `answers`; `in_training`, the questions of other data that the
        student was trained on, where its own data is still there.

    Raises:
        LimbeckError: a run is not finished or named twice, its data is gone or has other labels, or the student learnt
            no rationales, has no choices to pick from, or cannot be run by the engine.
    """
    runs = [open_run(Path(path)) for path in paths]
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise RecipeError(f"{', '.join(map(str, paths))}: the same run twice; name each run once")
    finished = [run for run in runs if run.results]  # or the error that a run is not finished
    learnt = any(run.writes_rationales for run in finished)
    _check_rationales(options.rationales, learnt, runs[0].recipe.objective.name)
    load_encoder = cache(Encoder.load)
    jobs = []
    for run in runs:  # every mistake before the first measurement
        domain = domain_of(run, options.split, options.dataset, options.root)
        rationales = _wants_rationales(run, domain, options)
        name = (options.encoder or run.recipe.evaluation.encoder) if rationales else None
        jobs.append((run, domain, rationales, load_encoder(name) if name else None))
    if len(jobs) > 1:  # a single student is refused soon enough
        for run, domain, rationales, _ in jobs:
            check_askable(*_open(run.model, options.engine, options.answers), [domain], rationales)
    pages, results = [], {}
    for run, domain, rationales, encoder in jobs:
        student, card = _open(run.model, options.engine, options.answers)
        measured, predictions = measure(run, student, card, domain, rationales=rationales)
        results[str(run.path)] = measured
        run.write_results(with_measured(run.results, domain, measured))
        pages.append(Evaluation(run, student, domain, measured, predictions, encoder).page())
    compared = differences([run.predictions(domain.name) for run, domain, *_ in jobs], paths)
    for (run, domain, *_), page, comparisons in zip(jobs, pages, compared, strict=True):
        if comparisons:
            page["significance"] = comparisons
            del page["reasons"]["significance"]
        write_page(run.path / "evaluation", domain.name, page)
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
) -> dict[str, Any]:
    """Answer every row of a JSONL, CSV or Parquet file; the answers are written as JSON lines, all or none.

    Args:
        model: a run's folder, or its `model/`.
        source: rows with `input` (or the task's own fields), and if known `label`, also under the run's own names.
        target: the file written. For both `-` is the standard stream.
        rationales: write the student's rationales too.
        batch_size: inputs generated from at a time.
        engine, answers: None: as the student was measured.

    Returns what `accuracy` does, over the rows with a label; `rows`, `engine`, `answers`.

    Raises:
        LimbeckError: no student is there, a row is wrong, the target cannot be written, or the student was asked for
            what it cannot do.
    """
    model, source, target = Path(model), Path(source), Path(target)
    check_writable(target, source)
    model = model / "model" if (model / "model").is_dir() else model
    student, card = _open(model, engine, answers)
    _check_rationales(rationales, card.rationale_view is not None, card.objective)
    task = get(card.task, card.choices, card.answer)
    recipes = [*model.glob("recipe.yaml"), *model.parent.glob("recipe.yaml")]
    rows = read_later_rows(source, load_recipe(recipes[0]).data.columns if recipes else {}, task)
    predictions = ask(student, card, rows, task, rationales=rationales, batch_size=batch_size, title=source.name)
    write_predictions(target, predictions)
    settings = {"rows": len(predictions), "engine": card.engine, "answers": card.answers}
    return {**accuracy(predictions, task.choices), **settings}


def measure(
    run: Run, student: Student, card: Card, domain: Domain, *, rationales: bool = False
) -> tuple[dict[str, Any], list[Prediction]]:
    """Write the student's predictions as the run's for this domain; return its accuracy with settings, and them."""
    size, examples, task = run.recipe.evaluation.batch_size, domain.examples, domain.task
    predictions = ask(student, card, examples, task, rationales=rationales, batch_size=size, title=domain.name)
    write_predictions(run.predictions(domain.name), predictions)
    results = {
        **accuracy(predictions, task.choices),
        **({} if domain.in_training is None else {"in_training": domain.in_training}),
        "engine": card.engine if rationales or card.answers == "generate" else None,
        "answers": card.answers,
    }
    return results, predictions


def with_measured(results: dict[str, Any], domain: Domain, measured: dict[str, Any]) -> dict[str, Any]:
    """Return a run's results with an accuracy; of other data they hold that on the test split alone."""
    if domain.dataset is None:
        return {**results, domain.split: measured}
    if domain.split != "test":
        return results
    return {**results, "out_of_domain": {**results.get("out_of_domain", {}), domain.dataset: measured}}


def ask(
    student: Student,
    card: Card,
    examples: Sequence[Example],
    task: Task,
    *,
    rationales: bool = False,
    batch_size: int,
    title: str | None = None,
) -> list[Prediction]:
    """Return a student's predictions in the views and with the settings of its card, graded by `task`."""
    return predict(
        student,
        examples,
        task,
        card.answer_view,
        rationale_view=card.rationale_view if rationales else None,
        batch_size=batch_size,
        title=title,
        engine=card.engine,
        answers=card.answers,
        definition=card.confidence,
    )


def check_askable(student: Student, card: Card, domains: Iterable[Domain], rationales: bool) -> None:
    """Raise early what `ask` would raise late: no choices to pick from, an engine that cannot run the student."""
    if card.answers == "choices":
        for domain in domains:
            student.check_choices(choices_of(domain.examples, domain.task, card.answer_view))
    if rationales or card.answers == "generate":
        student.engine(card.engine)


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions as JSON lines, without unknown fields."""
    rows = (asdict(prediction) for prediction in predictions)
    write_jsonl(path, ({name: value for name, value in row.items() if value is not None} for row in rows))


def _check_rationales(requested: bool, learnt: bool, objective: str) -> None:
    if requested and not learnt:
        raise RecipeError(f"a student trained with {objective} learns no rationales; train one with dss or mi")


def _wants_rationales(run: Run, domain: Domain, options: EvaluationOptions) -> bool:
    """Return whether to generate rationales; the folder's are not replaced by predictions without any."""
    path = run.predictions(domain.name)
    requested = options.rationales or run.recipe.evaluation.rationales
    present = path.is_file() and any("rationale" in row for _, row in read_jsonl(path))
    return run.writes_rationales and (requested or present)


def _open(model: Path, engine: EngineName | None, answers: Answers | None) -> tuple[Student, Card]:
    """Return a trained student, and its card with the engine and the way of answering that are given."""
    student, card = open_student(model)
    return student, Card.parse(
        {**card.model_dump(), "engine": engine or card.engine, "answers": answers or card.answers}, "evaluate"
    )
