"""Grids: what cells a file makes, and that they are trained once each, whoever is killed meanwhile."""

import itertools
import json
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from limbeck.errors import LimbeckError
from limbeck.grids import Folders, Grid, cells, run_grid, states
from limbeck.grids.attempt import Job, Outcome, attempt
from limbeck.grids.board import Board
from limbeck.grids.local import LocalEngine
from limbeck.runs import Recipe, open_run, train
from limbeck.runs.run import Run, run_name
from tests.runs.recipes import TINY

ROOT = Path(__file__).parents[2]
TRAINED = {**TINY, "training": {**TINY["training"], "max_steps": 30, "eval_steps": 10}}


def grid(**values) -> Grid:
    return Grid.parse({"name": "test", "recipe": TINY, **values}, "test")


def write(path: Path, values) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def test_cells_are_the_product_of_axes_and_seeds_with_the_first_seed_first():
    sizes = {
        "short": {"student.max_target_length": 8},
        "long": {"student.max_target_length": 16, "training.optim": "sgd"},
    }
    axes = {
        "objective": ["dss", {"name": "mi", "alignment_weight": 0.2}],
        "length": sizes,
        "training.learning_rate": [1e-3, 0.01],
    }
    found = cells(grid(axes=axes, seeds=[5, 3]))
    wanted = []
    for seed, objective, length, rate in itertools.product([5, 3], axes["objective"], sizes, [1e-3, 0.01]):
        student = {**TINY["student"], "max_target_length": 8 if length == "short" else 16}
        training = {**TINY["training"], "learning_rate": rate} | ({"optim": "sgd"} if length == "long" else {})
        shown = "dss" if objective == "dss" else '{"name": "mi", "alignment_weight": 0.2}'
        values = {"objective": shown, "length": length, "training.learning_rate": str(rate)}
        recipe = {**TINY, "student": student, "training": training, "objective": objective, "seed": seed}
        wanted.append((values, Recipe.parse(recipe, "test").resolved()))
    assert [(cell.values, cell.recipe.resolved()) for cell in found] == wanted
    assert [cell.name for cell in found] == [run_name(cell.recipe) for cell in found]


def test_equal_recipes_are_one_cell_and_without_axes_there_is_one_a_seed():
    assert [cell.recipe.seed for cell in cells(grid(seeds=3))] == [1, 2, 3]
    assert [cell.recipe.seed for cell in cells(grid())] == [1]
    same = {"a": {"objective": "dss"}, "b": {"objective.name": "dss"}, "c": {"objective.label_weight": 0.5}}
    assert len(cells(grid(axes={"way": same}))) == 1
    assert TINY["objective"] == "dss"  # untouched
    lengths = {"set": {"student.max_target_length": 9}, "own": {"objective": "mi"}}
    found = cells(grid(axes={"student": [TINY["student"]], "length": lengths}))
    assert [cell.recipe.student.max_target_length for cell in found] == [9, TINY["student"]["max_target_length"]]


