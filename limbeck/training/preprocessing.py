"""From examples to a training set: every text is tokenized once, in blocks, and the ids are kept in a cache on disk.

A folder below `tokens/` of the cache is named after everything that decides the ids. It holds four arrays, which are
mapped into memory, and the notes, and may be deleted at any time.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import transformers
from rich.console import Console
from rich.progress import track
from transformers import PreTrainedTokenizerBase

from limbeck.data import Source, View, prefix, source, target
from limbeck.errors import DataError, FileError, LimbeckError
from limbeck.files import read_json, replacing, sha256, write_json
from limbeck.models.student import Student
from limbeck.models.tokenization import end_ids
from limbeck.schema import Example
from limbeck.training.dataset import TokenTable, TrainingSet

log = logging.getLogger(__name__)

_TABLES = ("sources", "targets")
_VERSION = 3  # of the files, and of what is done beside the tokenizer
_BLOCK = 10_000  # examples that are lists of Python integers, and one text for the key, at one time
_TASKS = (View.PREDICT, View.EXPLAIN)


def tokenize(examples: Sequence[Example], views: Sequence[View], student: Student) -> TrainingSet:
    """Tokenize `examples` in `views`, or read from the cache what was tokenized before.

    An example without a rationale keeps its other views; it is left out, and counted, where no view of it is left.
    The notes count sources and targets that were cut to the student's limits.

    Raises:
        DataError: no example has what one of the views needs; a limit is too short for a label or for a prefix.
    """
    for view in views:
        length = len(student.codec.sources([Source(prefix(view), ("",))])[0])
        if length >= student.max_source_length:
            raise DataError(
                f"the prefix {prefix(view)!r} alone has {length} tokens, and the student reads "
                f"{student.max_source_length} at most: raise student.max_source_length"
            )
        if not any(target(example, view) for example in examples):
            raise DataError(f"no training example has a rationale, which the {view.value} view of this objective needs")
    training_set = token_ids(examples, views, student)
    if training_set.views == _TASKS:
        return training_set
    usable = [example for example in examples if any(target(example, view) for view in views)]
    return replace(training_set, tasks=token_ids(usable, _TASKS, student))


def token_ids(examples: Sequence[Example], views: Sequence[View], student: Student) -> TrainingSet:
    """Tokenize `examples` in `views`, or read them from the cache; some example has a target."""
    folder = cache_folder(examples, views, student)
    if (training_set := read_cache(folder, views, student.vocabulary)) is not None:
        return training_set
    training_set = _tokenized(examples, tuple(views), student)
    write_cache(folder, training_set)
    # mapped from the files; or another process was faster
    return read_cache(folder, views, student.vocabulary) or training_set


def _tokenized(examples: Sequence[Example], views: tuple[View, ...], student: Student) -> TrainingSet:
    usable = [example for example in examples if any(target(example, view) for view in views)]
    notes = {"without_target": len(examples) - len(usable), "sources_cut": 0, "targets_cut": 0}
    tables: dict[str, list[TokenTable]] = {"sources": [], "targets": []}
    console = Console(stderr=True)
    blocks = [(view, start) for view in views for start in range(0, len(usable), _BLOCK)]
    for view, start in track(blocks, "tokenizing", console=console, disable=not console.is_terminal, transient=True):
        block = usable[start : start + _BLOCK]
        sources = student.source_ids([source(example, view) for example in block])
        targets = student.fitted_target_ids(block, view)
        for name, (ids, cut) in zip(_TABLES, (sources, targets), strict=True):
            tables[name].append(TokenTable.of(ids))
            notes[f"{name}_cut"] += len(cut)
    sources_table, targets_table = (TokenTable.join(tables[name]) for name in _TABLES)
    return TrainingSet(views, sources_table, targets_table, notes)


def cache_folder(examples: Sequence[Example], views: Sequence[View], student: Student) -> Path:
    """Return the folder of these examples' ids: below `$LIMBECK_CACHE`, else `limbeck` in the user's cache folder.

    Raises:
        FileError: the user has no home folder, and neither variable is set.
    """
    cache, caches = (os.environ.get(name) for name in ("LIMBECK_CACHE", "XDG_CACHE_HOME"))
    try:
        folder = Path(cache).expanduser() if cache else Path(caches or Path.home() / ".cache") / "limbeck"
    except RuntimeError:
        raise FileError("there is no home folder to keep token ids in: set LIMBECK_CACHE to a folder") from None
    return folder / "tokens" / _key(examples, views, student)


def read_cache(folder: Path, views: Sequence[View], vocabulary: int) -> TrainingSet | None:
    """Read the training set in a folder, its arrays mapped; None where there is none. A damaged one is removed.

    `vocabulary`: what ids stay below.
    """
    if not folder.is_dir():
        return None
    try:
        sources, targets = (_read_table(folder, name, vocabulary) for name in _TABLES)
        notes = read_json(folder / "notes.json")
        if len(sources) != len(targets) or len(sources) % len(views):
            raise ValueError("sources and targets do not fit together")
        if not isinstance(notes, dict) or not all(isinstance(count, int) for count in notes.values()):
            raise ValueError("its notes are not counts")
    except PermissionError as error:
        log.warning("%s: not read, texts are tokenized again (%s)", folder, error)
        return None
    except (OSError, EOFError, ValueError, LimbeckError) as error:
        log.warning("%s: a damaged cache, made anew (%s)", folder, error)
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return TrainingSet(tuple(views), sources, targets, notes)


def write_cache(folder: Path, training_set: TrainingSet) -> None:
    """Keep a training set; where that cannot be, a warning says so."""
    try:
        with replacing(folder) as temporary:
            temporary.mkdir()
            for name, table in zip(_TABLES, (training_set.sources, training_set.targets), strict=True):
                np.save(temporary / f"{name}.ids.npy", table.ids)
                np.save(temporary / f"{name}.offsets.npy", table.offsets)
            write_json(temporary / "notes.json", training_set.notes)
    except LimbeckError as error:
        if getattr(error.__cause__, "errno", None) not in (errno.ENOTEMPTY, errno.EEXIST):  # another process was faster
            log.warning("token ids are not kept for the next start: %s", error)


def _read_table(folder: Path, name: str, vocabulary: int) -> TokenTable:
    """Map a table's arrays; raise OSError or ValueError where they are damaged."""
    paths = (folder / f"{name}.ids.npy", folder / f"{name}.offsets.npy")
    ids, offsets = (np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)) for path in paths)
    types = ids.dtype == np.int32 and offsets.dtype == np.int64 and ids.ndim == offsets.ndim == 1
    if not types or len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(ids) or (np.diff(offsets) < 0).any():
        raise ValueError(f"{name}: ids and offsets do not fit together")
    if len(ids) and not (ids.min() >= 0 and ids.max() < vocabulary):
        raise ValueError(f"{name}: ids that the student does not have")
    return TokenTable(ids, offsets)


