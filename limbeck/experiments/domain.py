"""What a student is measured on: its own data, or out of its domain a task with the same labels."""

from dataclasses import dataclass
from pathlib import Path

from limbeck.data import ArchiveSource, DataSettings, FilesSource, HubSource, load, load_split, task_of
from limbeck.errors import LimbeckError
from limbeck.experiments.provenance import data_hashes
from limbeck.experiments.recipe import Recipe, load_recipe
from limbeck.experiments.run import Run, check_data
from limbeck.schema import Example
from limbeck.tasks import TASKS, Split, Task, get, normalise, same_value


@dataclass(frozen=True)
class Domain:
    """Examples to be measured on. `name` is that of the files of what comes of it: `test`, `anli1-test`."""

    name: str
    split: Split
    task: Task
    examples: tuple[Example, ...]
    validation: tuple[Example, ...]  # the run's own; none where it has gone
    foreign: str | None = None  # out of domain: the name of the other task, or of the recipe whose data it is


def domain_of(run: Run, split: Split, on: str | None = None, root: Path | None = None) -> Domain:
    """`other_domain` where `on` names one, else `own_domain`. Raises LimbeckError as they do."""
    if on is not None:
        return other_domain(run, split, on, root)
    if root is not None:
        raise LimbeckError(f"--root {root}: where another task is, so it goes with --on TASK")
    return own_domain(run, split)


def own_domain(run: Run, split: Split) -> Domain:
    """A split of the run's own data.

    Raises:
        LimbeckError: the data has gone, or changed since the run began.
    """
    splits = load(run.recipe.data)
    check_data(run, data_hashes(splits))
    return Domain(split, split, task_of(run.recipe.data), getattr(splits, split), splits.valid)


def other_domain(run: Run, split: Split, on: str, root: Path | None = None) -> Domain:
    """A split of other data. `on` is a task's name, or a recipe file, whose data it then is.

    A task is read from the run's own source, or with `root` from the released archive there.

    Raises:
        LimbeckError: it is the run's own task, its labels are others, it is not there, or it is a recipe file that is
            called as a task is.
    """
    recipe = on.endswith((".yaml", ".yml"))
    if recipe and root is not None:
        raise LimbeckError(f"--root {root}: the recipe {on} says itself where its data is; leave --root out")
    name = Path(on).stem if recipe else on
    if recipe and name in TASKS:
        raise LimbeckError(
            f"{on}: what is measured is kept under the file's name, where that of the task {name!r} goes; rename the "
            f"recipe, or give --on {name}"
        )
    settings = load_recipe(Path(on)).data if recipe else _of_task(run.recipe.data, on, root)
    task = task_of(settings)
    check_labels(task_of(run.recipe.data), task)
    return Domain(f"{name}-{split}", split, task, load_split(settings, split), _validation(run), name)


def domains_of(recipe: Recipe, validation: tuple[Example, ...]) -> list[Domain]:
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
            found.append(Domain(f"{name}-test", "test", task_of(settings), examples, validation, name))
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


def _validation(run: Run) -> tuple[Example, ...]:
    try:
        return own_domain(run, "valid").examples
    except LimbeckError:  # only a threshold of the cascade is chosen by it
        return ()


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
    values = {"task": name, "source": source, "limit": data.limit, "validation": data.validation, "seed": data.seed}
    return DataSettings.parse(values, f"the data of {name!r}")
