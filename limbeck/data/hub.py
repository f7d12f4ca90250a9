"""Inputs from the Hugging Face Hub: a task's own data set, or any with columns like a file's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from limbeck.data.archive import read_inputs
from limbeck.data.columns import Column
from limbeck.data.outputs import listing, with_outputs
from limbeck.data.rows import Table, distinct, examples_of
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.settings import Settings
from limbeck.tasks import Split, Task, normalise

_USUAL: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "valid": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


class HubSource(Settings):
    """A data set on the Hub (or a local folder of one); without `path`, the task's own.

    `splits` maps our names (train, valid, test) to the data set's. `columns` is as for files. `rationales` is a root as
    the source `archive` has it: the teacher's outputs there are matched to the rows by position, and where the
    archive's own inputs are beside them, those must be the same.
    """

    kind: Literal["hub"] = "hub"
    path: str | None = None
    config: str | None = None
    splits: dict[Split, str] = Field(default_factory=dict)
    columns: dict[Column, str | list[str]] = Field(default_factory=dict)
    rationales: Path | None = None

    def read(self, task: Task) -> dict[str, list[Example]]:
        """Return the splits that the data set has, of those that `splits` (or the task) names.

        Raises:
            LimbeckError: the data set or a split cannot be had; a row is wrong; the outputs do not fit the rows.
        """
        path, rows_of = self._download(task)
        absent = [theirs for theirs in self.splits.values() if theirs not in rows_of]
        if absent:
            raise LimbeckError(f"{path}: no split {absent[0]!r}; there are {sorted(rows_of)!r:.200}")
        if self.splits or self.path is None:
            splits = {ours: theirs for ours, theirs in self._named(task).items() if theirs in rows_of}
        else:
            splits = {ours: there[0] for ours, names in _USUAL.items() if (there := [n for n in names if n in rows_of])}
        tables = [_table(rows_of[theirs], ours, f"{path} [{theirs}]") for ours, theirs in splits.items()]
        examples = examples_of(tables, self.columns, task, labelled=True)
        return {
            split: self._with_rationales(distinct(rows), task, split, table.where)
            for split, table, rows in zip(splits, tables, examples, strict=True)
        }

    def _named(self, task: Task) -> Mapping[Split, str]:
        return self.splits or (task.hub.splits if task.hub else {})

    def _download(self, task: Task) -> tuple[str, Any]:
        """Return the data set's path, and its splits by name (a `datasets.DatasetDict`)."""
        if self.path is not None:
            path = str(Path(self.path).expanduser()) if self.path.startswith("~") else self.path
            return path, _loaded(path, self.config, None)
        if task.hub is None:
            raise LimbeckError(f"task {task.name!r} has no data set of its own on the Hub: give the source a `path`")
        return task.hub.path, _loaded(task.hub.path, self.config or task.hub.config, task.hub.revision)

    def _with_rationales(self, examples: list[Example], task: Task, split: str, where: str) -> list[Example]:
        if self.rationales is None:
            return examples
        folder = self.rationales / task.name
        path = folder / f"{task.name}_{split}.json"
        if path.name in listing(folder):
            _check_same(examples, where, read_inputs(path, split, task), str(path))
        return with_outputs(examples, task, folder / "llm", split, where)


def _table(rows: Any, split: str, where: str) -> Table:
    from limbeck.data.arrow_table import arrow_rows  # pyarrow takes long to import

    table = rows.with_format("arrow")[:]
    return Table(where, [(f"{where} row {i + 1}", f"{split}-{i}", row) for i, row in enumerate(arrow_rows(table))])


def _check_same(rows: Sequence[Example], where: str, others: Sequence[Example], path: str) -> None:
    """Check that the Hub's rows are the archive's, as far as both go, so that outputs can be matched by position."""
    for number, (row, other) in enumerate(zip(rows, others, strict=False), start=1):
        if normalise(row.input) != normalise(other.input):
            raise LimbeckError(
                f"{where}: row {number} is {row.input!r:.60}, but in {path} it is {other.input!r:.60}: "
                "the teacher's outputs there belong to other rows"
            )


def _loaded(path: str, config: str | None, revision: str | None) -> Any:
    """Return the splits by name, from the Hub, a folder as the Hub has it, or one that `save_to_disk` wrote."""
    import datasets

    try:
        if (Path(path) / "dataset_dict.json").is_file() or (Path(path) / "state.json").is_file():
            saved = datasets.load_from_disk(path)
            return {"train": saved} if isinstance(saved, datasets.Dataset) else saved
        return datasets.load_dataset(path, config, revision=revision)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, datasets.exceptions.DatasetsError) as error:
        first = str(error).strip().partition("\n")[0]
        raise LimbeckError(f"the data set {path!r} cannot be loaded: {first or type(error).__name__}") from None
