"""Grids trained: every cell once, whoever is killed meanwhile."""

import json
import os
import signal
import time
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

import pytest

from limbeck.errors import LimbeckError
from limbeck.grids import GridFolder, cells, run_grid, scheduler, states
from limbeck.grids.scheduler import CellTask, LocalWorkers, train_cell
from limbeck.runs import Recipe, open_run, train
from limbeck.runs.run import Run
from tests.grids.test_grid import grid
from tests.runs.recipes import TINY

ROOT = Path(__file__).parents[2]
TRAINED = {**TINY, "training": {**TINY["training"], "max_steps": 30, "eval_steps": 10}}
AXES = {"objective": ["finetune", "dss"]}
NO_DATA = {"task": "custom", "source": {"kind": "files", "train_file": "none.jsonl"}}


def result(path: Path) -> dict:
    """Return a run's results and answers, without the times."""
    results = open_run(path).results
    results["training"].pop("seconds")
    results.pop("finished")
    return {**results, "answers": (path / "predictions" / "test.jsonl").read_text()}


def contents(path: Path) -> dict[Path, tuple[int, bytes]]:
    files = (file for file in path.rglob("*") if file.is_file())
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files if file.parent.name != "grids"}


def starts(path: Path) -> int:
    """Return how often a run was started or resumed."""
    return 1 + len(json.loads((path / "provenance.json").read_text()).get("resumed", []))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The result of each cell of the grid, trained by itself in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    all_cells = cells(grid(recipe=TRAINED, axes=AXES))
    return {cell.name: result(train(cell.recipe, folder / cell.name).path) for cell in all_cells}


class OtherProcess:
    """`run_grid` in a process group of its own, forked from this one."""

    def __init__(self, *arguments) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                run_grid(*arguments, workers=1)
            finally:
                os._exit(1)

    def pause(self) -> None:
        os.killpg(self.pid, signal.SIGSTOP)

    def kill(self, whole_group: bool = True) -> None:
        """Kill the paused group, or its first process alone and let the others notice."""
        if self.pid:
            (os.killpg if whole_group else os.kill)(self.pid, signal.SIGKILL)
            os.killpg(self.pid, signal.SIGCONT)
            os.waitpid(self.pid, 0)
            self.pid = 0


class InProcess:
    """A `Workers` that trains in this process."""

    slots = 1

    def __init__(self, *_) -> None: ...

    def submit(self, _slot, task):
        future = Future()
        future.set_result(train_cell(task))
        return future

    def close(self) -> None: ...


@pytest.fixture
def in_process(monkeypatch):
    """Cells are trained in this process, whose output stays where it is."""
    monkeypatch.setattr(scheduler, "log_to", lambda _: None)
    monkeypatch.setattr(scheduler, "LocalWorkers", InProcess)


