"""YAML: plain values alone, and none that is larger than it looks."""

import json
import time
from pathlib import Path

import pytest
import yaml

from limbeck.errors import RecipeError
from limbeck.grids import Grid
from limbeck.runs import load_recipe, open_run
from limbeck.settings import yaml_value

LEVELS = "bcdefghi"


def bomb(begin: str, level: str) -> str:
    """A text in which each level holds the one before nine times."""
    before = "a" + LEVELS
    lines = (f"{name}: &{name} {level % ','.join([f'*{before[i]}'] * 9)}" for i, name in enumerate(LEVELS))
    return "\n".join([f"a: &a {begin}", *lines])


HOSTILE = {
    "aliases": bomb("[x, x]", "[%s]"),
    "merge keys": bomb("{k: 1, l: 2}", "{<<: [%s]}"),
    "aliases as keys": bomb("[x, x]", "{? [%s] : 1}"),
    "cycle": "a: &a [1, *a]",
    "merged cycle": "a: &a {<<: *a}",
    "deep": "a: " + "[" * 5000,
    "deep and whole": "a: " + "[" * 60 + "]" * 60,
    "hexadecimal": "a: 0x" + "f" * 4300,
    "decimal": "a: " + "9" * 5000,
    "large": "a: " + "x" * 2_000_000,
    "many": "a: [" + "1," * 124_000 + "]",
    "object": "a: !!python/object/apply:os.system [ls]",
    "set": "a: !!set {x}",
    "bytes": "a: !!binary aGk=",
    "date": "a: !!timestamp 2020-01-01",
    "key": "? [1, 2]\n: 3",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_hostile_is_one_line_wherever_yaml_is_read(text, tmp_path):
    begun = time.process_time()
    with pytest.raises(RecipeError) as refused:
        yaml_value(text, "recipe.yaml")
    assert time.process_time() - begun < 20 and len(str(refused.value)) < 200 and "\n" not in str(refused.value)
    assert refused.value.path == Path("recipe.yaml")
    (tmp_path / "recipe.yaml").write_text(text)
    for read in (load_recipe, Grid.load, lambda path: open_run(path.parent)):
        with pytest.raises(RecipeError):
            read(tmp_path / "recipe.yaml")


def test_plain_values_are_those_of_pyyaml_and_dates_are_text():
    text = "a: &x {b: 1, c: [1.5, null, true, 0x1F, text]}\nd: {<<: *x, e: 2}\nf: [*x, *x]\n"
    assert yaml_value(text, "") == yaml.safe_load(text)
    assert yaml_value("a: 2020-02-30\nb: 2020-01-01", "") == {"a": "2020-02-30", "b": "2020-01-01"}
    for path in Path(__file__).parents[1].glob("**/*.yaml"):
        if ".venv" not in path.parts and not path.is_symlink() and path.stat().st_size < 250_000:
            content = path.read_text()
            assert json.dumps(yaml_value(content, "")) == json.dumps(yaml.safe_load(content))
