"""The folder of a grid's runs, which alone says what is finished, has failed, or is being trained.

OUT/RUN/                a run; RUN/.lock is held while it is trained, by a grid or by `limbeck train`
OUT/grids/NAME.yaml     the last grid of that name that was run here, its recipe in it
OUT/failed/RUN.json     error and traceback of a cell's last attempt
OUT/logs/RUN.log        everything that was printed and logged while it was trained
OUT/.locks/RUN.lock     held by the process that trains the cell, so that no cell is ever trained twice
"""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from filelock import FileLock, Timeout

from limbeck.errors import LimbeckError
from limbeck.files import read_json, write_json, write_text
from limbeck.grids.grid import Grid, GridCell, cells
from limbeck.runs.run import LOCK

Status = Literal["finished", "failed", "running", "elsewhere", "waiting"]  # elsewhere: in another process
SETTLED = ("finished", "failed")


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
        """Return the lock on a cell; the system releases it when its process ends, however it ends."""
        return FileLock(self.out / ".locks" / f"{name}.lock")

    def outcome(self, name: str) -> Literal["finished", "failed"] | None:
        """Return how a cell ended; None: it has not."""
        if (self.out / name / "results.json").exists():
            return "finished"
        return "failed" if self.failure(name).exists() else None

    def status(self, name: str) -> Status:
        """Return the status of a cell; `elsewhere`: any process holds it."""
        locks = self.lock(name), FileLock(self.out / name / LOCK)
        return self.outcome(name) or ("elsewhere" if any(map(_is_held, locks)) else "waiting")

    def error(self, name: str) -> str | None:
        """Return the first line of a cell's error, in printable letters; None: it has not failed."""
        return read_json(self.failure(name))["error"] if self.failure(name).exists() else None

    def fail(self, name: str, error: str, trace: str = "") -> None:
        """Record a failure. Raises LimbeckError where the folder cannot be written."""
        line = error.strip().partition("\n")[0]
        printable = "".join(letter if letter.isprintable() else " " for letter in line)
        trace = trace.encode("utf-8", "backslashreplace").decode()
        write_json(self.failure(name), {"error": printable, "traceback": trace})

    def write_grid(self, grid: Grid) -> None:
        """Write the grid beside its runs, for `Grid.load` and the report. Raises LimbeckError where that fails."""
        text = yaml.safe_dump(grid.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        write_text(self.grids / f"{grid.name}.yaml", text)

    def step(self, name: str) -> int | None:
        """Return the last step that a run has logged; None: none yet."""
        with suppress(OSError, IndexError, ValueError):  # nothing yet, or half a line
            return json.loads((self.out / name / "log.jsonl").read_text().splitlines()[-1])["step"]
        return None


@dataclass(frozen=True)
class CellState:
    """A cell, its run's folder and its status; the first line of its error where it failed."""

    cell: GridCell
    path: Path
    status: Status
    error: str | None = None


def states(grids: Sequence[Grid], out: Path) -> list[CellState]:
    """Return the state of every cell of the grids below `out`.

    Raises:
        LimbeckError: as `cells`; or two grids have one name.
    """
    name, count = Counter(grid.name for grid in grids).most_common(1)[0]
    if count > 1:
        raise LimbeckError(f"two grids are called {name!r}: give one of them another `name`")
    folder = GridFolder(out)
    by_name = {cell.name: cell for grid in grids for cell in cells(grid)}
    return [cell_state(folder, cell) for cell in by_name.values()]


def cell_state(folder: GridFolder, cell: GridCell, status: Status | None = None) -> CellState:
    """Return the state of a cell; without a `status`, the folder's."""
    status = status or folder.status(cell.name)
    return CellState(cell, folder.out / cell.name, status, folder.error(cell.name) if status == "failed" else None)


def _is_held(lock: FileLock) -> bool:
    if not Path(lock.lock_file).exists():  # asking must not create the file
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # nobody can train in a folder that cannot be written
        return False
