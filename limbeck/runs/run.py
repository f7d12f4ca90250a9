"""A run's folder: what lies where in it, who may write to it, and that nothing in it is ever lost.

recipe.yaml           the resolved recipe
provenance.json       versions, data hashes, seed, revision, machine; with each time it was resumed what of it differed
log.jsonl             one line a log entry: loss, every term, every term's share of the gradient
checkpoints/          what resuming needs
model/                the best student, a plain Hugging Face model with its tokenizer, and limbeck.json
predictions/          test.jsonl, valid.jsonl; out of domain anli1-test.jsonl
evaluation/           what `evaluate` measured on a split: test.json, test.md to read, its figures; judge-test.jsonl
results.json          written last: a run that has it is finished
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from limbeck.errors import LimbeckError
from limbeck.runs.recipe import Recipe, load_recipe
from limbeck.files import read_json, unwritable, write_json, write_text
from limbeck.notes import Line, lines_of

LOCK = ".lock"
_MOST_SHOWN = 4  # settings in an error
_MAY_CHANGE = ("limbeck", "revision", "versions", "machine")  # between a run's first start and a later one


class InUseError(LimbeckError):
    """Another process holds a run's folder."""


class Run:
    """One run's folder and its recipe."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path = path
        self.recipe = recipe
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"
        self.log = path / "log.jsonl"

    def predictions(self, split: str) -> Path:
        return self.path / "predictions" / f"{split}.jsonl"

    @property
    def finished(self) -> bool:
        return (self.path / "results.json").exists()

    @property
    def results(self) -> dict[str, Any]:
        """What `results.json` holds.

        Raises:
            LimbeckError: the run is not finished.
        """
        if not self.finished:
            raise LimbeckError(f"{self.path}: the run is not finished; go on with `limbeck train ... --resume`")
        results = read_json(self.path / "results.json")
        if not isinstance(results, dict):
            raise LimbeckError(f"{self.path / 'results.json'}: no results of a run")
        return results

    def page(self) -> dict[str, Any] | None:
        """What `evaluate` wrote of the test split, if it is of the newest measurement: one that was stopped wrote none.

        Raises:
            LimbeckError: the run is not finished, or what there is cannot be read.
        """
        path = self.path / "evaluation" / "test.json"
        if not path.is_file():
            return None
        found = read_json(path)
        if not isinstance(found, dict):
            raise LimbeckError(f"{path}: no page of an evaluation; write it again with `limbeck evaluate {self.path}`")
        newest = self.results.get("test")
        if not isinstance(newest, dict):
            return None
        measured = {name: newest.get(name) for name in ("accuracy", "interval", "exact", "n")}
        return found if found.get("accuracy") == measured and found.get("n") == measured["n"] else None

    def write_results(self, results: dict[str, Any]) -> None:
        write_json(self.path / "results.json", results)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, made if need be, against other processes; a killed one's hold ends with it.

        Raises:
            InUseError: another process holds it.
            LimbeckError: it cannot be written.
        """
        lock = FileLock(self.path / LOCK)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            raise InUseError(f"{self.path}: another process is training here") from None
        except OSError as error:
            raise unwritable(self.path, error) from None
        try:
            yield
        finally:
            lock.release()


def count_lines(results: Mapping[str, Any]) -> Iterator[tuple[str, Line]]:
    """Yield the counts in a run's results that are not 0, each after `notes`, or the split or other task it is of."""
    elsewhere = {f"{name}-test": counts for name, counts in (results.get("out_of_domain") or {}).items()}
    measured = {split: results.get(split) for split in ("valid", "test")} | elsewhere
    counted = {split: counts for split, counts in measured.items() if isinstance(counts, dict)}
    training = results.get("training") or {}
    examples = training.get("examples") or 0
    rows = {split: counts.get("n") or 0 for split, counts in counted.items()}
    trained = {"train": examples} | {texts: training.get(texts) or examples for texts in ("sources", "targets")}
    yield from (("notes", line) for line in lines_of(results.get("notes") or {}, rows | trained))
    for split, counts in counted.items():
        yield from ((split, line) for line in lines_of(counts, rows[split]))


