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
    """Return the files to publish of the finished run in `path`: each name, and its content or the local file.

    They are model and tokenizer with limbeck.json; README.md, the card (`name` and `license` as in `model_card`);
    recipe, results and provenance, without the command line and this machine's paths. No predictions, no data, no log.
    """
    if name is not None and ("/" not in name or not could_be_name(name)):
        raise RecipeError(f"{name!r:.200}: OWNER/NAME was expected, a name on the Hub")
    run = open_run(path)
    model = {file.name: file for pattern in _MODEL_FILES for file in sorted(run.model.glob(pattern))}
    if missing := [config for config in _CONFIGS if config not in model]:
        raise ModelError(f"{missing[0]} is missing; the model is incomplete", path=run.model)
    origin = {field: value for field, value in run.provenance.items() if field != "command"}
    recipe = yaml.safe_dump(portable(run.recipe.resolved()), sort_keys=False, allow_unicode=True)
    texts = {config: json_text(_portable_config(read_json(run.model / config))) for config in _CONFIGS}
    texts |= {"README.md": model_card(run, name, license), "recipe.yaml": recipe}
    texts |= {"results.json": json_text(portable(run.results)), "provenance.json": json_text(portable(origin))}
    return {**model, **{file: text.encode() for file, text in texts.items()}}


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