def test_a_grid_is_read_with_its_recipe_and_what_is_kept_of_it_reads_back(tmp_path):
    write(tmp_path / "grids" / "recipes" / "tiny.yaml", TINY)
    path = write(
        tmp_path / "grids" / "mine.yaml", {"recipe": "recipes/tiny.yaml", "axes": {"objective": ["dss", "mi"]}}
    )
    plain = Grid.load(path)
    assert (plain.name, plain.recipe) == ("mine", TINY)
    loaded = Grid.load(path, ["seeds=2", "training.max_steps=3", "axes.objective=[kl]"])
    assert [(cell.values, cell.recipe.seed) for cell in cells(loaded)] == [
        ({"objective": "kl"}, 1),
        ({"objective": "kl"}, 2),
    ]
    assert {cell.recipe.training.max_steps for cell in cells(loaded)} == {3}
    Folders(tmp_path / "out").write_grid(loaded)
    back = Grid.load(tmp_path / "out" / "grids" / "mine.yaml")
    assert [cell.name for cell in cells(back)] == [cell.name for cell in cells(loaded)]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"axes": {"objective": []}}, "g.yaml: axes: objective: no values"),
        ({"axes": {"size": {}}}, "g.yaml: axes: size: no values"),
        ({"axes": {"objective": "mi"}}, "axes: objective: a list of values"),
        ({"axes": {"size": {"small": "t5-small"}}}, "axes: size.small: a mapping"),
        ({"axes": ["objective"]}, "axes: a mapping"),
        ({"axes": {"seed": [1, 2]}}, "axes: seed: .*seeds"),
        (
            {"axes": {"size": {"a": {"objective.label_weight": 1.0}}, "objective": ["mi"]}},
            "sets objective.label_weight again.*size",
        ),
        ({"seeds": [1, 2, 1]}, "seeds: 1 more than once"),
        ({"seeds": []}, "seeds: whole numbers"),
        ({"seeds": [True]}, "seeds: whole numbers"),
        ({"seeds": 0}, "seeds: a number from 1"),
        ({"seeds": 10**9}, "seeds: a number from 1"),
        ({"axis": {}}, "unknown field 'axis': did you mean 'axes'"),
        ({"name": "../up"}, "g.yaml: name"),
        ({"recipe": "none.yaml"}, "none.yaml: no such file"),
        ({"recipe": "list.yaml"}, "list.yaml: a mapping was expected"),
        ({"recipe": 3}, "g.yaml: recipe"),
        ({"seeds": [2**40]}, "g.yaml: recipe: seed"),
        ({"axes": {"objective": ["mi", "mii"]}}, "g.yaml: cell objective=mii: objective.*did you mean 'mi'"),
        ({"axes": {"trainig.max_steps": [1]}}, "cell trainig.max_steps=1: .*did you mean 'training'"),
        ({"axes": {"seed.a": [1]}}, "cell seed.a=1: 'seed' is no mapping"),
        ({"axes": {"a..b": [1]}}, "cell a..b=1: a key"),
        ({"axes": {"student.max_target_length": [*range(101)]}, "seeds": 100}, "10100 cells"),
        ({"axes": {"m": {"x": {"objective": "dss"}, "y": {"training": {"max_step": 3}}}}}, "cell m=y: .*max_step"),
    ],
)  # fmt: skip
def test_a_grid_that_is_none_is_one_line_that_names_file_cell_and_field(values, words, tmp_path):
    write(tmp_path / "list.yaml", ["a"])
    path = write(tmp_path / "g.yaml", {"recipe": TINY, **values})
    with pytest.raises(LimbeckError, match=words) as caught:
        cells(Grid.load(path))
    assert "\n" not in str(caught.value)


def test_a_change_that_an_axis_would_undo_is_refused(tmp_path):
    axes = {"objective": ["mi"], "size": {"small": {"student.max_target_length": 4}}}
    path = write(tmp_path / "g.yaml", {"recipe": TINY, "axes": axes})
    for change in ("objective=dss", "objective.label_weight=0.3", "recipe.student.max_target_length=3", "seed=4"):
        with pytest.raises(LimbeckError, match=rf"^-s {change}: .* sets it"):
            Grid.load(path, [change])
    with pytest.raises(LimbeckError, match="key=value"):
        Grid.load(path, ["seeds"])
    with pytest.raises(LimbeckError, match=r"g.yaml -s seeds: seeds"):
        Grid.load(path, ["seeds=no"])
    assert Grid.load(path, ["student.max_source_length=9"]).recipe["student"]["max_source_length"] == 9


def test_an_earlier_grid_of_the_same_name_is_kept_beside_the_last(tmp_path):
    folders = Folders(tmp_path)

    def kept():
        return {path.name: Grid.load(path).seeds for path in folders.grids.glob("*.yaml")}

    for seeds in (1, 2, 2):
        folders.write_grid(grid(seeds=seeds))
    assert sorted(kept().values()) == [[1], [1, 2]]
    assert kept()["test.yaml"] == [1, 2]
    folders.write_grid(grid(seeds=3))
    folders.write_grid(grid(seeds=1))  # the first one again: it is the last now, and no earlier one besides
    assert sorted(kept().values()) == [[1], [1, 2], [1, 2, 3]]
    assert kept()["test.yaml"] == [1]
    assert {Grid.load(path).name for path in folders.grids.glob("*.yaml")} == {"test"}


def test_two_grids_of_one_name_are_refused(tmp_path):
    with pytest.raises(LimbeckError, match="two grids are called 'test'"):
        states([grid(), grid(seeds=2)], tmp_path)


def result(path: Path) -> dict:
    """A run's results and answers, less the times."""
    found = open_run(path).results
    found["training"].pop("seconds")
    found.pop("finished")
    return {**found, "answers": (path / "predictions" / "test.jsonl").read_text()}


