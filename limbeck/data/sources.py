"""Sources of rows: the authors' released archive, a user's files, and the Hugging Face Hub."""

import tempfile
import time
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from glob import glob
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from limbeck.data.examples import ExampleTable
from limbeck.data.rows import Column, TableFile, numbered, read_examples, read_files, stream_examples
from limbeck.data.tables import MAX_ROW_BYTES, arrow_rows, cell_text, read_table, stem
from limbeck.errors import DataError, FileError, first_line
from limbeck.files import read_json, remove_remains, sha256
from limbeck.llm.replies import parse
from limbeck.schema import Example
from limbeck.settings import Settings
from limbeck.tasks import HubInputs, Split, Task

# ours by the Hub's; of several, the last counts
_HUB_SPLITS = {"train": "train", **dict.fromkeys(("dev", "val", "valid", "validation"), "valid"), "test": "test"}
MAX_UNPACKED = 8 * 1024**3  # bytes of all files
MAX_DIRECTORY = 4 * 1024**2  # bytes of an archive's list of files: some 40,000
SILENT_SECONDS, FETCH_SECONDS = 60, 7200  # that a server may be silent, and that a download may take
_SCRATCH = ".limbeck-fetch-"
MAX_IN_MEMORY = 64 * 1024**2  # bytes of a source's files


class ArchiveSource(Settings):
    """`root/{task}/{task}_{split}.json`, with the teacher's outputs in `root/{task}/llm/{split}_CoT_{number}.json`.

    `splits` maps roles to the archive's splits, `{train: valid, test: test}` where it has no train.
    """

    kind: Literal["archive"] = "archive"
    root: Path
    splits: dict[Split, Split] | None = None

    @field_validator("splits")
    @classmethod
    def _check_splits(cls, splits: dict[Split, Split] | None) -> dict[Split, Split] | None:
        if splits and len(set(splits.values())) < len(splits):
            raise ValueError("a split has two roles; give each its own")
        return splits

    def read(self, task: Task) -> dict[str, list[Example]]:
        folder = self.root / task.name
        paths = {split: folder / f"{task.name}_{split}.json" for split in get_args(Split)}
        roles = self.splits or {split: split for split, path in paths.items() if path.exists()}
        if not roles:
            raise DataError(f"no input files; looked for {task.name}_train.json, _valid and _test", path=folder)
        splits: dict[str, list[Example]] = {}
        for role, split in roles.items():
            table, outputs = numbered(read_table(paths[split]), split), _read_outputs(folder / "llm", split)
            examples = read_examples({role: [table]}, {}, task, labelled=False)[role]
            if len(outputs) != len(table):  # they are joined by position
                reason = f"{len(table)} rows, but {len(outputs)} outputs in {folder / 'llm'}"
                raise DataError(reason, path=paths[split])
            splits[role] = []
            for (_, _, row), example, output in zip(table, examples, outputs, strict=True):
                # as released, blanks included: digests of runs hold them
                spellings = {cell_text(name): name for name in row.get("choices") or () if isinstance(name, str)}
                choices = tuple(spellings.get(choice, choice) for choice in example.choices)
                example = replace(example, choices=choices, label=spellings.get(example.label, example.label))
                reply = parse(output, task, example)
                splits[role].append(replace(example, rationale=reply.rationale, teacher_label=reply.label))
        return splits


def _read_outputs(folder: Path, split: str) -> list[str]:
    outputs: list[str] = []
    for number, _ in enumerate(folder.glob(f"{split}_CoT_*.json")):
        path = folder / f"{split}_CoT_{number}.json"
        shard = read_json(path)
        if not isinstance(shard, list) or not all(isinstance(output, str) for output in shard):
            raise DataError("a JSON list of texts was expected", path=path)
        outputs += shard
    return outputs


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects to https, and from http to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in {"https", urlsplit(req.full_url).scheme}:
            raise ValueError(f"it is redirected from {req.full_url:.200} to {newurl:.200}, which is less safe")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(url: str, path: Path) -> None:
    """Write what is at a URL to a file. Raises ValueError where that is too much or takes too long."""
    end = time.monotonic() + FETCH_SECONDS
    opener = urllib.request.build_opener(_Redirects)
    with opener.open(url, timeout=SILENT_SECONDS) as response, path.open("wb") as file:
        while block := response.read1(1 << 20):
            file.write(block)
            if file.tell() > MAX_UNPACKED or time.monotonic() > end:
                raise ValueError(f"more than {MAX_UNPACKED} bytes, or {FETCH_SECONDS} seconds")


def _open_archive(path: Path) -> zipfile.ZipFile:
    """Open an archive. Raises ValueError where its files are too many or too large."""
    with path.open("rb") as file:
        # ZipFile itself would read the whole list
        record = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    if record and record[zipfile._ECD_SIZE] > MAX_DIRECTORY:  # type: ignore[attr-defined]
        raise ValueError("more files than any archive of tasks has")
    archive = zipfile.ZipFile(path)
    if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED:
        archive.close()
        raise ValueError(f"more than {MAX_UNPACKED} bytes when unpacked")
    return archive


