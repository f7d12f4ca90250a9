"""Grid files: the cells that they make, and mistakes in them."""

import itertools
from pathlib import Path

import pytest
import yaml

from limbeck.errors import LimbeckError, RecipeError
from limbeck.grids import Grid, GridFolder, cells, states
from limbeck.runs import Recipe
from limbeck.runs.run import run_name
from tests.runs.recipes import TINY


def grid(**values) -> Grid:
    return Grid.parse({"name": "test", "recipe": TINY, **values}, "test")


def write(path: Path, values) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


NO_FILE = {"kind": "files", "train_file": "none.jsonl"}


def test_cells_are_the_product_of_axes_and_seeds_with_the_first_seed_first():
    long = {"student.max_target_length": 16, "training.optim": "sgd"}
    sizes = {"short": {"student.max_target_length": 8}, "long": long}
    objectives = ["dss", {"name": "mi", "alignment_weight": 0.2}]
    axes = {"objective": objectives, "length": sizes, "training.learning_rate": [1e-3, 0.01]}
    grid_cells = cells(grid(axes=axes, seeds=[5, 3]))
    expected = []
    for seed, objective, length, rate in itertools.product([5, 3], objectives, sizes, [1e-3, 0.01]):
        student = {**TINY["student"], "max_target_length": 8 if length == "short" else 16}
        training = {**TINY["training"], "learning_rate": rate} | ({"optim": "sgd"} if length == "long" else {})
        label = "dss" if objective == "dss" else '{"name": "mi", "alignment_weight": 0.2}'
        values = {"objective": label, "length": length, "training.learning_rate": str(rate)}
        recipe = {**TINY, "student": student, "training": training, "objective": objective, "seed": seed}
        expected.append((values, Recipe.parse(recipe, "test").resolved()))
    assert [(cell.values, cell.recipe.resolved()) for cell in grid_cells] == expected
    assert [cell.name for cell in grid_cells] == [run_name(cell.recipe) for cell in grid_cells]


def test_equal_recipes_are_one_cell_and_later_axes_change_earlier_ones():
    assert [cell.recipe.seed for cell in cells(grid(seeds=3))] == [1, 2, 3]
    same = {"a": {"objective": "dss"}, "b": {"objective.name": "dss"}, "c": {"objective.label_weight": 0.5}}
    assert len(cells(grid(axes={"way": same}))) == 1
    assert TINY["objective"] == "dss"  # untouched
    sizes = {4: {"student.max_target_length": 4}, 0.5: {"student.max_target_length": 8}}
    assert [cell.values for cell in cells(grid(axes={"size": sizes}))] == [{"size": "4"}, {"size": "0.5"}]
    lengths = {"set": {"student.max_target_length": 9}, "own": {"objective": "mi"}}
    grid_cells = cells(grid(axes={"student": [TINY["student"]], "length": lengths}))
    assert [cell.recipe.student.max_target_length for cell in grid_cells] == [9, TINY["student"]["max_target_length"]]


def test_a_grid_is_read_with_its_recipe_and_its_copy_reads_back(tmp_path):
    write(tmp_path / "grids" / "recipes" / "tiny.yaml", TINY)
    values = {"recipe": "recipes/tiny.yaml", "axes": {"objective": ["dss", "mi"]}}
    path = write(tmp_path / "grids" / "mine.yaml", values)
    plain = Grid.load(path)
    assert (plain.name, plain.recipe) == ("mine", TINY)
    loaded = cells(Grid.load(path, ["seeds=2", "training.max_steps=3", "axes.objective=[kl]"]))
    assert [(cell.values, cell.recipe.seed) for cell in loaded] == [({"objective": "kl"}, seed) for seed in (1, 2)]
    assert {cell.recipe.training.max_steps for cell in loaded} == {3}
    GridFolder(tmp_path / "out").write_grid(plain)
    assert cells(Grid.load(tmp_path / "out" / "grids" / "mine.yaml")) == cells(plain)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"axes": {"objective": 3}}, "g.yaml: axes.objective: a list of values .*, not 3$"),
        ({"axes": {"size": {"small": "t5-small"}}}, "axes.size: a list of values .* variants by name"),
        ({"axes": {"seed": [1, 2]}}, "seeds: .*seed"),
        ({"seeds": [True]}, "seeds"),
        ({"seeds": 10**9}, "seeds: "),
        ({"name": "../up"}, "g.yaml: name"),
        ({"recipe": "none.yaml"}, "none.yaml: no such file"),
        ({"recipe": "list.yaml"}, "list.yaml: a mapping"),
        ({"axes": {"objective": ["mi", "mii"]}}, "g.yaml: cell objective=mii: objective"),
        ({"axes": {"trainig.max_steps": [1]}}, "cell trainig.max_steps=1: .*did you mean 'training'"),
        ({"axes": {"a..b": [1]}}, "cell a..b=1: "),
        ({"axes": {"student.max_target_length": [*range(101)]}, "seeds": 100}, "10100 cells"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_grid_names_file_cell_and_field(values, words, tmp_path):
    write(tmp_path / "list.yaml", ["a"])
    path = write(tmp_path / "g.yaml", {"recipe": TINY, **values})
    with pytest.raises(LimbeckError, match=words):
        cells(Grid.load(path))


def test_a_grid_of_python_is_checked_like_a_file():
    overlapping = {"size": {"a": {"objective.label_weight": 1.0}}, "objective": ["mi"]}
    with pytest.raises(RecipeError, match="grid python: objective: would overwrite"):
        cells(Grid(name="python", recipe=TINY, axes=overlapping))


def test_many_cells_of_a_long_recipe_are_refused():
    recipe = {**TINY, "data": {"task": "custom", "choices": [str(n) for n in range(1000)], "source": NO_FILE}}
    assert len(cells(Grid(name="g", recipe=recipe, seeds=[*range(10)]))) == 10
    with pytest.raises(RecipeError):
        cells(Grid(name="g", recipe=recipe, seeds=[*range(10_000)]))


def test_a_change_that_an_axis_would_undo_is_refused(tmp_path):
    axes = {"objective": ["mi"], "size": {"small": {"student.max_target_length": 4}}}
    path = write(tmp_path / "g.yaml", {"recipe": TINY, "axes": axes})
    setters = {"objective=dss": "objective", "objective.label_weight=0.3": "objective", "seed=4": "seeds"}
    for change, axis in (setters | {"recipe.student.max_target_length=3": "size"}).items():
        with pytest.raises(RecipeError) as caught:
            Grid.load(path, [change])
        assert (caught.value.path, caught.value.field) == (path, axis)
    assert Grid.load(path, ["student.max_source_length=9"]).recipe["student"]["max_source_length"] == 9


def test_two_grids_of_one_name_are_refused(tmp_path):
    with pytest.raises(LimbeckError, match="two grids are called 'test'"):
        states([grid(), grid(seeds=2)], tmp_path)
    assert states([], tmp_path) == []
