"""Grids trained: every cell once, whoever is killed meanwhile."""

import json
import os
import signal
import time
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from limbeck.errors import LimbeckError
from limbeck.files import read_json
from limbeck.grids import GridFolder, cells, run_grid, scheduler, states, workers
from limbeck.grids.workers import LocalWorkers, RayJob, train_cell
from limbeck.runs import open_run, train
from limbeck.runs.run import Run
from tests.grids.test_grid import grid
from tests.helpers.processes import Forked
from tests.runs.recipes import TINY

ROOT = Path(__file__).parents[2]
TRAINED = {**TINY, "training": {**TINY["training"], "max_steps": 20, "eval_steps": 5}}
AXES = {"objective": ["finetune", "dss"]}
NO_DATA = {"task": "custom", "source": {"kind": "files", "train_file": "none.jsonl"}}


def result(path: Path) -> dict:
    """Return a run's results and answers, without the times."""
    results = open_run(path).results
    results["training"].pop("seconds")
    results.pop("finished")
    return {**results, "answers": (path / "predictions" / "test.jsonl").read_text()}


def times(path: Path) -> dict[Path, int]:
    """Return when each file was last written, but for those of the grids themselves."""
    return {file: file.stat().st_mtime_ns for file in path.glob("[!g]*/**/*") if file.is_file()}


def step(run: Path) -> int:
    """Return the last step that a run has logged; 0: none yet."""
    with suppress(OSError, IndexError, ValueError):  # nothing yet, or half a line
        return json.loads((run / "log.jsonl").read_text().splitlines()[-1])["step"]
    return 0


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The result of each cell of the grid, trained by itself in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    all_cells = cells(grid(recipe=TRAINED, axes=AXES))
    return {cell.name: result(train(cell.recipe, folder / cell.name).path) for cell in all_cells}


class InProcess:
    """Workers that train in this process."""

    slots, exitcode = 1, 0

    def __init__(self, *_) -> None:
        pass

    def start(self, _slot, cell, out):
        if self.exitcode == 0:
            train_cell(cell, out, Path.cwd())
        return SimpleNamespace(is_alive=lambda: False, exitcode=self.exitcode)

    def close(self) -> None:
        pass


@pytest.fixture
def in_process(monkeypatch):
    """Train cells in this process, whose output stays where it is."""
    monkeypatch.setattr(workers, "log_to", lambda _: None)
    monkeypatch.setattr(scheduler, "LocalWorkers", InProcess)


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_cells_trained_side_by_side_are_those_trained_alone(undisturbed, tmp_path, monkeypatch, engine):
    if engine == "ray":
        pytest.importorskip("ray", reason="limbeck[ray] is not installed")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    running = []

    def watch(cell_states):
        running.append(sum(state.status == "running" for state in cell_states))

    cell_states = run_grid([grid(recipe=TRAINED, axes=AXES)], tmp_path, workers=2, engine=engine, watch=watch)
    assert max(running) == len(cell_states) == 2
    assert {state.cell.name: result(state.path) for state in cell_states} == undisturbed


def test_two_processes_share_a_grid_and_one_takes_over_when_the_other_is_killed(undisturbed, tmp_path, in_process):
    grids = [grid(recipe=TRAINED, axes=AXES), grid(name="bad", recipe={**TRAINED, "data": NO_DATA})]
    folder = GridFolder(tmp_path / "out")
    rival = Forked(run=lambda: run_grid(grids, folder.out))
    rival.wait_until(lambda: any(step(folder.out / name) > 5 for name in undisturbed))
    os.kill(rival.pid, signal.SIGSTOP)
    (interrupted,) = [state.cell.name for state in states(grids, folder.out) if state.status == "elsewhere"]
    # at the first call this process has trained another cell; the one that the rival had begun is taken over
    cell_states = run_grid(grids, folder.out, watch=lambda _: rival.kill())
    assert {state.cell.name: result(state.path) for state in cell_states if state.status == "finished"} == undisturbed
    resumed = [name for name in undisturbed if "resumed" in read_json(folder.out / name / "provenance.json")]
    assert resumed == [interrupted]
    (failed,) = [state for state in cell_states if state.status == "failed"]
    assert "none.jsonl" in failed.error
    assert "Error" in read_json(folder.failure(failed.cell.name))["traceback"]
    before = times(folder.out)
    assert run_grid(grids, folder.out) == cell_states
    assert times(folder.out) == before  # finished and failed cells are left alone


def test_a_cell_whose_results_are_damaged_is_finished_again(undisturbed, tmp_path, in_process):
    one = grid(recipe=TRAINED, axes={"objective": ["dss"]})
    (cell,) = cells(one)
    for text in ("", '{"test": {"n"', "[]"):
        run_grid([one], tmp_path)
        (tmp_path / cell.name / "results.json").write_text(text)
        assert GridFolder(tmp_path).state(cell).status == "waiting"
    run_grid([one], tmp_path)
    assert result(tmp_path / cell.name) == undisturbed[cell.name]


