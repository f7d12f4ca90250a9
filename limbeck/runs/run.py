"""A run's folder (its files: docs/architecture.md), lock, resumption and provenance."""

import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import yaml
from filelock import FileLock, Timeout

import limbeck
from limbeck.data.examples import digest
from limbeck.data.load import Splits
from limbeck.distributed import is_main_process, process_count
from limbeck.errors import DataError, FileError, RecipeError
from limbeck.files import read_json, read_jsonl, refuse_links, sha256, unwritable, write_json, write_text
from limbeck.notes import Line, lines_of
from limbeck.runs.recipe import Recipe, load_recipe
from limbeck.runs.records import Provenance, Results, ServerTotals
from limbeck.tasks import Split

LOCK = ".lock"
ACCURACY = ("accuracy", "interval", "exact", "n", "votes", "temperature")  # of results, repeated on their page
_UNTRAINED = {LOCK, "recipe.yaml", "provenance.json", "log.jsonl", "checkpoints"}
_STEP = ("training.per_device_train_batch_size", "training.gradient_accumulation_steps")  # its size, by processes
_MAY_CHANGE = ("limbeck", "revision", "versions", "machine")  # when a run is resumed
_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "numpy", "ctranslate2")


class InUseError(FileError):
    """Another process holds a run's folder."""


class Run:
    """One run's folder and its recipe."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path = path
        self.recipe = recipe
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"
        self.log = path / "log.jsonl"

    def predictions(self, name: str) -> Path:
        return self.path / "predictions" / f"{name}.jsonl"

    def measured_predictions(self, name: str) -> Path:
        """Return the file of predictions. Raises LimbeckError where it was changed since the results."""
        path, expected = self.predictions(name), self.results.get("predictions", {}).get(name)
        if expected is not None and sha256(path) != expected:
            raise DataError("changed since it was measured; measure it again by `limbeck evaluate`", path=path)
        return path

    @property
    def writes_rationales(self) -> bool:
        return self.recipe.objective.build().rationale_view is not None

    @property
    def trained(self) -> bool:
        """True from the first checkpoint on."""
        return any(self.checkpoints.glob("checkpoint-*"))

    @property
    def finished(self) -> bool:
        """True if there are results, and whole. Raises FileError where they cannot be read."""
        try:
            return (self.path / "results.json").exists() and bool(self.results)
        except DataError:
            return False

    @property
    def results(self) -> dict[str, Any]:
        """The results. Raises FileError where there are none, DataError for damaged ones."""
        path = self.path / "results.json"
        if not path.exists():
            raise FileError("not finished; resume it with `limbeck train ... --resume`", path=self.path)
        try:
            Results.parse(values := read_json(path), str(path))
        except (DataError, RecipeError) as error:
            raise DataError(f"{error}; a damaged run is resumed with `limbeck train ... --resume`") from None
        return values

    @property
    def steps(self) -> int:
        """The optimizer steps taken."""
        return int(self.results["training"]["steps"])

    def write_results(self, results: dict[str, Any]) -> None:
        Results.parse(results, "results")  # or no one could read them
        write_json(self.path / "results.json", results)

    @property
    def provenance(self) -> dict[str, Any]:
        """The origin of the run. Raises LimbeckError where it is damaged."""
        path = self.path / "provenance.json"
        Provenance.parse(values := read_json(path), str(path))
        return values

    def served(self) -> list[ServerTotals]:
        """Return the totals of this student's servers, in order of their ends. Raises LimbeckError if damaged."""
        path = self.path / "serving.jsonl"
        rows = read_jsonl(path) if path.is_file() else []
        return [ServerTotals.parse(row, f"{path}:{line}") for line, row in rows]

    def add_serving(self, totals: ServerTotals) -> None:
        """Append a line, as other servers of this student may do. Raises FileError."""
        path = self.path / "serving.jsonl"
        try:
            with path.open("a", encoding="utf-8") as lines:
                lines.write(totals.model_dump_json() + "\n")
        except OSError as error:
            raise unwritable(path, error) from None

    def page(self) -> dict[str, Any] | None:
        """Return the evaluation of the present test results, if any."""
        path, test = self.path / "evaluation" / "test.json", self.results.get("test", {})
        page = read_json(path) if path.is_file() else {}
        accuracy = {name: test[name] for name in ACCURACY if name in test}
        return page if isinstance(page, dict) and page.get("accuracy") == accuracy else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder and hold it against other processes than the run's own."""
        if not is_main_process():
            yield
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / LOCK).acquire(timeout=0)
        except Timeout:
            raise InUseError("another process is training here", path=self.path) from None
        except OSError as error:
            raise unwritable(self.path, error) from None
        with lock:
            yield

    def check_folder(self, resume: bool) -> None:
        """Raise FileError if the folder holds training, unless it is to `resume` with this recipe.

        Batches, accumulation and processes may be others as long as a step has as many examples.
        """
        if self.path.is_dir():
            refuse_links(self.path)
        files = {entry.name for entry in (self.path.iterdir() if self.path.is_dir() else ())}
        untrained = files <= _UNTRAINED and "provenance.json" in files and not self.trained
        if untrained or files <= {LOCK}:
            return
        if not resume:
            raise FileError("already there; give another --out, or --resume it", path=self.path)
        run = open_run(self.path)
        earlier, present = flat(run.recipe.resolved()), flat(self.recipe.resolved())
        changed = {name for name in earlier | present if earlier.get(name) != present.get(name)}
        if fields := ", ".join(sorted(changed - {*_STEP})):
            advice = "give another --out (and --from that run to train it further)"
            raise FileError(f"holds a run whose recipe differs in {fields:.200}; {advice}", path=self.path)
        batches = [math.prod(settings[name] for name in _STEP) for settings in (earlier, present)]
        first_step = batches[0] * run.provenance["machine"].get("processes", 1)
        next_step = batches[1] * process_count()
        if first_step != next_step and not self.finished:
            reason = f"began with steps of {first_step} examples; {process_count()} processes would take {next_step}"
            raise FileError(f"{reason}; change {' or '.join(_STEP)}", path=self.path)

    def begin(self, origin: dict[str, Any]) -> None:
        """Write recipe and provenance, in which a resumed run notes what differs."""
        if not self.trained:
            write_text(self.path / "recipe.yaml", yaml_text(self.recipe.resolved()))
        else:
            first = self.provenance
            self.check_data(origin["data"])
            changes = {name: origin[name] for name in _MAY_CHANGE if origin[name] != first[name]}
            origin = {**first, "resumed": [*first.get("resumed", []), {"started": origin["started"], **changes}]}
        write_json(self.path / "provenance.json", origin)

    def check_data(self, data: dict[str, Any]) -> None:
        """Raise DataError unless these `data_hashes` are what the run began with."""
        first = self.provenance["data"]
        if changed := ", ".join(split for split in data if first.get(split) != data[split]):
            raise DataError(f"its data changed since it began ({changed}); give another --out", path=self.path)


