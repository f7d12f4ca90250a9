"""The folder of a grid's runs, the only record of what is finished, failed, or being trained.

OUT/RUN/                a run; RUN/.lock is held while it is trained, by a grid or by `limbeck train`
OUT/grids/NAME.yaml     the last grid of that name run here, with its recipe
OUT/failed/RUN.json     error and traceback of a cell's last attempt
OUT/logs/RUN.log        everything printed and logged in training
OUT/.locks/RUN.lock     held by the process that trains the cell
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from limbeck.errors import DataError, LimbeckError
from limbeck.files import read_json, write_json, write_text
from limbeck.formatting import one_line, visible
from limbeck.grids.grid import Grid, GridCell, cells
from limbeck.runs.run import LOCK, Run, yaml_text


@dataclass(frozen=True)
class CellState:
    """A cell, its run's folder and its status."""

    cell: GridCell
    path: Path
    status: Literal["finished", "failed", "running", "elsewhere", "waiting"]  # elsewhere: in another process
    error: str | None = None  # its first line

    @property
    def settled(self) -> bool:
        return self.status in ("finished", "failed")


class GridFolder:
    """The files of a grid's folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.grids = out / "grids"

    def log(self, name: str) -> Path:
        return self.out / "logs" / f"{name}.log"

    def failure(self, name: str) -> Path:
        return self.out / "failed" / f"{name}.json"

    def lock(self, name: str) -> FileLock:
        """Return the lock on a cell; the system releases it when its process ends."""
        return FileLock(self.out / ".locks" / f"{name}.lock")

    def state(self, cell: GridCell) -> CellState:
        """Return a cell's state; `elsewhere` if any process holds it."""
        path = self.out / cell.name
        if Run(path, cell.recipe).finished:
            return CellState(cell, path, "finished")
        if (failure := self.failure(cell.name)).exists():
            return CellState(cell, path, "failed", read_failure(failure))
        is_held = _is_held(self.lock(cell.name)) or _is_held(FileLock(path / LOCK))
        return CellState(cell, path, "elsewhere" if is_held else "waiting")

    def fail(self, name: str, error: str, trace: str = "") -> None:
        """Record a failure, as printable text."""
        line = one_line(error.strip().partition("\n")[0], 2000)
        write_json(self.failure(name), {"error": line, "traceback": visible(trace)})

    def write_grid(self, grid: Grid) -> None:
        write_text(self.grids / f"{grid.name}.yaml", yaml_text(grid.model_dump(mode="json")))


def read_failure(path: Path) -> str:
    """Return the error in a failure's file. Raises DataError without one."""
    try:
        return str(read_json(path)["error"])
    except (LookupError, TypeError):
        raise DataError("has no `error`; delete the file", path=path) from None


def states(grids: Sequence[Grid], out: Path) -> list[CellState]:
    """Return the states of all cells below `out`. Raises LimbeckError as `cells`, or for two grids of one name."""
    for name, count in Counter(grid.name for grid in grids).items():
        if count > 1:
            raise LimbeckError(f"two grids are called {name!r}; rename one")
    by_name = {cell.name: cell for grid in grids for cell in cells(grid)}
    board = [GridFolder(out).state(cell) for cell in by_name.values()]
    for state in (state for state in board if state.status == "finished"):
        processes = state.cell.gpus
        with suppress(LimbeckError):  # of a run without provenance
            processes = Run(state.path, state.cell.recipe).provenance["machine"].get("processes", processes)
        if processes != state.cell.gpus:
            reason = f"trained in {processes} processes, with steps of another size than the grid's now"
            raise LimbeckError(f"{reason}; change resources.gpus, or give another --out", path=state.path)
    return board


def _is_held(lock: FileLock) -> bool:
    try:
        if Path(lock.lock_file).exists():  # asking must not create the file
            lock.acquire(timeout=0)
            lock.release()
    except Timeout:
        return True
    except OSError:  # no one trains in an unwritable folder
        pass
    return False
