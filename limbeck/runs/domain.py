"""The examples that a student is measured on: its own data or, out of domain, other data with the same labels."""

import logging
from dataclasses import dataclass
from pathlib import Path

from limbeck.data.archive import ArchiveSource
from limbeck.data.hub_source import HubSource
from limbeck.data.load import Splits, load, load_split
from limbeck.data.rows import read_later_rows
from limbeck.data.settings import DataSettings
from limbeck.data.splits import question_of
from limbeck.data.tables import stem
from limbeck.errors import DataError, LimbeckError, RecipeError
from limbeck.runs.provenance import data_hashes
from limbeck.runs.recipe import Recipe, load_recipe
from limbeck.runs.run import Run
from limbeck.schema import Example
from limbeck.tasks import TASKS, Split, Task, get, normalise, same_value
from limbeck.tasks.settings import task_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Domain:
    """Examples to be measured on. `name` is the stem of the files about them: `test`, `anli1-test`."""

    name: str
    split: Split
    task: Task
    examples: tuple[Example, ...]
    validation: tuple[Example, ...]  # the run's own; empty where its data is gone
    dataset: str | None = None  # the name of the other task, file or recipe; None: the run's own data
    in_training: int | None = None  # questions that the student was trained on; None: unknown, or its own data


def domain_of(run: Run, split: Split, dataset: str | None = None, root: Path | None = None) -> Domain:
    """Return a split of the run's own data, or of `dataset`: a task's name, a recipe or a file of labelled rows.

    A task is read from the run's own source, or with `root` from the released archive there. A file has rows of the
    run's own task, under its own names of columns or ours.

    Raises:
        RecipeError: the dataset is the run's own task, has other labels, or a file is named as a task is.
        DataError: the run's own data is gone or changed since it began; the dataset cannot be read.
    """
    if dataset is None:
        if root is not None:
            raise RecipeError("the folder of another task; give --dataset TASK too", field="--root")
        splits = _own_splits(run)
        return Domain(split, split, task_of(run.recipe.data), getattr(splits, split), splits.valid)
    path, own_task = Path(dataset), task_of(run.recipe.data)
    is_file = path.suffix != "" or (dataset not in TASKS and path.is_file())
    if is_file and root is not None:
        raise RecipeError(f"the folder of a task, and {dataset} is a file; leave --root out", field="--root")
    name = stem(path) if is_file else dataset
    if is_file and name in TASKS:
        raise RecipeError(f"{dataset}: the results would go where those of the task {name!r} go; rename the file")
    if is_file and path.suffix not in (".yaml", ".yml"):
        if split != "test":
            raise RecipeError(f"{dataset}: a file of rows has no split {split!r}; leave --split out")
        task, examples = own_task, _labelled_rows(path, run.recipe.data, own_task)
    else:
        settings = load_recipe(path).data if is_file else _task_data(run.recipe.data, dataset, root)
        task = task_of(settings)
        check_labels(own_task, task)
        examples = load_split(settings, split)
    try:
        return _foreign(name, split, task, examples, splits=_own_splits(run))
    except LimbeckError as error:  # it only chooses a threshold, and counts questions seen in training
        log.info("%s: its own data cannot be read (%s)", run.path, error)
        return Domain(f"{name}-{split}", split, task, examples, (), name)


def out_of_domain(recipe: Recipe, splits: Splits) -> list[Domain]:
    """Return the test splits of the tasks of `evaluation.out_of_domain`.

    Raises:
        RecipeError: a task is named twice, is the run's own, has other labels, or cannot be read.
    """
    names = recipe.evaluation.out_of_domain
    if len(set(names)) < len(names):
        raise RecipeError(f"a task is named twice: {', '.join(names)}", field="evaluation.out_of_domain")
    domains = []
    for name in names:
        try:
            settings = _task_data(recipe.data, name, None)
            check_labels(task_of(recipe.data), task_of(settings))
            task, examples = task_of(settings), load_split(settings, "test")
            domains.append(_foreign(name, "test", task, examples, splits=splits))
        except LimbeckError as error:
            raise RecipeError(str(error), field="evaluation.out_of_domain") from None
    return domains


def check_labels(task: Task, foreign: Task) -> None:
    """Check that a student of `task` can be right on `foreign`: the same labels, or answers compared alike.

    Raises:
        RecipeError: it cannot; names both label sets.
    """
    same_labels = {normalise(choice) for choice in task.choices} == {normalise(choice) for choice in foreign.choices}
    if not same_labels or task.equal is not foreign.equal:
        raise RecipeError(
            f"a student of {task.name} cannot be measured on {foreign.name}, for their labels differ: "
            f"{_labels(task)} and {_labels(foreign)}"
        )


def _own_splits(run: Run) -> Splits:
    splits = load(run.recipe.data)
    run.check_data(data_hashes(splits))
    return splits


def _foreign(name: str, split: Split, task: Task, examples: tuple[Example, ...], *, splits: Splits) -> Domain:
    trained = {question_of(example) for example in splits.train}
    in_training = sum(question_of(example) in trained for example in examples)
    return Domain(f"{name}-{split}", split, task, examples, splits.valid, name, in_training)


def _labelled_rows(path: Path, data: DataSettings, task: Task) -> tuple[Example, ...]:
    examples = read_later_rows(path, data.columns, task)
    labelled = tuple(example for example in examples if example.label)
    if not labelled:
        raise DataError("no row has a label, so nothing to measure a student by", path=path)
    if len(labelled) < len(examples):
        log.info("%s: %d of %d rows left out, without a label", path, len(examples) - len(labelled), len(examples))
    return labelled


def _labels(task: Task) -> str:
    if task.choices:
        return ", ".join(map(repr, task.choices))
    return "equations, compared by their value" if task.equal is same_value else "answers of any text"


def _task_data(data: DataSettings, name: str, root: Path | None) -> DataSettings:
    """Return the settings of another task's data, from the source of `data` or from the archive at `root`."""
    get(name)  # or the error that offers the nearest name
    if name == data.task:
        raise RecipeError(f"{name!r} is the run's own task; for other data of it name a recipe file")
    source = data.source if root is None else ArchiveSource(root=root)
    match source:
        case ArchiveSource():
            pass
        case HubSource(path=None):
            source = HubSource(rationales=source.rationales)
        case _:
            raise RecipeError(
                f"task {name!r}: the run's own source has rows of {data.task!r} alone; give --root, the released "
                "archive's folder, or a recipe file with the other data"
            )
    values = {
        "task": name,
        "source": source,
        "limit": data.limit,
        "valid_fraction": data.valid_fraction,
        "seed": data.seed,
    }
    return DataSettings.parse(values, f"the data of {name!r}")
