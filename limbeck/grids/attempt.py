"""One attempt at one cell, in whichever process: claim it, train it, say how it ended."""

import contextlib
import gc
import logging
import os
import socket
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import Timeout

from limbeck.errors import LimbeckError
from limbeck.files import unwritable
from limbeck.grids.folders import Folders
from limbeck.runs.recipe import Recipe
from limbeck.runs.run import InUseError
from limbeck.runs.training import train


@dataclass(frozen=True)
class Job:
    """A cell as plain values, for another process."""

    name: str
    recipe: dict[str, Any]
    out: str
    folder: str  # where limbeck was started, which paths are relative to

    @property
    def marks(self) -> bool:
        """Whether it sets what transformers sets for the whole process, and the next cell would find."""
        return any(name in self.recipe["training"] for name in ("full_determinism", "tf32"))


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. `held`: another process has the cell; `lost`: its process died."""

    kind: Literal["finished", "failed", "held", "lost"]
    error: str | None = None
    spent: bool = False  # the process may be left in a state that the next cell would notice


def attempt(job: Job) -> Outcome:
    """Train a cell if nobody else does or has; the lock is held throughout, so that no cell is ever done twice."""
    try:
        os.chdir(job.folder)
    except OSError:
        return _not_shared(job.folder)
    folders = Folders(Path(job.out))
    if not folders.grids.is_dir():  # made before any attempt, on the machine where the grid was started
        return _not_shared(job.out)
    try:
        with folders.lock(job.name).acquire(timeout=0):
            if (settled := folders.settled(job.name)) is not None:
                return Outcome(settled, folders.error(job.name))
            with logged(folders.log(job.name)):
                outcome = _train(job, folders)
                gc.collect()  # trainers are held by cycles, and the next student wants their memory
                return outcome
    except Timeout:
        return Outcome("held")
    except OSError as error:
        return Outcome("failed", str(unwritable(Path(job.out), error)))
    except LimbeckError as error:  # the failure itself could not be written down
        return Outcome("failed", str(error))


def _train(job: Job, folders: Folders) -> Outcome:
    try:
        recipe = Recipe.parse(job.recipe, job.name)
        train(recipe, folders.run(job.name), resume=True)
    except InUseError:  # no grid's process, for those have the cell's lock
        return Outcome("held", spent=job.marks)
    except (Exception, SystemExit) as error:
        told = isinstance(error, LimbeckError)
        said = str(error) if told else f"{type(error).__name__}: {error}".strip()
        traceback.print_exc()
        folders.fail(job.name, said, traceback.format_exc())
        mistake = told and error.__cause__ is None  # torch's error, also below one of ours, may be CUDA's for good
        return Outcome("failed", folders.error(job.name), spent=job.marks or not mistake)
    folders.forget_failure(job.name)
    return Outcome("finished", spent=job.marks)


def _not_shared(path: str) -> Outcome:
    return Outcome(
        "failed",
        f"{path} is not there on {socket.gethostname()}: the machines of a grid need a file system that they share",
    )


@contextlib.contextmanager
def logged(path: Path) -> Iterator[None]:
    """What this process, and any that it starts, prints and logs goes to the end of the file `path` meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("limbeck")
    before = (logger.handlers, logger.propagate, logger.level)
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    kept = {number: os.dup(number) for number in (1, 2)}
    try:
        with path.open("ab") as stream:
            _point(dict.fromkeys(kept, stream.fileno()))
        yield
    finally:
        _point(kept)
        for number in kept.values():
            os.close(number)
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])


def _point(streams: dict[int, int]) -> None:
    for number, target in streams.items():
        (sys.stdout if number == 1 else sys.stderr).flush()
        os.dup2(target, number)
