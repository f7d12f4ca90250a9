"""`limbeck grid`: cells listed, failed, judged; Ctrl-C on a terminal."""

import json
import os
import time

import pytest
import yaml

from limbeck.grids import Grid, GridFolder, cells
from limbeck.runs import train
from tests.helpers.processes import Forked
from tests.helpers.servers import Server, completion
from tests.paper.paper_runs import data_at
from tests.runs.recipes import TINY


@pytest.fixture
def grid(tmp_path):
    """A grid's file, and its two cells."""
    recipe = {**TINY, "evaluation": {"rationales": True}}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump({"recipe": recipe, "axes": {"objective": ["dss", "mi"]}}))
    return cells(Grid.load(tmp_path / "grid.yaml"))


def test_a_dry_run_lists_cells_and_writes_nothing(grid, limbeck, tmp_path):
    code, out, _ = limbeck("grid", "grid.yaml", "--dry-run", "-s", "seeds=2")
    assert (code, "0 of 4 finished, 4 waiting" in out) == (0, True)
    result = json.loads(limbeck("grid", "grid.yaml", "--dry-run", "--json", "--out", "elsewhere")[1])
    listed = [(cell["run"], cell["values"]["objective"]) for cell in result["cells"]]
    assert listed == [(f"elsewhere/{cell.name}", cell.recipe.objective.name) for cell in grid]
    assert [path.name for path in tmp_path.iterdir()] == ["grid.yaml"]


def test_settled_cells_are_listed_and_judged_and_not_trained_again(grid, limbeck, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    done, failed = grid
    train(done.recipe, tmp_path / "runs" / done.name)
    GridFolder(tmp_path / "runs").fail(failed.name, "CUDA out of [bold]memory\nand much more", "Traceback")
    code, out, _ = limbeck("grid", "grid.yaml")
    failure = f"failed: runs/{failed.name}: CUDA out of [bold]memory\n"
    texts = ("1 of 2 finished, 1 failed. The runs are in runs/\n", failure, "limbeck report runs -o report")
    assert (code, [text in out for text in texts]) == (1, [True] * 3)
    (tmp_path / "judge.yaml").write_text("teacher: judge\nn: 3\nruns: 1\n")
    with Server(lambda number, request: completion("Well.\nScore: 4")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        result = json.loads(limbeck("grid", "grid.yaml", "--judge", "judge.yaml", "--json")[1])
    assert (result["counts"], result["cells"][1]["error"][:4]) == ({"finished": 1, "failed": 1}, "CUDA")
    assert set(result["judged"]["summary"]) == {"Gold", "DSS"}


def test_the_papers_grids_are_one_with_each_omission_logged_once(grid, limbeck, tmp_path):
    def dry_run(*words):
        _, out, err = limbeck("grid", *words, "--smoke", "--dry-run", "--json")
        return [cell["run"] for cell in json.loads(out)["cells"]], err.count("\n")

    data_at(tmp_path / "datasets", {"svamp": "train test"})
    runs, messages = dry_run("table1")
    assert messages == 3  # one for each of the other tasks
    assert dry_run("table1", "table3", "figure4") == (runs, 4)  # without data, and with cells of table 1
    assert dry_run("grid.yaml", "table1")[0][2:] == runs


def test_ctrl_c_on_a_terminal_ends_everything_with_one_line(grid, tmp_path, monkeypatch):
    """A Ctrl-C, and a second one, go to the grid's process and its workers alike."""
    monkeypatch.chdir(tmp_path)
    command = Forked("grid", "grid.yaml", "--workers", "1")
    command.wait_until(lambda: "1 waiting" in command.text)
    command.type(b"\x03\x03")
    assert (command.wait(), "limbeck: interrupted" in command.text.splitlines()[-1]) == (130, True)
    logs = [log.read_text() for log in (tmp_path / "runs" / "logs").glob("*")]
    assert all("Traceback" not in text for text in (command.text, *logs))
    with pytest.raises(ProcessLookupError):  # the last process of the group may take a moment to be reaped
        for _ in range(100):
            os.killpg(command.pid, 0)
            time.sleep(0.1)
