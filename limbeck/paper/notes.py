"""What is to be said below the paper's tables: how ours were trained and theirs, and what an interval covers."""

from collections.abc import Mapping
from typing import Any

from limbeck.data import ArchiveSource
from limbeck.models import StudentSettings
from limbeck.paper.found import Found, title_of
from limbeck.paper.spec import variant
from limbeck.runs.recipe import Recipe
from limbeck.training import TrainingSettings

INTERVALS = (
    "Intervals are 95 %: with several seeds Student's t over seeds and examples, "
    "with one Wilson's, over examples for this one student."
)
HOLM = "Holm: p adjusted by Holm's method over all tests of the table."


def setup(found: Found) -> list[str]:
    """Whether the paper's numbers may be held against ours: its students, steps and data, and ours."""
    recipes = [cell.recipe for cell in found.cells]
    way, first = variant(offline=False, smoke=False), recipes[0]
    theirs = StudentSettings.parse(way.students[found.table.student], "variants.yaml")
    paper = TrainingSettings.parse(way.recipe["training"], "variants.yaml").model_dump()
    ours = first.training.model_dump()
    said = _trained(first.student, ours)
    alike = first.student == theirs and all(ours[name] == paper[name] for name in way.recipe["training"])
    if alike and not any(map(_short, recipes)):
        notes = [f"Ours: {said}, as in the paper."]
    else:
        other = _trained(theirs, paper)
        notes = [f"Ours: {said}. The paper's: {other}, the whole data; so its numbers are no measure of ours."]
    if more := [title_of(task) for task in found.tasks if task not in found.table.tasks]:
        notes.append(f"The paper has no {' and no '.join(more)}.")
    notes += _data(recipes)
    if (few := found.incomplete()) is not None:
        notes.append(few)
    return notes


def added(found: Found) -> list[str]:
    """The rows that the paper does not have in this table."""
    notes = []
    for name, row in found.table.rows.items():
        if row.added:
            where = " its numbers for it are those of its Table 1." if row.paper else " there are no numbers of it."
            notes.append(f"The paper has no row {name} here;{where}")
    return notes


def _trained(student: StudentSettings, training: Mapping[str, Any]) -> str:
    length = training["max_steps"], training["num_train_epochs"]
    steps = f"{length[0]:,} steps" if length[0] > 0 else f"{length[1]:g} epochs"
    batch = training["per_device_train_batch_size"] * training["gradient_accumulation_steps"]
    return f"{_student(student)}, {steps} of {batch} examples, learning rate {training['learning_rate']:g}"


def _student(student: StudentSettings) -> str:
    if (made := student.scratch) is not None:
        return f"a T5 from scratch of width {made.d_model} and depth {made.num_layers}"
    return str(student.name or f"a student of {student.encoder} and {student.decoder}")


def _short(recipe: Recipe) -> bool:
    data = recipe.data
    return data.limit is not None or (isinstance(data.source, ArchiveSource) and data.source.splits is not None)


def _data(recipes: list[Recipe]) -> list[str]:
    notes = []
    if limits := sorted({recipe.data.limit for recipe in recipes if recipe.data.limit is not None}):
        notes.append(f"Of every split at most {limits[0]} rows were used: this shows that it works, and nothing else.")
    swapped: dict[str, str] = {}
    for recipe in recipes:
        source = recipe.data.source
        if isinstance(source, ArchiveSource) and source.splits is not None:
            swapped[title_of(recipe.data.task)] = source.splits.get("train", "train")
    for split in dict.fromkeys(swapped.values()):
        tasks = " and ".join(task for task, used in swapped.items() if used == split)
        notes.append(f"{tasks}: trained on the archive's split {split!r}.")
    return notes
