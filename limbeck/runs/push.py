"""A finished run as a model with its card: its files, into a folder or onto the Hugging Face Hub."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from limbeck.errors import LimbeckError
from limbeck.files import json_text, read_json, replacing
from limbeck.hub import Files, could_be_name, no_name, upload
from limbeck.runs.card import model_card
from limbeck.runs.card_results import provenance
from limbeck.runs.portable import portable
from limbeck.runs.run import Run, open_run

# What `save_pretrained` writes. Whatever else lies in the folder is nobody's to publish.
_MODEL_FILES = ("*.safetensors", "*.json", "*.model", "vocab.txt", "merges.txt", "*.jinja")
_CONFIGS = ("config.json", "tokenizer_config.json")
_LOCAL = ("is_local", "local_files_only", "_commit_hash")  # how a tokenizer was found on this machine


def contents(path: Path, name: str | None = None, license: str | None = None) -> dict[str, bytes | Path]:
    """What a finished run gives away: each file's name there, and its content, or the file here that has it.

    Model and tokenizer with limbeck.json; README.md, the card; recipe.yaml, results.json and provenance.json, without
    the command line and without this machine's paths. No predictions, no data, no checkpoints, no log.

    Args:
        path: the run's folder.
        name: OWNER/NAME on the Hub; None: for a folder.
        license: as `model_card`.

    Raises:
        LimbeckError: no finished run there, its model is not whole, or a name or a licence that can be none.
    """
    if name is not None and ("/" not in name or not could_be_name(name)):
        raise no_name(name, "model")
    run = open_run(path)
    results = run.results
    card = model_card(run, name, license)
    origin = {field: value for field, value in provenance(run).items() if field != "command"}
    return {
        **_model(run),
        "README.md": card.encode(),
        "recipe.yaml": yaml.safe_dump(portable(run.recipe.resolved()), sort_keys=False, allow_unicode=True).encode(),
        "results.json": json_text(portable(results)).encode(),
        "provenance.json": json_text(portable(origin)).encode(),
    }


def write(files: Files, folder: Path) -> None:
    """Write `contents` to the new `folder`, whole or not at all.

    Raises:
        LimbeckError: something of this name is there, or the file system refuses.
    """
    with replacing(folder) as temporary:
        if folder.exists() or folder.is_symlink():
            raise LimbeckError(f"{folder}: already there; give another --folder")
        temporary.mkdir()
        for name, content in files.items():
            if isinstance(content, bytes):
                (temporary / name).write_bytes(content)
            else:
                shutil.copyfile(content, temporary / name)


def push(files: Files, name: str, private: bool = True) -> str:
    """Upload `contents` as the new model `name` (OWNER/NAME) in one commit; returns its URL. See `upload`.

    Raises:
        LimbeckError: a model of that name has files already, the Hub refuses, or it cannot be reached.
    """
    return upload(files, name, "model", "A student from limbeck", private, fresh=True)


def _model(run: Run) -> dict[str, bytes | Path]:
    found = {path.name: path for pattern in _MODEL_FILES for path in sorted(run.model.glob(pattern)) if path.is_file()}
    if missing := [name for name in _CONFIGS if name not in found]:
        raise LimbeckError(f"{run.model}: {missing[0]} is missing; the model is not whole")
    cleaned = {name: json_text(_portable_config(read_json(found[name]))).encode() for name in _CONFIGS}
    return {**found, **cleaned}


def _portable_config(value: Any) -> Any:
    """A model's or tokenizer's configuration without the folders that it was loaded from, also in its parts."""
    if not isinstance(value, dict):
        return value
    return {
        name: portable(one) if name.endswith(("name_or_path", "_file")) else _portable_config(one)
        for name, one in value.items()
        if name not in _LOCAL
    }
