"""The examples that a student is measured on: its own, or others with the same labels."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.examples import questions
from limbeck.data.load import DataSettings, Splits, load, load_split
from limbeck.data.rows import read_later_rows
from limbeck.data.sources import ArchiveSource, HubSource
from limbeck.data.tables import stem
from limbeck.distributed import on_main_process
from limbeck.errors import DataError, LimbeckError, RecipeError
from limbeck.files import sha256
from limbeck.runs.recipe import Recipe, load_recipe
from limbeck.runs.run import Run, data_hashes
from limbeck.schema import Example
from limbeck.tasks import TASKS, Split, Task, get, normalise

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Domain:
    """Examples to measure a student on."""

    name: str  # of its files: `test`, `anli1-test`
    split: Split
    task: Task
    examples: Sequence[Example]
    validation: Sequence[Example] = ()  # the run's own; empty where its data is gone
    dataset: str | None = None  # the other task, file or recipe; None: the run's own data
    in_training: int | None = None  # questions that the student was trained on; None: unknown, or its own data

    def add(self, measured: dict[str, Any], results: dict[str, Any], predictions: Path) -> dict[str, Any]:
        """Return a run's results with those `measured`, of other data the test split's alone, and the file's hash."""
        digest = on_main_process(lambda: sha256(predictions))
        results = results | {"predictions": results.get("predictions", {}) | {self.name: digest}}
        if self.dataset is None:
            return results | {self.split: measured}
        foreign = results.get("out_of_domain", {}) | {self.dataset: measured}
        return results | {"out_of_domain": foreign} if self.split == "test" else results


def domain_of(run: Run, split: Split, dataset: str | None = None, root: Path | None = None) -> Domain:
    """Return a split of the run's own data, or of a `dataset` with the same labels.

    That is a task, from the run's own source or the released archive at `root`; a recipe file; or a file with labelled
    rows of the run's own task. Raises LimbeckError for any other.
    """
    data, task = run.recipe.data, run.recipe.data.get_task()
    if dataset is None:
        if root is not None:
            raise RecipeError("--root needs --dataset, the task whose rows are there")
        splits = _splits(run)
        return Domain(split, split, task, getattr(splits, split), splits.valid)
    path = Path(dataset)
    is_file = dataset not in TASKS and (path.suffix != "" or path.is_file())
    name = stem(path) if is_file else dataset
    if is_file and (root is not None or name in TASKS):
        raise RecipeError(f"{dataset}: --root is for tasks alone, and a file needs another name than a task's")
    if not is_file or path.suffix in (".yaml", ".yml"):
        foreign = load_recipe(path).data if is_file else _task_data(data, name, root)
        domain = _foreign(name, foreign, split, task)
    elif split != "test":
        raise RecipeError(f"{dataset}: a file has no splits, so leave --split out")
    else:
        rows = read_later_rows(path, data.columns, task)
        examples = tuple(example for example in rows if example.label)
        if not examples:
            raise DataError("no row has a label", path=path)
        if left_out := len(rows) - len(examples):
            log.info("%s: %d of %d rows left out, without a label", path, left_out, len(rows))
        domain = Domain(f"{name}-{split}", split, task, examples, dataset=name)
    try:
        return _with_own_data(domain, _splits(run))
    except LimbeckError as error:  # it only chooses a threshold and counts questions seen in training
        log.info("%s: its own data cannot be read (%s)", run.path, error)
        return domain


def out_of_domain(recipe: Recipe, splits: Splits) -> list[Domain]:
    """Return the test splits of the tasks of `evaluation.out_of_domain`."""
    task = recipe.data.get_task()
    try:
        return [
            _with_own_data(_foreign(name, _task_data(recipe.data, name), "test", task), splits)
            for name in dict.fromkeys(recipe.evaluation.out_of_domain)
        ]
    except LimbeckError as error:
        raise RecipeError(str(error), field="evaluation.out_of_domain") from None


def _foreign(name: str, data: DataSettings, split: Split, task: Task) -> Domain:
    """Return a split of other data; raises RecipeError where a student of `task` cannot be right."""
    foreign = data.get_task()
    labels, foreign_labels = ({normalise(choice) for choice in side.choices} for side in (task, foreign))
    if labels != foreign_labels or task.equal is not foreign.equal:
        differ = f"{list(task.choices)!r:.200} and {list(foreign.choices)!r:.200}, or compared in other ways"
        raise RecipeError(f"{foreign.name} has other labels than {task.name}: {differ}")
    return Domain(f"{name}-{split}", split, foreign, load_split(data, split), dataset=name)


def _task_data(data: DataSettings, name: str, root: Path | None = None) -> DataSettings:
    get(name)  # raises with the nearest name
    source = data.source if root is None else ArchiveSource(root=root)
    if isinstance(source, HubSource):  # each task has its own path
        source = None if source.path else HubSource()
    if name == data.task or not isinstance(source, HubSource | ArchiveSource):
        raise RecipeError(f"task {name!r}: the run's source has {data.task!r} alone; give --root, or a recipe file")
    values = data.model_dump(include={"limit", "valid_fraction", "seed"})
    return DataSettings.parse({"task": name, "source": source, **values}, f"the data of {name!r}")


def _splits(run: Run) -> Splits:
    splits = load(run.recipe.data)
    run.check_data(data_hashes(splits))
    return splits


def _with_own_data(domain: Domain, splits: Splits) -> Domain:
    in_training = int(np.isin(questions(domain.examples), questions(splits.train)).sum())
    return replace(domain, validation=splits.valid, in_training=in_training)
