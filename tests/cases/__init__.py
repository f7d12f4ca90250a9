"""The shared cases: where they are, and their recipes, with the keys of before the data settings were renamed."""

import os
from pathlib import Path

import pytest
import yaml

from limbeck.runs import Recipe

CASES = Path(os.environ.get("LIMBECK_CASES") or Path(__file__).parents[2].parent / "shared" / "cases")
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason=f"the cases are not at {CASES}; set LIMBECK_CASES")
_RENAMED = {"train": "train_file", "valid": "valid_file", "test": "test_file"}


def case_recipe(path: Path) -> Recipe:
    """Return the recipe in a shared file."""
    values = yaml.safe_load(path.read_text())
    source = values["data"]["source"]
    if source["kind"] == "files":
        values["data"]["source"] = {_RENAMED.get(key, key): value for key, value in source.items()}
    return Recipe.parse(values, str(path))
