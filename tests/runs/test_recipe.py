"""Recipes: changes from the command line, resolved forms, and one clear line for what is wrong."""

import json
from pathlib import Path

import pytest
import yaml

from limbeck.errors import LimbeckError
from limbeck.runs import Recipe, load_recipe
from tests.runs.recipes import TINY

PACKAGED = [*sorted(Path("recipes").glob("*.yaml")), Path("limbeck/runs/quickstart.yaml")]


def written(folder: Path, values: object) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return path


def test_changes_reach_their_fields_also_below_a_bare_name(tmp_path):
    path = written(tmp_path, TINY)
    recipe = load_recipe(
        path, ["objective=kl", "objective.alignment_weight=0.25", "training.learning_rate=5e-4", "seed=9"]
    )
    assert (recipe.objective.name, recipe.objective.alignment_weight, recipe.training.learning_rate, recipe.seed) == (
        "kl",
        0.25,
        5e-4,
        9,
    )


def test_the_resolved_form_is_plain_and_reads_back_to_the_same_run():
    recipe = Recipe.parse(TINY, "test")
    resolved = recipe.resolved()
    assert resolved["objective"] == {"name": "dss", "label_weight": 0.5, "rationale_weight": 0.5}
    again = Recipe.parse(yaml.safe_load(yaml.safe_dump(json.loads(json.dumps(resolved)))), "test")
    assert again.resolved() == resolved
    assert again.key == recipe.key
    assert Recipe.parse({**TINY, "seed": 8}, "test").key != recipe.key


@pytest.mark.parametrize("path", PACKAGED, ids=str)
def test_the_recipes_we_ship_are_valid(path):
    load_recipe(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("objectiv=mi", "did you mean 'objective'"),
        ("data.task=svmap", "did you mean 'svamp'"),
        ("data.tasks=svamp", "did you mean 'task'"),
        ("data.source.knd=archive", "did you mean 'kind'"),
        ("student.scratch.d_modle=3", "did you mean 'd_model'"),
        ("objective=mj", "did you mean 'mi'"),
        ("training.learning_rate=fast", "training.learning_rate"),
        ("seed=-1", "seed"),
        ("seed=[1", "not YAML"),
        ("seed", "key=value"),
        ("=3", "key=value"),
        ("seed.more=3", "'seed' is no mapping"),
        ("student.name=t5-small", "exactly one"),
        ("data.source={kind: archives, root: x}", "kind"),
        ("data.train_fraction=0", "fraction"),
        ("data.labels=gould", "labels"),
        ("data.limit=0", "limit"),
        ("evaluation={rationales: true}", "learns no rationales"),
    ],
)
def test_a_wrong_change_is_one_line_that_names_it(change, words, tmp_path):
    values = {**TINY, "objective": "finetune"}
    with pytest.raises(LimbeckError) as caught:
        load_recipe(written(tmp_path, values), [change])
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert len(message) < 700


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data: [", "recipe.yaml:1: not YAML"),
        ("just words", "a mapping was expected"),
        ("- a\n- b", "a mapping was expected"),
        ("", "a mapping was expected"),
        ("seed: 3", "data: Field required"),
        ("data: 3", "data"),
        ("{" * 3000, "not YAML"),
        ("data: !!python/object/apply:os.system ['touch hacked']", "not YAML"),
        ("data: 2026-99-99", "not YAML"),
        ("\x00", "not YAML"),
    ],
)
def test_a_file_that_is_no_recipe_is_one_line(text, words, tmp_path):
    with pytest.raises(LimbeckError) as caught:
        load_recipe(written(tmp_path, text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_one_that_is_no_text_are_one_line(tmp_path):
    with pytest.raises(LimbeckError, match="no such file"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LimbeckError, match="not UTF-8"):
        load_recipe(tmp_path / "bytes.yaml")
    with pytest.raises(LimbeckError, match="cannot be read"):
        load_recipe(tmp_path)
