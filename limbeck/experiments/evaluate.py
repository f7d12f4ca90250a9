"""Measuring a run's student on a split, and asking any trained student about new inputs."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from limbeck.data import load, read_rows, task_of
from limbeck.errors import LimbeckError
from limbeck.evaluation import EvaluationSettings, accuracy, predict
from limbeck.experiments.page import write_page
from limbeck.experiments.provenance import data_hashes
from limbeck.experiments.recipe import Recipe
from limbeck.experiments.run import Run, check_data, open_run
from limbeck.files import write_jsonl
from limbeck.schema import Example, Prediction
from limbeck.students import Answers, EngineName, Student, open_student
from limbeck.tasks import Split, get


def evaluate(
    path: Path | str,
    split: Split = "test",
    rationales: bool = False,
    engine: EngineName | None = None,
    answers: Answers | None = None,
) -> dict[str, Any]:
    """Measure a finished run's student on a split: predictions, accuracy and a page of all measures go into its folder.

    `engine` and `answers` are those of the recipe unless given.

    Returns:
        accuracy, its 95 % interval, exact, n; engine and answers.

    Raises:
        LimbeckError: no finished run there, its data has gone, rationales are asked of a student that learnt none, the
            engine cannot run the student, or there are no choices to pick answers from.
    """
    run = open_run(Path(path))
    changes = {name: value for name, value in (("engine", engine), ("answers", answers)) if value is not None}
    settings = EvaluationSettings.parse(run.recipe.evaluation.model_dump() | changes, "evaluate")
    run.recipe = run.recipe.model_copy(update={"evaluation": settings})
    results = run.results
    _check_rationales(rationales, run.recipe.objective.build().rationale_view is not None, run.recipe.objective.name)
    splits = load(run.recipe.data)
    check_data(run, data_hashes(splits))
    student, _ = open_student(run.model)
    examples = getattr(splits, split)
    measured, predictions = measure(run, student, examples, split, rationales)
    run.write_results({**results, split: measured})
    write_page(run, split, student, examples, predictions)
    return measured


def measure(
    run: Run, student: Student, examples: Sequence[Example], split: Split, rationales: bool = False
) -> tuple[dict[str, Any], list[Prediction]]:
    """Accuracy of `student` on `examples`, and how it was asked; and its predictions, now the run's for `split`."""
    predictions = ask(student, examples, run.recipe, rationales, title=split)
    _write(run.predictions(split), predictions)
    settings = run.recipe.evaluation
    engine = settings.engine if settings.generates(rationales) else None
    return {**accuracy(predictions), "engine": engine, "answers": settings.answers}, predictions


def ask(
    student: Student, examples: Sequence[Example], recipe: Recipe, rationales: bool = False, title: str | None = None
) -> list[Prediction]:
    """A recipe's student's predictions, in the views its objective taught."""
    objective = recipe.objective.build()
    return predict(
        student,
        examples,
        task_of(recipe.data),
        objective.answer_view,
        objective.rationale_view if rationales else None,
        recipe.evaluation.batch_size,
        title,
        recipe.evaluation.engine,
        recipe.evaluation.answers,
        recipe.evaluation.confidence,
    )


def predict_file(
    model: Path | str,
    source: Path | str,
    target: Path | str,
    rationales: bool = False,
    batch_size: int = 64,
    engine: EngineName | None = None,
    answers: Answers | None = None,
) -> dict[str, Any]:
    """Answer every row of a JSONL, CSV or Parquet file; the answers are written as JSON lines.

    Args:
        model: a run's folder, or its `model/`.
        source: rows with `input` (or the task's own fields), and if known `label`.
        target: the file written, whole or not at all.
        rationales: write the student's rationale too.
        batch_size: inputs generated from at a time.
        engine: what generates; None: as the student was measured.
        answers: `choices`: the answer is the likeliest of a row's choices (or of the task's); None: likewise.

    Returns:
        accuracy, interval, exact and n over the rows with a label; `rows`, `engine`, `answers`.

    Raises:
        LimbeckError: no student there, a bad row, rationales asked of a student that learnt none, an engine that cannot
            run the student, or no choices to pick from.
    """
    model, source, target = Path(model), Path(source), Path(target)
    if target.resolve() == source.resolve():
        raise LimbeckError(f"{target}: the output would overwrite the input; give another --output")
    if target.is_dir():
        raise LimbeckError(f"{target}: a folder; --output is a file")
    student, card = open_student(model / "model" if (model / "model").is_dir() else model)
    _check_rationales(rationales, card.rationale_view is not None, card.objective)
    task = get(card.task, card.choices, card.answer)
    examples = read_rows(source, {}, labelled=False, task=task)
    if not examples:
        raise LimbeckError(f"{source}: no rows")
    view = card.rationale_view if rationales else None
    engine, answers = engine or card.engine, answers or card.answers
    predictions = predict(student, examples, task, card.answer_view, view, batch_size, source.name, engine, answers)
    _write(target, predictions)
    return {**accuracy(predictions), "rows": len(predictions), "engine": engine, "answers": answers}


def _check_rationales(asked: bool, learnt: bool, objective: str) -> None:
    if asked and not learnt:
        raise LimbeckError(f"a student trained with {objective} learns no rationales; train one with dss or mi")


def _write(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions as JSON lines, without the fields that are not known."""
    write_jsonl(path, ({k: v for k, v in asdict(one).items() if v is not None} for one in predictions))
