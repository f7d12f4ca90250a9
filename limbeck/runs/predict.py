"""Asking any trained student about the rows of a file."""

from pathlib import Path
from typing import Any

from limbeck.data import read_later_rows
from limbeck.data.columns import Columns
from limbeck.metrics import accuracy, predict
from limbeck.runs.evaluate import check_rationales, write_predictions
from limbeck.runs.recipe import load_recipe
from limbeck.files import check_writable
from limbeck.models import Answers, EngineName, open_student
from limbeck.tasks import get


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
        source: rows with `input` (or the task's own fields), and if known `label`, under the run's own names, too; `-`:
            standard input.
        target: the file written, whole or not at all; a pipe or device is written into; `-`: standard output.
        rationales: write the student's rationale too.
        batch_size: inputs generated from at a time.
        engine: what generates; None: as the student was measured.
        answers: `choices`: the answer is the likeliest of a row's choices (or of the task's); None: likewise.

    Returns:
        accuracy, interval, exact and n over the rows with a label; `rows`, `sources_cut` (those of them too long for
        the student, which are marked `input_cut`), `engine`, `answers`.

    Raises:
        LimbeckError: `target` cannot be written, no student there, a bad row, rationales asked of a student that learnt
            none, an engine that cannot run the student, or no choices to pick from.
    """
    model, source, target = Path(model), Path(source), Path(target)
    check_writable(target, source)
    student, card = open_student(model / "model" if (model / "model").is_dir() else model)
    check_rationales(rationales, card.rationale_view is not None, card.objective)
    task = get(card.task, card.choices, card.answer)
    examples = read_later_rows(source, _columns(model), task)
    view = card.rationale_view if rationales else None
    engine, answers = engine or card.engine, answers or card.answers
    how: Any = (batch_size, source.name, engine, answers, card.confidence)
    predictions = predict(student, examples, task, card.answer_view, view, *how)
    write_predictions(target, predictions)
    return {**accuracy(predictions, task.choices), "rows": len(predictions), "engine": engine, "answers": answers}


def _columns(model: Path) -> Columns:
    """Return what the rows' columns were called that a student was trained on, by the recipe in or above its folder."""
    recipes = [folder / "recipe.yaml" for folder in (model, model.parent) if (folder / "recipe.yaml").is_file()]
    return load_recipe(recipes[0]).data.columns if recipes else {}
