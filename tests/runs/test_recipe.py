"""Recipes: changes from the command line, resolved forms, and one line with file and field for a mistake."""

import json
from pathlib import Path

import pytest
import yaml

from limbeck.errors import RecipeError
from limbeck.runs import Recipe, load_recipe
from tests.runs.recipes import TINY, tiny


@pytest.fixture
def path(tmp_path):
    """A recipe of a student that learns no rationales."""
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**TINY, "objective": "finetune"}))
    return tmp_path / "recipe.yaml"


def test_changes_reach_their_fields_also_below_a_bare_name(path):
    recipe = load_recipe(path, ["objective=kl", "objective.alignment_weight=0.25", "training.learning_rate=5e-4"])
    assert (recipe.objective.name, recipe.objective.alignment_weight) == ("kl", 0.25)
    assert recipe.training.learning_rate == 5e-4


def test_the_resolved_form_is_plain_and_reads_back_to_the_same_run():
    recipe = tiny()
    resolved = recipe.resolved()
    assert resolved["objective"] == {"name": "dss", "label_weight": 0.5, "rationale_weight": 0.5}
    again = Recipe.parse(yaml.safe_load(yaml.safe_dump(json.loads(json.dumps(resolved)))), "test")
    assert (again.resolved(), again.key) == (resolved, recipe.key)
    assert tiny(seed=8).key != recipe.key
    assert resolved["evaluation"].keys().isdisjoint({"votes", "temperature"})  # or older runs would be of other recipes
    voting = tiny(evaluation={"votes": 8, "temperature": 0.7})
    assert voting.key not in (recipe.key, tiny(evaluation={"votes": 8, "temperature": 0.6}).key)


def test_the_shipped_recipes_are_valid():
    for path in (*Path("recipes").glob("*.yaml"), Path("limbeck/runs/quickstart.yaml")):
        load_recipe(path)


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ("objectiv=mi", "objectiv", "did you mean 'objective'"),
        ("objective=mj", "objective", "did you mean 'mi'"),
        ("training.learning_rate=fast", "training.learning_rate", ""),
        ("seed=-1", "seed", ""),
        ("seed=[1", None, "not YAML"),
        ("seed", None, "key=value"),
        ("student.name=t5-small", "student", "exactly one"),
        ("evaluation={rationales: true}", None, "learns no rationales"),
        ("evaluation={votes: 8}", "evaluation.temperature", "votes"),
        ("evaluation={temperature: 0.7}", "evaluation.temperature", "votes"),
        ("evaluation={votes: 8, temperature: 0}", "evaluation.temperature", ""),
        ("evaluation={votes: -1, temperature: 0.7}", "evaluation.votes", ""),
        ("evaluation={votes: 8, temperature: 0.7, answers: choices}", "evaluation.votes", "generate"),
        ("evaluation={votes: 8, temperature: 0.7, engine: ctranslate2}", "evaluation.votes", "transformers"),
        ("evaluation={votes: 8, temperature: 0.7, confidence: choices}", "evaluation.confidence", "votes"),
        ("evaluation.confidence=votes", "evaluation.confidence", "votes"),
    ],
)
def test_a_wrong_change_is_one_line_with_its_field(change, field, words, path):
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, [change])
    assert words in str(caught.value)
    assert len(str(caught.value)) < 700
    assert str(caught.value.field).startswith(str(field))


@pytest.mark.parametrize("text", ["data: [", "just words", "", "data: !!python/object/apply:os.system [x]", "\x00"])
def test_a_file_that_is_no_recipe_is_a_recipe_error(text, path):
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data.choices", [str(number) for number in range(1001)]),
        ("evaluation.out_of_domain", ["svamp"] * 101),
        ("student.max_target_length", 40_000),
        ("student.scratch.num_layers", 100_000),
        ("student.lora.target_modules", ["q"] * 1001),
        ("training.report_to", ["none"] * 21),
        ("training.dataloader_num_workers", 100_000),
        ("training.lr_scheduler_kwargs", {"num_cycles": {"a": 1}}),
        ("training.gradient_checkpointing_kwargs", {"use_reentrant": [False]}),
        ("training.fsdp_config", {"layers": [{"a": 1}]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_large_or_free_has_limits(path, field, value):
    data = ["data.task=custom", "data.source={kind: files, train_file: x.jsonl}"] if field == "data.choices" else []
    with pytest.raises(RecipeError) as error:
        load_recipe(path, [*data, f"{field}={json.dumps(value)}"])
    assert error.value.field.startswith(field) and len(str(error.value)) < 1500
