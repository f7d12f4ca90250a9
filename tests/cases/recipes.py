"""The recipes among the shared cases, which have the keys of before the data settings were renamed."""

from pathlib import Path

import yaml

from limbeck.runs import Recipe

_RENAMED = {"train": "train_file", "valid": "valid_file", "test": "test_file"}


def case_recipe(path: Path) -> Recipe:
    """Return the recipe in a shared file."""
    values = yaml.safe_load(path.read_text())
    source = values["data"]["source"]
    if source["kind"] == "files":
        values["data"]["source"] = {_RENAMED.get(key, key): value for key, value in source.items()}
    return Recipe.parse(values, str(path))