def _key(examples: Sequence[Example], views: Sequence[View], student: Student) -> str:
    """Return the SHA-256, in hexadecimal, of the texts and of all that makes ids of them."""
    probe = Example("", ("first", "second"), "label", "rationale", choices=("one", "two"), own_choices=True)
    settings = {
        "versions": [_VERSION, tokenizers.__version__, transformers.__version__],
        "views": [(view, source(probe, view).text("\0"), target(probe, view)) for view in views],
        "limits": [student.max_source_length, student.max_target_length],
        "start": student.model.config.decoder_start_token_id,
        "ends": [student.codec.end, *end_ids(student.model.config)],
        "tokenizer": _state(student.tokenizer),
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for start in range(0, len(examples), _BLOCK):
        block = examples[start : start + _BLOCK]
        # JSON parts the texts, so that no two lists of texts give the same bytes
        texts = [(e.segments, e.label, e.rationale, e.choices_text) for e in block]
        digest.update(json.dumps(texts).encode())
    return digest.hexdigest()


def _state(tokenizer: PreTrainedTokenizerBase) -> Any:
    """Return all that decides what a tokenizer makes of a text; not what its last call was asked for."""
    if tokenizer.is_fast:
        values = json.loads(tokenizer.backend_tokenizer.to_str())
        values = {name: value for name, value in values.items() if name not in ("truncation", "padding")}
        return [type(tokenizer).__name__, tokenizer.truncation_side, tokenizer.split_special_tokens, values]
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return [type(tokenizer).__name__, *((path.name, sha256(path)) for path in files)]