def fetch(source: str, root: Path, digest: str | None = None) -> list[str]:
    """Unpack the archive at a path or http(s) URL, with the SHA-256 `digest`, into `root`; return its folders.

    Nothing is put in place before all is unpacked, and no folder is overwritten.
    """
    # exists, so a failure leaves nothing behind; on root's disk, so moving is renaming
    parent = next(folder for folder in root.absolute().parents if folder.is_dir())
    try:
        remove_remains(parent, f"{_SCRATCH}*")
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=parent) as scratch:
            archive, unpacked = Path(source), Path(scratch) / "unpacked"
            if source.startswith(("http://", "https://")):
                archive = Path(scratch) / "archive.zip"
                _download(source, archive)
            if digest is not None and digest.strip().lower() != (actual := sha256(archive)):
                raise ValueError(f"its SHA-256 is {actual}, not {digest}")
            with _open_archive(archive) as zipped:
                zipped.extractall(unpacked)  # without drives, roots and `..`, and links as files
            unpacked = unpacked / "datasets" if (unpacked / "datasets").is_dir() else unpacked
            folders = sorted(path for path in unpacked.iterdir() if path.is_dir() and path.name != "__MACOSX")
            if not folders:
                raise ValueError("it holds no folder of a task")
            if existing := [folder.name for folder in folders if (root / folder.name).exists()]:
                raise ValueError(f"{', '.join(existing)}: there already; move it away")
            root.mkdir(parents=True, exist_ok=True)
            return [folder.rename(root / folder.name).name for folder in folders]
    except (OSError, HTTPException, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{source}: cannot be unpacked into {root} ({error})") from None


class FilesSource(Settings):
    """Files of each split, also patterns like `data/*.jsonl`; a run holds out splits without files."""

    kind: Literal["files"] = "files"
    train_file: Path | Annotated[list[Path], Field(min_length=1)]
    valid_file: Path | list[Path] | None = None
    test_file: Path | list[Path] | None = None
    max_row_bytes: int = Field(MAX_ROW_BYTES, ge=1, le=1 << 40)  # a longer row has an open quote
    columns: dict[Column, str | list[str]] = Field(default_factory=dict)  # the files' names by limbeck's

    def read(self, task: Task) -> Mapping[str, Sequence[Example]]:
        """Return the examples of each split, in the cache where the files are large."""
        paths = {split: getattr(self, f"{split}_file") for split in get_args(Split)}
        files = {split: _expand(pattern) for split, pattern in paths.items() if pattern}
        states = _states(files)
        if sum(size for size, _ in states.values()) <= MAX_IN_MEMORY:
            tables = {split: read_files(files[split], self.max_row_bytes) for split in files}
            return read_examples(tables, self.columns, task)

        @cache
        def streams() -> dict[str, Iterator[Example]]:
            return stream_examples({split: self._tables(files[split]) for split in files}, self.columns, task)

        def examples(split: str) -> Iterator[Example]:
            yield from streams()[split]
            if changed := dict(_states(files).items() - states.items()):
                raise DataError("it changed while it was read; start again", path=next(iter(changed)))

        hashes = {split: [(stem(path), sha256(path)) for path in files[split]] for split in files}
        key = [hashes, self.columns, self.max_row_bytes, task.key]
        return {split: ExampleTable.cached([*key, split], examples(split)) for split in files}

    def _tables(self, paths: Sequence[Path]) -> list[TableFile]:
        tables: list[TableFile] = []
        for path in paths:
            tables.append(TableFile(path, self.max_row_bytes, sum(map(len, tables))))
        return tables


def _states(files: Mapping[str, Sequence[Path]]) -> dict[Path, tuple[int, int]]:
    """Return the size and time of each file."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for paths in files.values() for path in paths}


def _expand(paths: Path | list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in [paths] if isinstance(paths, Path) else paths:
        pattern = str(path.expanduser())
        matches = [pattern] if Path(pattern).exists() else sorted(glob(pattern, recursive=True))  # noqa: PTH207
        if not matches:
            raise FileError("no such file, and no file matches it", path=path)
        files += map(Path, matches)
    if len({file.resolve() for file in files}) < len(files):
        raise FileError("the same file twice in one split; name it once", path=files[-1])
    return files


class HubSource(Settings):
    """A data set on the Hub, or a local folder of one; without `path`, the task's own."""

    kind: Literal["hub"] = "hub"
    path: str | None = None
    config: str | None = None
    splits: dict[Split, str] = Field(default_factory=dict)  # the data set's names by limbeck's
    columns: dict[Column, str | list[str]] = Field(default_factory=dict)

    def read(self, task: Task) -> dict[str, list[Example]]:
        """Return the splits that `splits` or the task names, else those with usual names."""
        hub = HubInputs(self.path, None, {}) if self.path is not None else task.hub
        if hub is None:
            raise DataError(f"task {task.name!r} has no data set of its own: give the source a `path`")
        data_set = _load(hub.path, self.config or hub.config, hub.revision)
        usual = {split: name for name, split in _HUB_SPLITS.items() if name in data_set}
        names = self.splits or hub.splits or usual
        if not names or not data_set.keys() >= set(names.values()):
            expected = ", ".join(names.values()) or "train, validation and test"
            raise DataError(f"{hub.path}: no {expected} in {sorted(data_set)!r:.200}; name them under `splits`")
        tables = {}
        for split, name in names.items():
            rows = arrow_rows(data_set[name].with_format("arrow")[:], f"{hub.path} [{name}]")
            tables[split] = [numbered(rows, split)]
        return read_examples(tables, self.columns, task)


def _load(path: str, config: str | None, revision: str | None) -> Mapping[str, Any]:
    """Return the splits of a data set on the Hub, in a folder, or by `save_to_disk`."""
    import datasets

    try:
        if any((Path(path) / name).is_file() for name in ("dataset_dict.json", "state.json")):
            saved = datasets.load_from_disk(path)
            return {"train": saved} if isinstance(saved, datasets.Dataset) else saved
        return datasets.load_dataset(path, config, revision=revision)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"the data set {path!r} cannot be loaded: {first_line(error)}") from None
