"""Tokenised training sets on disk, each under a key made of everything that decides its ids.

A folder below `tokens/` of the cache holds four arrays that are mapped into memory, and the notes. It may be deleted
at any time.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import transformers
from transformers import PreTrainedTokenizerBase

from limbeck.data import View, source, target
from limbeck.errors import LimbeckError
from limbeck.files import read_json, replacing, sha256, write_json
from limbeck.models import Student
from limbeck.models.codec import end_ids
from limbeck.schema import Example
from limbeck.training.dataset import TrainingSet
from limbeck.training.tokens import TokenTable

log = logging.getLogger(__name__)

_NAMES = ("sources", "targets")
_VERSION = 2  # of the files, and of what tokenising does beside the tokenizer
_BLOCK = 20_000  # examples that are hashed as one text


def place(examples: Sequence[Example], views: Sequence[View], student: Student) -> Path:
    """The folder of these examples' ids: below `$LIMBECK_CACHE`, else `limbeck` in the user's cache folder.

    Raises:
        LimbeckError: the user has no home folder, and neither variable is set.
    """
    given, caches = (os.environ.get(name) for name in ("LIMBECK_CACHE", "XDG_CACHE_HOME"))
    try:
        folder = Path(given).expanduser() if given else Path(caches or Path.home() / ".cache") / "limbeck"
    except RuntimeError:
        raise LimbeckError("there is no home folder to keep token ids in: set LIMBECK_CACHE to a folder") from None
    return folder / "tokens" / _key(examples, views, student)


def read(path: Path, views: Sequence[View], vocabulary: int) -> TrainingSet | None:
    """The training set in the folder, its arrays mapped; None where there is none. A damaged one is removed.

    `vocabulary`: what ids stay below.
    """
    if not path.is_dir():
        return None
    try:
        sources, targets = (_table(path, name, vocabulary) for name in _NAMES)
        notes = read_json(path / "notes.json")
        if len(sources) != len(targets) or len(sources) % len(views):
            raise ValueError("sources and targets do not fit together")
        if not isinstance(notes, dict) or not all(isinstance(count, int) for count in notes.values()):
            raise ValueError("its notes are not counts")
    except PermissionError as error:
        log.warning("%s: not read, texts are tokenised again (%s)", path, error)
        return None
    except (OSError, EOFError, ValueError, LimbeckError) as error:
        log.warning("%s: a damaged cache, made anew (%s)", path, error)
        shutil.rmtree(path, ignore_errors=True)
        return None
    return TrainingSet(tuple(views), sources, targets, notes)


def write(path: Path, training_set: TrainingSet) -> None:
    """Keep a training set; where that cannot be, a warning says so."""
    try:
        with replacing(path) as temporary:
            temporary.mkdir()
            for name, table in zip(_NAMES, (training_set.sources, training_set.targets), strict=True):
                np.save(temporary / f"{name}.ids.npy", table.ids)
                np.save(temporary / f"{name}.offsets.npy", table.offsets)
            write_json(temporary / "notes.json", training_set.notes)
    except LimbeckError as error:
        if getattr(error.__cause__, "errno", None) not in (errno.ENOTEMPTY, errno.EEXIST):  # another process was faster
            log.warning("token ids are not kept for the next start: %s", error)


def _table(path: Path, name: str, vocabulary: int) -> TokenTable:
    """A table of mapped arrays. Raises OSError or ValueError where they are damaged."""
    files = (path / f"{name}.ids.npy", path / f"{name}.offsets.npy")
    ids, offsets = (np.asarray(np.load(file, mmap_mode="r", allow_pickle=False)) for file in files)
    kinds = ids.dtype == np.int32 and offsets.dtype == np.int64 and ids.ndim == offsets.ndim == 1
    if not kinds or len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(ids) or (np.diff(offsets) < 0).any():
        raise ValueError(f"{name}: ids and offsets do not fit together")
    if len(ids) and not (ids.min() >= 0 and ids.max() < vocabulary):
        raise ValueError(f"{name}: ids that the student does not have")
    return TokenTable(ids, offsets)


def _key(examples: Sequence[Example], views: Sequence[View], student: Student) -> str:
    """The SHA-256, in hexadecimal, of the texts and of all that makes ids of them."""
    probe = Example("", ("first", "second"), "label", "rationale", choices=("one", "two"), own_choices=True)
    settings = {
        "versions": [_VERSION, tokenizers.__version__, transformers.__version__],
        "views": [(view, source(probe, view).text("\0"), target(probe, view)) for view in views],
        "limits": [student.max_source_length, student.max_target_length],
        "start": student.model.config.decoder_start_token_id,
        "ends": [student.codec.end, *end_ids(student.model.config)],
        "tokenizer": _state(student.tokenizer),
    }
    hashed = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for start in range(0, len(examples), _BLOCK):
        _hash(hashed, examples[start : start + _BLOCK])
    return hashed.hexdigest()


def _hash(hashed: Any, examples: Sequence[Example]) -> None:
    """Add all texts, and before them their lengths, so that no two lists of texts give the same bytes."""
    segments = [segment for example in examples for segment in example.segments]
    labels = [example.label for example in examples]
    rationales = [example.rationale for example in examples]
    choices = [example.choices_text for example in examples]
    lengths = [len(examples), *(len(example.segments) for example in examples), *map(len, segments), *map(len, labels)]
    lengths += [-1 if rationale is None else len(rationale) for rationale in rationales]
    lengths += map(len, choices)
    hashed.update(np.array(lengths, np.int64).tobytes())
    text = "".join([*segments, *labels, *(rationale or "" for rationale in rationales), *choices])
    hashed.update(text.encode("utf-8", "surrogatepass"))


def _state(tokenizer: PreTrainedTokenizerBase) -> Any:
    """All that decides what a tokenizer makes of a text; not what its last call was asked for."""
    if tokenizer.is_fast:
        values = json.loads(tokenizer.backend_tokenizer.to_str())
        values = {name: value for name, value in values.items() if name not in ("truncation", "padding")}
        return [type(tokenizer).__name__, tokenizer.truncation_side, tokenizer.split_special_tokens, values]
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return [type(tokenizer).__name__, *((path.name, sha256(path)) for path in files)]
