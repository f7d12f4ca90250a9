"""What a student is measured on: its own data, or out of its domain a task with the same labels."""

import logging
from dataclasses import dataclass
from pathlib import Path

from limbeck.data import (
    ArchiveSource,
    DataSettings,
    FilesSource,
    HubSource,
    Splits,
    load,
    load_split,
    read_later_rows,
    task_of,
)
from limbeck.data.splits import question_of
from limbeck.data.tables import stem
from limbeck.errors import LimbeckError
from limbeck.runs.provenance import data_hashes
from limbeck.runs.recipe import Recipe, load_recipe
from limbeck.runs.run import Run, check_data
from limbeck.schema import Example
from limbeck.tasks import TASKS, Split, Task, get, normalise, same_value

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Domain:
    """Examples to be measured on. `name` is that of the files of what comes of it: `test`, `anli1-test`."""

    name: str
    split: Split
    task: Task
    examples: tuple[Example, ...]
    validation: tuple[Example, ...]  # the run's own; none where it has gone
    foreign: str | None = None  # the name of the other task or file, or of the recipe whose data it is
    in_training: int | None = None  # questions that the student was trained on; None: not known, or its own data


def domain_of(run: Run, split: Split, on: str | None = None, root: Path | None = None) -> Domain:
    """Return `other_domain` where `on` names one, else a split of the run's own data.

    Raises:
        LimbeckError: as `other_domain`; `root` without `on`; the run's own data has gone, or changed since it began.
    """
    if on is not None:
        return other_domain(run, split, on, root)
    if root is not None:
        raise LimbeckError(f"--root {root}: where another task is, so it goes with --on TASK")
    splits = _own_splits(run)
    return Domain(split, split, task_of(run.recipe.data), getattr(splits, split), splits.valid)


def _own_splits(run: Run) -> Splits:
    """Return the run's own data.

    Raises:
        LimbeckError: it has gone, or changed since the run began.
    """
    splits = load(run.recipe.data)
    check_data(run, data_hashes(splits))
    return splits


def other_domain(run: Run, split: Split, on: str, root: Path | None = None) -> Domain:
    """A split of other data. `on` is a task's name, a recipe file, whose data it then is, or a file of labelled rows.

    A task is read from the run's own source, or with `root` from the released archive there. A file has rows of the
    run's own task, under its own names of columns or ours.

    Raises:
        LimbeckError: it is the run's own task, its labels are others, it is not there, or it is a file that is called
            as a task is.
    """
    file = Path(on).suffix != "" or (on not in TASKS and Path(on).is_file())
    if file and root is not None:
        raise LimbeckError(f"--root {root}: where the task of --on TASK is, and {on} is a file; leave --root out")
    name = stem(Path(on)) if file else on
    if file and name in TASKS:
        raise LimbeckError(
            f"{on}: what is measured is kept under the file's name, where that of the task {name!r} goes; rename it, "
            f"or give --on {name}"
        )
    own = task_of(run.recipe.data)
    if file and not on.endswith((".yaml", ".yml")):
        if split != "test":
            raise LimbeckError(f"{on}: a file of rows has no split {split!r}; leave --split out")
        task, examples = own, _labelled(Path(on), run.recipe.data, own)
    else:
        settings = load_recipe(Path(on)).data if file else _of_task(run.recipe.data, on, root)
        task = task_of(settings)
        check_labels(own, task)
        examples = load_split(settings, split)
    try:
        splits = _own_splits(run)
    except LimbeckError as error:  # only a threshold is chosen by it, and questions seen in training are counted
        log.info("%s: its own data cannot be read (%s)", run.path, error)
        return Domain(f"{name}-{split}", split, task, examples, (), name)
    return _foreign(name, split, task, examples, splits)


def _foreign(name: str, split: Split, task: Task, examples: tuple[Example, ...], splits: Splits) -> Domain:
    trained = {question_of(example) for example in splits.train}
    in_training = sum(question_of(example) in trained for example in examples)
    return Domain(f"{name}-{split}", split, task, examples, splits.valid, name, in_training)


def _labelled(path: Path, data: DataSettings, task: Task) -> tuple[Example, ...]:
    examples = read_later_rows(path, data.columns, task)
    labelled = tuple(example for example in examples if example.label)
    if not labelled:
        raise LimbeckError(f"{path}: no row has a label, so nothing to measure a student by")
    if len(labelled) < len(examples):
        log.info("%s: %d of %d rows left out, without a label", path, len(examples) - len(labelled), len(examples))
    return labelled


def domains_of(recipe: Recipe, splits: Splits) -> list[Domain]:
    """The test splits of the tasks of `evaluation.out_of_domain`.

    Raises:
        LimbeckError: a task is named twice or is the run's own, its labels are others, or it is not there.
    """
    names = recipe.evaluation.out_of_domain
    if twice := [name for name in names if names.count(name) > 1]:
        raise LimbeckError(f"evaluation.out_of_domain: {twice[0]!r} stands there twice")
    found = []
    for name in names:
        try:
            settings = _of_task(recipe.data, name, None)
            check_labels(task_of(recipe.data), task_of(settings))
            examples = load_split(settings, "test")
            found.append(_foreign(name, "test", task_of(settings), examples, splits))
        except LimbeckError as error:
            raise LimbeckError(f"evaluation.out_of_domain: {error}") from None
    return found


def check_labels(own: Task, other: Task) -> None:
    """Check that a student of the task `own` can be right on `other`: the same labels, or free answers compared alike.

    Raises:
        LimbeckError: it cannot; names both label sets.
    """
    same = {normalise(choice) for choice in own.choices} == {normalise(choice) for choice in other.choices}
    if not same or own.equal is not other.equal:
        raise LimbeckError(
            f"a student of {own.name} cannot be measured on {other.name}, for their labels differ: "
            f"{_labels(own)} and {_labels(other)}"
        )


def _labels(task: Task) -> str:
    if task.choices:
        return ", ".join(map(repr, task.choices))
    return "equations, compared by their value" if task.equal is same_value else "answers of any text"


def _of_task(data: DataSettings, name: str, root: Path | None) -> DataSettings:
    """Another task's data, from the source of `data` or from the archive at `root`."""
    get(name)  # or the error that offers the nearest name
    if name == data.task:
        raise LimbeckError(f"{name!r} is the run's own task; for other data of it name a recipe file")
    source = data.source if root is None else ArchiveSource(root=root)
    match source:
        case ArchiveSource():
            source = source.model_copy(update={"augment": []})
        case HubSource(path=None):
            source = HubSource(rationales=source.rationales)
        case FilesSource() | HubSource() | None:
            raise LimbeckError(
                f"task {name!r}: the run's own source has rows of {data.task!r} alone; give --root, the released "
                "archive's folder, or in the task's place a recipe file with its data"
            )
        case _:
            raise LimbeckError(f"task {name!r}: a source that makes its rows makes none of it; give a recipe file")
    values = {"task": name, "source": source, "limit": data.limit, "valid_fraction": data.valid_fraction, "seed": data.seed}
    return DataSettings.parse(values, f"the data of {name!r}")