def files(path: Path) -> dict[Path, tuple[int, bytes]]:
    return {one: (one.stat().st_mtime_ns, one.read_bytes()) for one in path.rglob("*") if one.is_file()}


def started(path: Path) -> tuple[int, int]:
    """How often a run was begun, by its provenance and by what was said of it."""
    origin = json.loads((path / "provenance.json").read_text())
    said = (path.parent / "logs" / f"{path.name}.log").read_text()
    return 1 + len(origin.get("resumed", [])), said.count(" examples")


AXES = {"objective": ["finetune", "dss"], "data.source.valid_rows": [4, 5]}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What each cell of the grid gives, trained by itself in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return {
        cell.name: result(train(cell.recipe, folder / cell.name).path)
        for cell in cells(grid(recipe=TRAINED, axes=AXES))
    }


class Other:
    """`run_grid` in a process group of its own, this process forked, so that nothing need be imported again."""

    def __init__(self, *arguments) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                run_grid(*arguments, workers=1)
            finally:
                os._exit(1)

    def kill(self) -> None:
        if self.pid:
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


def test_two_processes_share_a_grid_and_one_takes_over_what_the_other_left_when_it_was_killed(undisturbed, tmp_path):
    missing = {"task": "custom", "source": {"kind": "files", "train_file": str(tmp_path / "none.jsonl")}}
    grids = [grid(recipe=TRAINED, axes=AXES), grid(name="bad", recipe={**TRAINED, "data": missing})]
    folders = Folders(tmp_path / "out")
    theirs: dict[str, dict] = {}  # what the other has finished, as it was when it was killed
    torn = []

    def watch(found):
        """At the first call wait until the other has finished a cell and is at the next one; then kill it."""
        others = [state.cell.name for state in found if state.status != "running"]
        deadline = time.monotonic() + 300
        while other.pid and time.monotonic() < deadline:
            done = [name for name in others if folders.settled(name) == "finished"]
            if done and any((folders.step(name) or 0) > 10 for name in others if name not in done):
                other.kill()
                theirs.update({name: files(folders.run(name)) for name in others if folders.settled(name)})
                torn.extend(name for name in others if name not in theirs and folders.step(name))
            time.sleep(0.02)

    other = Other(grids, tmp_path / "out")
    try:
        found = run_grid(grids, tmp_path / "out", workers=1, watch=watch)
        assert not other.pid, "it ended before it was killed"
    finally:
        other.kill()
    assert theirs
    assert torn
    assert {state.cell.name: result(state.path) for state in found if state.status == "finished"} == undisturbed
    for name in undisturbed:
        assert started(folders.run(name)) == ((2, 2) if name in torn else (1, 1))
    for name, before in theirs.items():
        assert files(folders.run(name)) == before
    [failed] = [state for state in found if state.status == "failed"]
    assert "none.jsonl" in failed.error
    assert "LimbeckError" in json.loads(folders.failure(failed.cell.name).read_text())["traceback"]
    before = files(tmp_path / "out")
    again = run_grid(grids, tmp_path / "out", workers=1)
    assert [state.status for state in again] == [state.status for state in found]
    assert files(tmp_path / "out") == before


def test_a_cell_whose_process_dies_is_tried_once_more(tmp_path):
    board = Board(states([grid(seeds=2)], tmp_path), Folders(tmp_path))
    board.folders.grids.mkdir()
    first, second = board.claim(), board.claim()
    assert board.claim() is None
    board.take_in(first.name, Outcome("lost", "it was ended by SIGKILL"))
    assert [state.status for state in board.states] == ["waiting", "running"]
    assert board.claim() == first
    board.take_in(first.name, Outcome("lost", "it was ended by SIGKILL"))
    assert [state.error for state in board.states] == ["it was ended by SIGKILL, 2 times", None]
    assert board.folders.status(first.name) == "failed"
    with board.folders.lock(second.name):
        board.take_in(second.name, Outcome("held"))
        board.look()
        assert [state.status for state in board.states] == ["failed", "elsewhere"]
    board.look()
    assert board.claim() == second
    board.forget_failures()
    assert board.claim() == first
    board.take_in(first.name, Outcome("failed", "said \x1b[2J \ud800 on another machine\nand more"))
    assert board.folders.error(first.name) == "said  [2J   on another machine"


