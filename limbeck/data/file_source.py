"""A user's own files as a source: one or several for each split."""

from glob import glob
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from limbeck.data.columns import Column
from limbeck.data.rows import file_table, read_examples, unique
from limbeck.data.tables import MAX_ROW_BYTES
from limbeck.errors import FileError
from limbeck.schema import Example
from limbeck.settings import Settings
from limbeck.tasks import Task


class FilesSource(Settings):
    """A file for each split, or several, also as patterns like `data/*.jsonl`; `train_file` is enough.

    `columns` maps limbeck's names to the files': `{input: question, label: answer}`. A run holds out the splits without
    files, by `test_fraction` and `valid_fraction` of `DataSettings`.
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
        """Return the splits that have files; a missing label is "".

        Raises:
            LimbeckError: as `read_rows`, or a pattern matches no file.
        """
        tables, splits = [], []
        for split, paths in {"train": self.train_file, "valid": self.valid_file, "test": self.test_file}.items():
            count = 0
            for path in _expand(paths):
                tables.append(file_table(path, self.max_row_bytes or MAX_ROW_BYTES, first=count))
                splits.append(split)
                count += len(tables[-1].rows)
        located_examples: dict[str, list[tuple[str, Example]]] = {split: [] for split in splits}
        for split, examples in zip(splits, read_examples(tables, self.columns, task, labelled=True), strict=True):
            located_examples[split] += examples
        return {split: unique(examples) for split, examples in located_examples.items()}


def _expand(paths: Path | list[Path] | None) -> list[Path]:
    """Return the files that paths and patterns name, those of a pattern in alphabetical order.

    Raises FileError: a pattern matches none, or a file is named twice.
    """
    files: list[Path] = []
    for path in [paths] if isinstance(paths, Path) else paths or []:
        path = path.expanduser()
        if path.exists() or not any(sign in str(path) for sign in "*?["):
            files.append(path)
        elif matches := sorted(glob(str(path), recursive=True)):  # noqa: PTH207
            files += map(Path, matches)
        else:
            raise FileError("no file matches this pattern", path=path)
    resolved = [file.resolve() for file in files]
    for file in files:
        if resolved.count(file.resolve()) > 1:
            raise FileError("the same file twice in one split; name it once", path=file)
    return files
