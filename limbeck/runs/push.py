"""A finished run as a model with its card: its files, into a folder or onto the Hugging Face Hub."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from limbeck.errors import FileError, ModelError, RecipeError
from limbeck.files import json_text, read_json, replacing
from limbeck.hub import Files, could_be_name
from limbeck.runs.card import model_card
from limbeck.runs.provenance import portable
from limbeck.runs.run import open_run

# what `save_pretrained` writes; anything else in the folder is not published
_MODEL_FILES = ("*.safetensors", "*.json", "*.model", "vocab.txt", "merges.txt", "*.jinja")
_CONFIGS = ("config.json", "tokenizer_config.json")
_LOCAL_FIELDS = ("is_local", "local_files_only", "_commit_hash")  # where this machine had a tokenizer from


def contents(path: Path, name: str | None = None, license: str | None = None) -> dict[str, bytes | Path]:
    """Return the files to publish of a finished run: each name, and its content or the local file that has it.

    They are model and tokenizer with limbeck.json; README.md, the card; recipe.yaml, results.json and provenance.json,
    without the command line and this machine's paths. No predictions, no data, no checkpoints, no log.

    Args:
        path: the run's folder.
        name: OWNER/NAME on the Hub; None: for a folder.
        license: as in `model_card`.
    """
    if name is not None and ("/" not in name or not could_be_name(name)):
        raise RecipeError(
            f"{name!r:.200} is no name on the Hub: OWNER/NAME of letters, digits, -, _ and . was expected"
        )
    run = open_run(path)
    results, origin = run.results, run.provenance
    model = {path.name: path for pattern in _MODEL_FILES for path in sorted(run.model.glob(pattern)) if path.is_file()}
    if missing := [name for name in _CONFIGS if name not in model]:
        raise ModelError(f"{missing[0]} is missing; the model is incomplete", path=run.model)
    origin = {field: value for field, value in origin.items() if field != "command"}
    return {
        **model,
        **{name: json_text(_portable_config(read_json(run.model / name))).encode() for name in _CONFIGS},
        "README.md": model_card(run, name, license).encode(),
        "recipe.yaml": yaml.safe_dump(portable(run.recipe.resolved()), sort_keys=False, allow_unicode=True).encode(),
        "results.json": json_text(portable(results)).encode(),
        "provenance.json": json_text(portable(origin)).encode(),
    }


def write(files: Files, folder: Path) -> None:
    """Write `contents` to the new `folder`, whole or not at all."""
    with replacing(folder) as temporary:
        if folder.exists() or folder.is_symlink():
            raise FileError("already there; give another --folder", path=folder)
        temporary.mkdir()
        for name, content in files.items():
            if isinstance(content, bytes):
                (temporary / name).write_bytes(content)
            else:
                shutil.copyfile(content, temporary / name)


def _portable_config(value: Any) -> Any:
    """Return a model's or tokenizer's configuration without the folders that it was loaded from, at any depth."""
    if not isinstance(value, dict):
        return value
    return {
        name: portable(item) if name.endswith(("name_or_path", "_file")) else _portable_config(item)
        for name, item in value.items()
        if name not in _LOCAL_FIELDS
    }
