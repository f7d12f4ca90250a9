"""A data set of the Hugging Face Hub as a source: a task's own, or any with columns like a file's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from limbeck.data.archive import add_outputs, file_names, read_inputs
from limbeck.data.columns import Column
from limbeck.data.rows import LocatedRows, read_examples, unique
from limbeck.errors import DataError
from limbeck.schema import Example
from limbeck.settings import Settings
from limbeck.tasks import Split, Task, normalise

_USUAL_SPLITS: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "valid": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


class HubSource(Settings):
    """A data set on the Hub (or a local folder of one); without `path`, the task's own.

    `splits` maps limbeck's names (train, valid, test) to the data set's. `columns` is as for files. `rationales` is a
    root as the source `archive` has it: the teacher's outputs there are matched to the rows by position, and where the
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
        from limbeck.data.arrow import arrow_rows  # pyarrow takes long to import

        if self.path is not None:
            path = str(Path(self.path).expanduser()) if self.path.startswith("~") else self.path
            data_set = _load(path, self.config, None)
        elif task.hub is not None:
            path = task.hub.path
            data_set = _load(path, self.config or task.hub.config, task.hub.revision)
        else:
            raise DataError(f"task {task.name!r} has no data set of its own on the Hub: give the source a `path`")
        tables = {}
        for split, name in self._split_names(task, data_set, path).items():
            table = f"{path} [{name}]"
            rows = arrow_rows(data_set[name].with_format("arrow")[:])
            tables[split] = LocatedRows(
                table, [(f"{table} row {i + 1}", f"{split}-{i}", row) for i, row in enumerate(rows)]
            )
        examples = read_examples(list(tables.values()), self.columns, task, labelled=True)
        return {
            split: self._with_outputs(unique(rows), task, split, tables[split].name)
            for split, rows in zip(tables, examples, strict=True)
        }

    def _split_names(self, task: Task, data_set: Mapping[str, Any], path: str) -> dict[Split, str]:
        """Return the data set's names of the splits that it has."""
        for name in self.splits.values():
            if name not in data_set:
                raise DataError(f"{path}: no split {name!r}; there are {sorted(data_set)!r:.200}")
        if self.splits or (self.path is None and task.hub is not None):
            names = self.splits or (task.hub.splits if task.hub else {})
            return {split: name for split, name in names.items() if name in data_set}
        present = {split: [name for name in names if name in data_set] for split, names in _USUAL_SPLITS.items()}
        if not any(present.values()):
            expected = "none of the splits train, validation and test"
            raise DataError(f"{path}: {expected}; there are {sorted(data_set)!r:.200}; name them under `splits`")
        return {split: names[0] for split, names in present.items() if names}

    def _with_outputs(self, examples: list[Example], task: Task, split: str, table: str) -> list[Example]:
        if self.rationales is None:
            return examples
        folder = self.rationales / task.name
        path = folder / f"{task.name}_{split}.json"
        if path.name in file_names(folder):
            _check_same(examples, read_inputs(path, split, task), table, path)
        return add_outputs(examples, task, folder / "llm", split=split, inputs=table)


def _check_same(rows: Sequence[Example], inputs: Sequence[Example], table: str, path: Path) -> None:
    """Check that the Hub's rows are the archive's, as far as both go, so that outputs can be matched by position."""
    for number, (row, example) in enumerate(zip(rows, inputs, strict=False), start=1):
        if normalise(row.input) != normalise(example.input):
            raise DataError(
                f"{table}: row {number} is {row.input!r:.60}, but in {path} it is {example.input!r:.60}: "
                "the teacher's outputs there belong to other rows"
            )


def _load(path: str, config: str | None, revision: str | None) -> Any:
    """Return the splits by name, from the Hub, a folder as the Hub has it, or one that `save_to_disk` wrote."""
    import datasets

    try:
        if (Path(path) / "dataset_dict.json").is_file() or (Path(path) / "state.json").is_file():
            saved = datasets.load_from_disk(path)
            return {"train": saved} if isinstance(saved, datasets.Dataset) else saved
        return datasets.load_dataset(path, config, revision=revision)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, datasets.exceptions.DatasetsError) as error:
        line = str(error).strip().partition("\n")[0]
        raise DataError(f"the data set {path!r} cannot be loaded: {line or type(error).__name__}") from None