def run_name(recipe: Recipe) -> str:
    """What the folder of a run is called that was given no name: told apart by everything in the recipe."""
    return f"{recipe.data.task}-{recipe.objective.name}-seed{recipe.seed}-{recipe.key}"


def default_path(recipe: Recipe, out: Path = Path("runs")) -> Path:
    """Where a run goes that was given no folder: one of its own below `out`."""
    return out / run_name(recipe)


def open_run(path: Path) -> Run:
    """The run in a folder.

    Raises:
        LimbeckError: there is none.
    """
    if not (path / "recipe.yaml").is_file():
        raise LimbeckError(f"{path}: no run here (recipe.yaml is missing)")
    return Run(path, load_recipe(path / "recipe.yaml"))


def check_place(run: Run, resume: bool) -> None:
    """Refuse a folder that a run may not use.

    Raises:
        LimbeckError: the folder is not empty and resuming was not asked for, or it holds something else.
    """
    path = run.path
    try:
        if path.exists() and not path.is_dir():
            raise LimbeckError(f"{path}: a file is in the way of the run's folder")
        if not path.is_dir() or all(inner.name == LOCK for inner in path.iterdir()):
            return
    except OSError as error:
        raise LimbeckError(f"{path}: cannot be a run's folder ({error.strerror})") from None
    if not resume:
        raise LimbeckError(f"{path}: already there; give another folder with --out, or go on with it with --resume")
    there, here = (flat(some.recipe.resolved()) for some in (open_run(path), run))
    changed = [name for name in sorted(there.keys() | here.keys()) if there.get(name) != here.get(name)]
    if changed:
        shown = [f"{name} is {_shown(there, name)} there and {_shown(here, name)} here" for name in changed]
        more = f" and {len(shown) - _MOST_SHOWN} more" if len(shown) > _MOST_SHOWN else ""
        raise LimbeckError(
            f"{path}: holds a run of another recipe: {'; '.join(shown[:_MOST_SHOWN])}{more}. Give another --out; "
            f"to train its student further once it is finished, that and --from {shlex.quote(str(path))}"
        )


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return `{"a": {"b": 1}}` as `{"a.b": 1}`."""
    settings: dict[str, Any] = {}
    for name, value in values.items():
        settings |= flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return settings


def _shown(settings: dict[str, Any], name: str) -> str:
    return f"{settings[name]!r:.60}" if name in settings else "not set"


def start(run: Run, origin: dict[str, Any]) -> None:
    """Write what a run is into its folder, or note there that it goes on, and with which other versions or machine.

    Raises:
        LimbeckError: it would go on with other data than it began with.
    """
    if not (run.path / "recipe.yaml").exists():
        text = yaml.safe_dump(run.recipe.resolved(), sort_keys=False, allow_unicode=True)
        write_text(run.path / "recipe.yaml", text)
    if (run.path / "provenance.json").exists():
        first = check_data(run, origin["data"])
        other = {name: origin[name] for name in _MAY_CHANGE if origin[name] != first.get(name)}
        origin = {**first, "resumed": [*first.get("resumed", []), {"started": origin["started"], **other}]}
    write_json(run.path / "provenance.json", origin)


def check_data(run: Run, data: dict[str, Any]) -> dict[str, Any]:
    """Check `data`, rows and hashes by split, against what the run began with; returns its provenance.

    Raises:
        LimbeckError: the data changed since, or the provenance cannot be read.
    """
    path = run.path / "provenance.json"
    first = read_json(path)
    if not isinstance(first, dict) or not isinstance(first.get("data"), dict):
        raise LimbeckError(f"{path}: no provenance of a run")
    if changed := [split for split in data if first["data"].get(split) != data[split]]:
        raise LimbeckError(f"{run.path}: its data changed since it began ({', '.join(changed)}); give another --out")
    return first


def take_back(run: Run) -> None:
    """Remove what `start` wrote where nothing was trained yet, so that a mended recipe may use the folder."""
    if any(run.checkpoints.glob("checkpoint-*")):
        return
    for name in ("recipe.yaml", "provenance.json", "log.jsonl", LOCK):
        (run.path / name).unlink(missing_ok=True)
    with suppress(OSError):  # a folder that holds anything else stays
        run.checkpoints.rmdir()
    with suppress(OSError):
        run.path.rmdir()
