"""Where a grid's cells lie, and what their folders and locks say of each: nothing about a cell is kept elsewhere.

OUT/RUN/                a run; RUN/.lock is held by the process that trains it, a grid's or a plain `limbeck train`
OUT/grids/NAME.yaml     a grid that was run here, its recipe in it; an earlier one of that name is NAME-HASH.yaml
OUT/failed/RUN.json     the last attempt's error, its traceback, and when
OUT/logs/RUN.log        what was printed and logged while it was trained
OUT/.locks/RUN.lock     held by the grid's process that is at the cell; grids.lock while a grid is kept
"""

import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Literal

import yaml
from filelock import FileLock, Timeout

from limbeck.errors import LimbeckError
from limbeck.files import read_json, read_text, write_text
from limbeck.grids.grid import Grid
from limbeck.runs.provenance import now
from limbeck.runs.run import LOCK

Status = Literal["finished", "failed", "running", "elsewhere", "waiting"]  # elsewhere: in a process not ours


class Folders:
    """The folders below OUT, by the names of runs."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.grids = out / "grids"

    def run(self, name: str) -> Path:
        return self.out / name

    def log(self, name: str) -> Path:
        return self.out / "logs" / f"{name}.log"

    def failure(self, name: str) -> Path:
        return self.out / "failed" / f"{name}.json"

    def lock(self, name: str) -> FileLock:
        """The lock on a cell; the system lets go of it when its process ends, however it ends."""
        return FileLock(self.out / ".locks" / f"{name}.lock")

    def settled(self, name: str) -> Literal["finished", "failed"] | None:
        """How a cell has ended, if it has, whoever may be at it now."""
        if (self.run(name) / "results.json").exists():
            return "finished"
        return "failed" if self.failure(name).exists() else None

    def status(self, name: str) -> Status:
        """How a cell stands; `elsewhere`: any process at all holds it."""
        settled = self.settled(name)
        if settled == "finished":
            return "finished"
        held = _held(self.lock(name)) or _held(FileLock(self.run(name) / LOCK))
        return "elsewhere" if held else self.settled(name) or "waiting"

    def error(self, name: str) -> str | None:
        """The first line of why a cell's last attempt failed; None: it has not."""
        if not self.failure(name).exists():
            return None
        try:
            said = read_json(self.failure(name))["error"]
        except (LimbeckError, KeyError, TypeError):
            said = ""
        first = str(said).strip().partition("\n")[0] or f"see {self.failure(name)}"
        return "".join(letter if letter.isprintable() else " " for letter in first)  # it may quote anybody's text

    def fail(self, name: str, error: str, trace: str = "") -> None:
        """Keep why a cell's last attempt failed.

        Raises:
            LimbeckError: the folder cannot be written.
        """
        said = {"error": error, "traceback": trace or None, "when": now()}
        write_text(self.failure(name), json.dumps(said, indent=2) + "\n")  # in ASCII: no text is refused

    def forget_failure(self, name: str) -> None:
        self.failure(name).unlink(missing_ok=True)

    def write_grid(self, grid: Grid) -> None:
        """Keep the grid where its runs are, and any other of its name that is there; `Grid.load` reads them back.

        Raises:
            LimbeckError: the folder cannot be written.
        """
        path = self.grids / f"{grid.name}.yaml"
        text = yaml.safe_dump(grid.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        if path.exists() and read_text(path) == text:
            return
        try:
            with self.lock("grids"):  # of two processes neither shall lose what the other has just kept
                if path.exists() and (before := read_text(path)) != text:
                    write_text(self._earlier(grid, before), before)
                write_text(path, text)
                self._earlier(grid, text).unlink(missing_ok=True)
        except OSError as error:
            raise LimbeckError(f"{self.out}: cannot be written ({error.strerror or error})") from error

    def _earlier(self, grid: Grid, text: str) -> Path:
        return self.grids / f"{grid.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.yaml"

    def step(self, name: str) -> int | None:
        """The last step that a run has logged; None: none yet."""
        with suppress(OSError), (self.run(name) / "log.jsonl").open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - 4096))
            for line in reversed(stream.read().splitlines()):
                with suppress(ValueError, KeyError, TypeError):  # half a line
                    return int(json.loads(line)["step"])
        return None


def was_replaced(grid: Grid) -> bool:
    """Whether it was read from where `write_grid` keeps one of which there is a later one of that name."""
    return re.fullmatch(rf"{re.escape(grid.name)}-[0-9a-f]{{8}}", Path(grid.where).stem) is not None


def _held(lock: FileLock) -> bool:
    """Whether any process holds it."""
    if not Path(lock.lock_file).exists():  # asking shall make no file
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # nobody can train in a folder that cannot be written
        return False
