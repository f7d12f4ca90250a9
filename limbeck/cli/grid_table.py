"""What `limbeck grid` shows: a live table on a terminal, else a line a cell that ends; and what came of it."""

import logging
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

log = logging.getLogger(__name__)

MOST_ROWS = 16  # of running cells


class GridTable:
    """Shows states as they change, on standard error; `quiet`: not a word."""

    def __init__(self, quiet: bool) -> None:
        self._live = None
        self._quiet = quiet
        if not quiet and sys.stderr.isatty():
            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._before: dict[str, str] = {}

    def __enter__(self) -> Callable[[Sequence[Any]], None]:
        if self._live is not None:
            self._live.start()
        return self._watch

    def __exit__(self, _kind: type | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def _watch(self, states: Sequence[Any]) -> None:
        if self._live is not None:
            self._live.update(Group(_running(states), Text(summary(states))), refresh=True)
        elif not self._quiet:
            self._say(states)

    def _say(self, states: Sequence[Any]) -> None:
        """A line for each cell that has ended since the last call; at the first call none has."""
        done = sum(state.status in ("finished", "failed") for state in states)
        for state in states:
            before = self._before.get(state.cell.name)
            self._before[state.cell.name] = state.status
            if before not in (None, state.status) and state.status in ("finished", "failed"):
                said = "finished" if state.status == "finished" else f"failed: {state.error}"
                log.info("%s: %s (%d of %d have ended)", state.path, said, done, len(states))


def _running(states: Sequence[Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("running", "step", "for"):
        table.add_column(column, justify="left" if column == "running" else "right", no_wrap=True)
    running = [state for state in states if state.status == "running"]
    for state in running[:MOST_ROWS]:
        table.add_row(escape(state.path.name), _step(state), _duration(time.monotonic() - state.since))
    if len(running) > MOST_ROWS:
        table.add_row(f"and {len(running) - MOST_ROWS} more", "", "")
    return table


def _step(state: Any) -> str:
    from limbeck.grids import Folders

    step = Folders(state.path.parent).step(state.path.name)
    total = state.cell.recipe.training.max_steps
    return "" if step is None else f"{step}/{total}" if total > 0 else str(step)


def summary(states: Sequence[Any]) -> str:
    """How many cells stand how, and the time left, judged by those that were finished here."""
    counts = Counter(state.status for state in states)
    parts = [f"{counts['finished']} of {len(states)} finished"]
    parts += [f"{counts[name]} {said}" for name, said in _SAID.items() if counts[name]]
    left = _left(states)
    return ", ".join(parts) + ("" if left is None else f"; about {_duration(left)} left")


_SAID = {"failed": "failed", "running": "running", "elsewhere": "in another process", "waiting": "waiting"}


def _left(states: Sequence[Any]) -> float | None:
    """Seconds, were every cell to take what those took that were finished here; None: none was yet."""
    took = [state.seconds for state in states if state.status == "finished" and state.seconds is not None]
    running = [time.monotonic() - state.since for state in states if state.status == "running"]
    if not took or not running:
        return None
    each = sum(took) / len(took)
    waiting = sum(state.status == "waiting" for state in states)
    remaining = [max(0.0, each - elapsed) for elapsed in running]
    return max(max(remaining), (waiting * each + sum(remaining)) / len(running))


def _duration(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def print_cells(states: Sequence[Any]) -> None:
    """Every cell: how it stands, its place in the grid, its seed, its folder's name."""
    axes = list(dict.fromkeys(axis for state in states for axis in state.cell.values))
    table = Table()
    for column in ("state", *axes, "seed", "folder"):
        table.add_column(escape(column), overflow="fold")
    for state in states:
        values = [escape(state.cell.values.get(axis, "")) for axis in axes]
        table.add_row(state.status, *values, str(state.cell.recipe.seed), escape(state.path.name))
    Console().print(table)
    print(summary(states))


def print_ended(states: Sequence[Any], out: Path, judged: dict[str, Any] | None) -> None:
    """Counts, what failed and why, and what to do next."""
    print(f"{summary(states)}. The runs are in {out}/")
    failed = [state for state in states if state.status == "failed"]
    for state in failed:
        print(f"failed: {state.path}: {state.error}")
    if failed:
        print(f"Tracebacks are in {out}/failed/, all else that was said in {out}/logs/. Try again with --retry")
    if judged is not None:
        print(f"judged: {len(judged['correlation'])} runs; judgements are in their evaluation/judge-test.jsonl")
    if len(failed) < len(states):
        print(f"Next: limbeck report {shlex.quote(str(out))} -o report")
