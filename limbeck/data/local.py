"""A user's own files as a source: one or several for each split."""

from glob import glob
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from limbeck.data.columns import Column
from limbeck.data.rows import distinct, examples_of, file_table
from limbeck.data.table import MAX_ROW_BYTES
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.settings import Settings
from limbeck.tasks import Task


class FilesSource(Settings):
    """One file a split, or several, also as patterns like `data/*.jsonl`; `train` is enough.

    `columns` maps our names to the files': `{input: question, label: answer}`. What is missing is carved from train: a
    test split by `DataSettings.test`, validation by `DataSettings.validation`.
    """

    kind: Literal["files"] = "files"
    train_file: Path | Annotated[list[Path], Field(min_length=1)]
    valid_file: Path | list[Path] | None = None
    test_file: Path | list[Path] | None = None
    columns: dict[Column, str | list[str]] = Field(default_factory=dict)
    max_row_bytes: int | None = Field(
        None, ge=1, description="a longer row is refused, as where a quote was left open; none: 10,000,000"
    )

    def read(self, task: Task) -> dict[str, list[Example]]:
        """Return the splits that have files; "" is the label of rows without one.

        Raises:
            LimbeckError: as `read_rows`, or a pattern fits no file.
        """
        tables, owners = [], []
        for split, paths in {"train": self.train_file, "valid": self.valid_file, "test": self.test_file}.items():
            rows = 0
            for path in _files(paths):
                tables.append(file_table(path, self.max_row_bytes or MAX_ROW_BYTES, first=rows))
                owners.append(split)
                rows += len(tables[-1].rows)
        splits: dict[str, list[tuple[str, Example]]] = {split: [] for split in owners}
        for split, examples in zip(owners, examples_of(tables, self.columns, task, labelled=True), strict=True):
            splits[split] += examples
        return {split: distinct(examples) for split, examples in splits.items()}


def _files(paths: Path | list[Path] | None) -> list[Path]:
    """Return the files that paths and patterns name, with ~ for the home folder; a pattern's in alphabetical order.

    Raises:
        LimbeckError: a pattern fits none, or a file is named twice.
    """
    files: list[Path] = []
    for path in [paths] if isinstance(paths, Path) else paths or []:
        path = path.expanduser()
        if path.exists() or not any(sign in str(path) for sign in "*?["):
            files.append(path)
        elif not (matches := sorted(glob(str(path), recursive=True))):  # noqa: PTH207
            raise LimbeckError(f"{path}: no file fits this pattern")
        else:
            files += map(Path, matches)
    places: set[Path] = set()
    for file in files:
        if (place := file.resolve()) in places:
            raise LimbeckError(f"{file}: the same file twice in one split; name it once")
        places.add(place)
    return files