@pytest.mark.slow
def test_a_cell_ends_with_the_process_that_started_it(tmp_path):
    endless = grid(recipe={**TRAINED, "training": {**TRAINED["training"], "max_steps": 10**6}})
    (cell,) = cells(endless)
    folder = GridFolder(tmp_path)
    parent = Forked(run=lambda: run_grid([endless], tmp_path))
    parent.wait_until(lambda: step(tmp_path / cell.name) > 0)
    parent.kill()
    deadline = time.monotonic() + 60
    while folder.state(cell).status != "waiting":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_cell_whose_process_dies_has_failed_and_is_trained_again_when_asked(tmp_path, monkeypatch, in_process):
    monkeypatch.setattr(InProcess, "exitcode", -9)
    for _ in range(2):
        (state,) = run_grid([grid()], tmp_path)
        assert (state.status, "-9" in state.error) == ("failed", True)
    monkeypatch.setattr(InProcess, "exitcode", 0)
    (state,) = run_grid([grid()], tmp_path, retry=True)
    assert (state.status, state.error) == ("finished", None)


def test_a_recorded_failure_is_shown_as_one_printable_line(tmp_path):
    folder = GridFolder(tmp_path)
    (cell,) = cells(grid())
    folder.fail(cell.name, "quotes \x1b[2J \ud800 a text\nand more", "in line \udfff")
    assert folder.state(cell).error == "quotes <U+001B>[2J <U+D800> a text"


def test_machines_without_a_shared_file_system_are_an_error(tmp_path):
    with pytest.raises(LimbeckError, match="share a file system"):
        train_cell(cells(grid())[0], Path("elsewhere"), tmp_path / "missing")


def test_an_error_on_the_cluster_is_told_by_its_cause():
    exceptions = pytest.importorskip("ray.exceptions", reason="limbeck[ray] is not installed")
    trace = "Traceback (most recent call last):\nLimbeckError: runs: missing here"
    error = exceptions.RayTaskError("train_cell", trace, LimbeckError("missing here", path="runs"), "ray", 1, "::1")
    for raised, expected in ((error, "runs: missing here"), (exceptions.WorkerCrashedError(), "The worker died")):
        future: Future = Future()
        future.set_exception(raised)
        assert RayJob(SimpleNamespace(future=lambda future=future: future)).exitcode.startswith(expected)


def test_a_cell_that_a_plain_run_is_at_is_left_to_it_and_taken_when_that_ends(tmp_path, in_process):
    (cell,) = cells(grid())
    statuses = []

    def watch(cell_states):
        statuses.append(cell_states[0].status)
        if len(statuses) == 2:
            plain_run.close()

    with ExitStack() as plain_run:
        plain_run.enter_context(Run(tmp_path / cell.name, cell.recipe).locked())
        (tmp_path / "grids").mkdir()
        train_cell(cell, tmp_path, Path.cwd())  # it began just before
        assert [state.status for state in states([grid()], tmp_path)] == ["elsewhere"]
        (state,) = run_grid([grid()], tmp_path, watch=watch)
    assert statuses[:2] == ["elsewhere"] * 2
    assert state.status == "finished"


def test_processes_share_gpus_and_cores(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert LocalWorkers(None).slots == 2
    workers = LocalWorkers(3)
    assert [workers.gpus(slot) for slot in range(3)] == ["3", "5", "3"]
    assert workers.threads == max(1, len(os.sched_getaffinity(0)) // 3)


def test_a_slot_has_as_many_gpus_as_a_cell_needs(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6,7,8")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 5)
    workers = LocalWorkers(None, 2)
    assert [workers.gpus(slot) for slot in range(workers.slots)] == ["3,5", "6,7"]
    with pytest.raises(LimbeckError):
        LocalWorkers(None, 6)


@pytest.mark.slow
def test_a_cell_of_two_gpus_is_trained_in_two_processes_and_its_error_is_recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("limbeck.grids.workers.log_to", lambda _: None)  # which would redirect this process
    two, folder = grid(recipe=TINY, axes={}, resources={"gpus": 2}), GridFolder(tmp_path / "runs")
    folder.write_grid(two)
    (cell,) = cells(two)
    train_cell(cell, Path("runs"), tmp_path)
    assert folder.state(cell).status == "finished", folder.state(cell).error
    assert open_run(folder.out / cell.name).provenance["machine"]["processes"] == 2

    (cell,) = cells(two.changed(["student.name=nowhere/at-all", "student.scratch=null"]))
    train_cell(cell, Path("runs"), tmp_path)
    assert folder.state(cell).status == "failed" and "nowhere/at-all" in str(folder.state(cell).error)