def job(tmp_path, name="cell", **changes) -> Job:
    """A job below `tmp_path/out`, as a grid that was started there gives it."""
    (tmp_path / "out" / "grids").mkdir(parents=True, exist_ok=True)
    recipe = Recipe.parse({**TINY, **changes}, "test").resolved()
    return Job(name, recipe, str(tmp_path / "out"), str(Path.cwd()))


def test_a_process_takes_another_cell_only_where_none_before_can_have_harmed_it(tmp_path):
    missing = {"task": "custom", "source": {"kind": "files", "train_file": str(tmp_path / "none.jsonl")}}
    mistake = attempt(job(tmp_path, "mistake", data=missing))
    assert (mistake.kind, mistake.spent) == ("failed", False)
    # torch refuses this only when training starts, as it would a GPU that has gone
    late = attempt(job(tmp_path, "late", training={**TINY["training"], "adam_beta1": 2}))
    assert late.error.startswith("training cannot start: ")
    assert late.spent
    marked = attempt(job(tmp_path, "marked", data=missing, training={**TINY["training"], "tf32": False}))
    assert (marked.kind, marked.spent) == ("failed", True)


def test_a_cell_that_a_plain_run_is_at_is_another_processes_and_is_taken_when_that_ends(tmp_path):
    cell = cells(grid())[0]
    folders = Folders(tmp_path / "out")
    asked = job(tmp_path, cell.name, seed=1)
    assert asked.recipe == cell.recipe.resolved()
    seen = []

    def watch(found):
        seen.append(found[0].status)
        if len(seen) == 3:
            plain.close()

    with ExitStack() as plain:
        plain.enter_context(Run(folders.run(cell.name), cell.recipe).locked())
        assert attempt(asked).kind == "held"  # it had begun between the look at the cell and the attempt
        assert not folders.failure(cell.name).exists()
        assert [state.status for state in states([grid()], tmp_path / "out")] == ["elsewhere"]
        (found,) = run_grid([grid()], tmp_path / "out", watch=watch)
    assert seen[:3] == ["elsewhere"] * 3
    assert found.status == "finished"


def test_processes_that_cannot_start_are_an_error_and_no_endless_loop(tmp_path, monkeypatch):
    (tmp_path / "limbeck").mkdir()
    (tmp_path / "limbeck" / "__init__.py").write_text("raise ImportError('a broken installation')")
    monkeypatch.syspath_prepend(tmp_path)
    log = tmp_path / "logs" / "workers.log"
    board = Board(states([grid()], tmp_path / "out"), Folders(tmp_path / "out"))
    engine = LocalEngine(1, log)
    engine.start(board.claim())
    with pytest.raises(LimbeckError, match=rf"ended with code 1 before it had started; see {log}"):
        for _ in range(3):
            assert engine.ended(60) == []
    engine.close()
    assert log.read_text().count("\nImportError: a broken installation") == 2


def test_processes_share_gpus_and_cores(tmp_path, monkeypatch):
    if not Path("/proc/self/environ").exists():
        pytest.skip("the environment of a process cannot be read here")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert LocalEngine(None, tmp_path / "log").slots == 2
    board = Board(states([grid(seeds=3)], tmp_path), Folders(tmp_path))
    engine = LocalEngine(3, tmp_path / "log")
    for _ in range(3):
        engine.start(board.claim())
    environments = [
        dict(one.split("=", 1) for one in Path(f"/proc/{child}/environ").read_text().split("\0") if one)
        for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    ]
    engine.close()
    assert [one["CUDA_VISIBLE_DEVICES"] for one in environments] == ["3", "5", "3"]
    assert {one["OMP_NUM_THREADS"] for one in environments} == {str(max(1, len(os.sched_getaffinity(0)) // 3))}


def test_on_ray_the_same_grid_gives_the_same_results(undisturbed, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="limbeck[ray] is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    most = []

    def watch(found):
        most.append(sum(state.status == "running" for state in found))

    few = grid(recipe=TRAINED, axes={"objective": AXES["objective"]})
    found = run_grid([few], tmp_path / "out", workers=2, engine="ray", watch=watch)
    assert max(most) == len(found) == 2
    assert undisturbed.items() >= {state.cell.name: result(state.path) for state in found}.items()
    assert {started(state.path) for state in found} == {(1, 1)}