@pytest.mark.parametrize("whole_group", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_processes_share_a_grid_and_one_takes_over_when_the_other_is_killed(
    undisturbed, tmp_path, monkeypatch, whole_group
):
    grids = [grid(recipe=TRAINED, axes=AXES), grid(name="bad", recipe={**TRAINED, "data": NO_DATA})]
    folder = GridFolder(tmp_path / "out")
    rival = OtherProcess(grids, folder.out)
    monkeypatch.setattr(scheduler, "log_to", lambda _: None)
    monkeypatch.setattr(scheduler, "LocalWorkers", InProcess)
    try:
        deadline = time.monotonic() + 300
        while not (at := [name for name in undisturbed if (folder.step(name) or 0) > 10]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        rival.pause()
        statuses = {state.cell.name: state.status for state in states(grids, folder.out)}
        assert statuses[at[0]] == "elsewhere"
        # at the first call this process has trained another cell; what the other had begun is taken over
        cell_states = run_grid(grids, folder.out, watch=lambda _: rival.kill(whole_group))
    finally:
        rival.kill()
    assert {state.cell.name: result(state.path) for state in cell_states if state.status == "finished"} == undisturbed
    assert {name: starts(folder.out / name) for name in undisturbed} == {n: 2 if n == at[0] else 1 for n in undisturbed}
    (failed,) = [state for state in cell_states if state.status == "failed"]
    assert "none.jsonl" in failed.error
    assert "Error" in json.loads(folder.failure(failed.cell.name).read_text())["traceback"]
    before = contents(folder.out)
    again = run_grid(grids, folder.out)
    assert [state.status for state in again] == [state.status for state in cell_states]
    assert contents(folder.out) == before  # finished and failed cells are left alone


def test_a_cell_whose_process_dies_is_tried_once_more_and_failures_are_retried_when_asked(
    tmp_path, monkeypatch, in_process
):
    attempts = []

    class DyingWorkers(LocalWorkers):
        def submit(self, slot, task):
            attempts.append(task.name)
            future = super().submit(slot, task)
            for process in self._processes[slot]:
                process.kill()
            return future

    monkeypatch.setattr(scheduler, "LocalWorkers", DyingWorkers)
    (state,) = run_grid([grid()], tmp_path, workers=1)
    assert (state.status, len(attempts)) == ("failed", scheduler.MAX_DEATHS)
    assert "terminated abruptly" in state.error
    (state,) = run_grid([grid()], tmp_path, workers=1)
    assert len(attempts) == 2
    monkeypatch.setattr(scheduler, "LocalWorkers", InProcess)
    (state,) = run_grid([grid()], tmp_path, workers=1, retry=True)
    assert state.status == "finished"
    assert not GridFolder(tmp_path).failure(state.cell.name).exists()


def test_a_recorded_failure_is_shown_as_one_printable_line(tmp_path):
    folder = GridFolder(tmp_path)
    folder.fail("cell", "quotes \x1b[2J \ud800 a text\nand more")
    assert folder.error("cell") == "quotes  [2J   a text"


def task(tmp_path, name="cell", **changes) -> CellTask:
    (tmp_path / "grids").mkdir(parents=True, exist_ok=True)
    recipe = Recipe.parse({**TINY, **changes}, "test").resolved()
    return CellTask(name, recipe, str(tmp_path), str(Path.cwd()))


def test_a_process_takes_another_cell_only_where_none_before_can_have_harmed_it(tmp_path, in_process):
    assert train_cell(task(tmp_path, "mistake", data=NO_DATA))
    # torch refuses this only when training starts, as it would a GPU that has gone
    assert not train_cell(task(tmp_path, "late", training={**TINY["training"], "adam_beta1": 2}))
    assert not train_cell(task(tmp_path, "marked", data=NO_DATA, training={**TINY["training"], "tf32": False}))
    assert {path.stem for path in (tmp_path / "failed").iterdir()} == {"mistake", "late", "marked"}
    with pytest.raises(LimbeckError, match="share a file system"):
        train_cell(CellTask("cell", {}, str(tmp_path / "elsewhere"), str(Path.cwd())))


def test_a_cell_that_a_plain_run_is_at_is_left_to_it_and_taken_when_that_ends(tmp_path, in_process):
    (cell,) = cells(grid())
    statuses = []

    def watch(cell_states):
        statuses.append(cell_states[0].status)
        if len(statuses) == 2:
            plain_run.close()

    with ExitStack() as plain_run:
        plain_run.enter_context(Run(tmp_path / cell.name, cell.recipe).locked())
        train_cell(task(tmp_path, cell.name, seed=1))  # it had begun between the look at the cell and the attempt
        assert not GridFolder(tmp_path).failure(cell.name).exists()
        assert [state.status for state in states([grid()], tmp_path)] == ["elsewhere"]
        (state,) = run_grid([grid()], tmp_path, watch=watch)
    assert statuses[:2] == ["elsewhere"] * 2
    assert state.status == "finished"


def test_processes_share_gpus_and_cores(tmp_path, monkeypatch):
    if not Path("/proc/self/environ").exists():
        pytest.skip("the environment of a process cannot be read here")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert LocalWorkers(None, tmp_path / "log").slots == 2
    workers = LocalWorkers(3, tmp_path / "log")
    try:
        for slot in range(3):
            workers.submit(slot, task(tmp_path, f"cell{slot}"))
        pids = [process.pid for processes in workers._processes.values() for process in processes]
        lines = [Path(f"/proc/{pid}/environ").read_text().split("\0") for pid in pids]
        environments = [dict(line.split("=", 1) for line in of_process if line) for of_process in lines]
    finally:
        workers.close()
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in environments] == ["3", "5", "3"]
    threads = {environment["OMP_NUM_THREADS"] for environment in environments}
    assert threads == {str(max(1, len(os.sched_getaffinity(0)) // 3))}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,5"


@pytest.mark.slow
def test_on_ray_the_same_grid_gives_the_same_results(undisturbed, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="limbeck[ray] is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    running = []

    def watch(cell_states):
        running.append(sum(state.status == "running" for state in cell_states))

    cell_states = run_grid([grid(recipe=TRAINED, axes=AXES)], tmp_path / "out", workers=2, engine="ray", watch=watch)
    assert max(running) == len(cell_states) == 2
    assert {state.cell.name: result(state.path) for state in cell_states} == undisturbed