def open_run(path: Path) -> Run:
    """Return the run in a folder. Raises FileError without one, and for one with links, pipes or devices in it."""
    if not (path / "recipe.yaml").is_file():
        raise FileError("no run here (recipe.yaml is missing)", path=path)
    refuse_links(path)
    return Run(path, load_recipe(path / "recipe.yaml"))


def run_name(recipe: Recipe) -> str:
    """Return a folder's name, unique to its recipe."""
    return f"{recipe.data.task}-{recipe.objective.name}-seed{recipe.seed}-{recipe.key}"


def count_lines(results: Mapping[str, Any]) -> Iterator[tuple[str, Line]]:
    """Yield the counts other than 0 in a run's results, each with `notes`, a split, or another task's split."""
    measured = {split: results.get(split, {}) for split in ("valid", "test")}
    measured |= {f"{name}-test": counts for name, counts in results.get("out_of_domain", {}).items()}
    rows = {split: counts.get("n", 0) for split, counts in measured.items()}
    trained = results.get("training", {})
    trained = rows | trained | {"train": trained.get("examples", 0)}
    yield from (("notes", line) for line in lines_of(results.get("notes", {}), trained))
    for split, counts in measured.items():
        yield from ((split, line) for line in lines_of(counts, rows[split]))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return `{"a": {"b": 1}}` as `{"a.b": 1}`."""
    settings: dict[str, Any] = {}
    for name, value in values.items():
        settings |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return settings


def yaml_text(values: Any) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def provenance(splits: Splits, recipe: Recipe) -> dict[str, Any]:
    import torch  # verbs without a model read runs too

    return {
        "limbeck": limbeck.__version__,
        "revision": revision(),
        "versions": versions(),
        "machine": {
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "processes": process_count(),
            "parallelism": recipe.training.parallelism,
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        },
        "seed": recipe.seed,
        "data": data_hashes(splits),
        "command": sys.argv,
        "started": now(),
    }


def versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES if find_spec(name)}


def data_hashes(splits: Splits) -> dict[str, Any]:
    """Return the number of rows and the SHA-256 of each split."""
    return {name: {"rows": len(rows := getattr(splits, name)), "sha256": digest(rows)} for name in get_args(Split)}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def revision() -> str | None:
    """Return the git revision of limbeck, "-dirty" after changes; None without a checkout."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(limbeck.__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=9).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # else the checkout is of something else
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None
