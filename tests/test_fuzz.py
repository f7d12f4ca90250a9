"""Recipes, jobs, grids, prompts, runs and rows that are broken: each gives a result or one clear line, and soon.

`make test` tries 500, `make test-all` 10,000.
"""

import copy
import io
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from limbeck import tasks
from limbeck.annotation.prompts import prompt_file
from limbeck.cli import main
from limbeck.data import read_rows
from limbeck.errors import LimbeckError
from limbeck.runs import EvaluationOptions, Recipe, evaluate, load_recipe, train
from tests.helpers.archives import write_rows
from tests.runs.recipes import TINY, tiny

SECONDS, MEMORY = 5, 2**30  # of this process's computation; bytes
KINDS = 7
SIZES = [500 // KINDS + 1, pytest.param(10_000 // KINDS + 1, marks=pytest.mark.slow)]

WORDS = [
    "mi",
    "dss",
    "max",
    "steps",
    "archive",
    "files",
    "../..",
    "~",
    "",
    "{{7*7}}",
    "\x00",
    "\x1b[2J",
    "[/red]",
    "\u202e",
]
NUMBERS = [10**30, 10**400, -1, 0.1, float("nan"), float("inf"), 1e-300, 100_000, 2**31]
scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([*NUMBERS, *WORDS]) | st.text(max_size=12)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
deep: Any = None
for _ in range(200):
    deep = [deep]
LARGE = [["x"] * 1500, "y" * 200_000, {str(n): n for n in range(1500)}, deep]
BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 1}]\n" for n in range(12))
NOISE = [
    "",
    "{",
    "[" * 3000,
    "null",
    "\ufeff",
    '"a"',
    "\ud800",
    "- ",
    ": ",
    "&a ",
    "*a",
    "!!python/name:os.system ",
    BOMB,
]
NOISE += [
    "0x" + "f" * 4300,
    "2026-01-01",
    "<<: *a",
    "%",
    f"[{'1, ' * 60_000}]",
    "NaN",
    "1e999",
    "\x00",
    '{"id": 1}\n',
    "\u2028",
]


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """Draw a value in which some parts are replaced, removed or added."""
    value = copy.deepcopy(value)
    for parent, key in draw(st.lists(st.sampled_from(list(_places(value))), min_size=1, max_size=3)):
        with suppress(LookupError):  # removed before
            if draw(st.integers(0, 4)) == 0:
                del parent[key]
            else:
                parent[key] = draw(values | st.sampled_from(LARGE))
        if isinstance(parent, dict) and draw(st.integers(0, 4)) == 0:
            parent[draw(st.text(max_size=6))] = draw(values)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


@st.composite
def garbled(draw: st.DrawFn, text: str) -> str:
    """Draw a text that is cut, or in which noise stands."""
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    return draw(st.sampled_from([text[:start], text[:start] + draw(st.sampled_from(NOISE)) + text[end:]]))


@st.composite
def files(draw: st.DrawFn, text: str, kind: str) -> str:
    """Draw the text of a file of YAML, JSON or JSON lines, or of another `kind`, with changes."""
    if draw(st.integers(0, 2)) == 0 or kind not in (".yaml", ".json", ".jsonl"):
        return draw(garbled(text))
    with suppress(RecursionError):
        if kind == ".yaml":
            return yaml.safe_dump(draw(changed(yaml.safe_load(text))))
        if kind == ".json":
            return json.dumps(draw(changed(json.loads(text))))
        return "".join(json.dumps(row) + "\n" for row in draw(changed([*map(json.loads, text.splitlines())])))
    return text


def fuzzed(count: int) -> Any:
    """Draw `count` cases, always the same; a failing one is shown as it is, since making it smaller takes long."""
    checks, phases = [*HealthCheck], [Phase.generate]
    return settings(
        max_examples=count, deadline=None, database=None, derandomize=True, phases=phases, suppress_health_check=checks
    )


@contextmanager
def within_limits() -> Iterator[None]:
    """Fail where the block takes too much time of the processor, or memory (on Linux)."""
    start, status, peak = time.process_time(), Path("/proc/self/status"), 0
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak is the present from here on
        peak = _peak(status)
    yield
    assert time.process_time() - start < SECONDS
    if peak:
        assert _peak(status) - peak < MEMORY


def _peak(status: Path) -> int:
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])


def limbeck(*words: Any) -> int:
    """Run the command line; whatever it is given, it ends in a result or one line. Return the exit code."""
    output, errors, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["limbeck", *map(str, words)]
    try:
        with within_limits(), redirect_stdout(output), redirect_stderr(errors), pytest.raises(SystemExit) as end:
            main()
    finally:
        sys.argv = before
    assert end.value.code in (None, 0, 1, 2)
    if end.value.code == 2:
        last = errors.getvalue().splitlines()[-1]
        assert last.startswith("limbeck: error: ") and len(last) < 1500
    assert not (set(map(chr, range(32))) - {"\n", "\t"}) & set(output.getvalue() + errors.getvalue())
    return end.value.code or 0


@contextmanager
def one_line_for(file: str) -> Iterator[Path]:
    """Yield a path of that name; an error may end the block, of one line that names the file."""
    with tempfile.TemporaryDirectory() as folder, within_limits():
        try:
            yield Path(folder) / file
        except LimbeckError as error:
            assert len(str(error)) < 1500 and "\n" not in str(error)
            assert file in str(error) or file == "recipe.yaml"
            assert not (Path(folder) / "run").exists()


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return path


RECIPE = yaml.safe_dump(TINY)


@pytest.mark.parametrize("count", SIZES)
def test_a_broken_recipe_gives_a_run_or_one_line(count):
    @fuzzed(count)
    @given(text=files(RECIPE, ".yaml"))
    def try_it(text):
        with one_line_for("recipe.yaml") as path:
            recipe = load_recipe(write(path, text))
            assert Recipe.parse(recipe.resolved(), "again").key == recipe.key
            scratch = recipe.student.scratch
            small = scratch and (scratch.num_layers, scratch.d_model, recipe.student.max_target_length) == (1, 16, 24)
            if recipe.training.max_steps in range(1, 5) and small:  # else it takes long
                assert train(recipe, path.with_name("run")).finished

    try_it()


GRID = yaml.safe_dump(
    {"recipe": TINY, "axes": {"objective": ["dss", "mi"], "sizes": {"a": {"training.max_steps": 3}}}, "seeds": 2}
)


@pytest.mark.parametrize("count", SIZES)
def test_a_broken_grid_gives_its_cells_or_one_line(count, tmp_path):
    assert limbeck("grid", write(tmp_path / "g.yaml", GRID), "--out", tmp_path / "runs", "--dry-run") == 0

    @fuzzed(count)
    @given(text=files(GRID, ".yaml"))
    def try_it(text):
        limbeck("grid", write(tmp_path / "g.yaml", text), "--out", tmp_path / "runs", "--dry-run")
        assert not (tmp_path / "runs").exists()

    try_it()


ROWS = [{"input": f"Ada has {n} pears and eats one.", "label": str(n - 1), "id": str(n)} for n in range(3, 6)]
JOB = {
    "rows": "rows.jsonl",
    "task": "svamp",
    "store": "store.sqlite",
    "prompt": "prompt.yaml",
    "marker": "So:",
    "teacher": {"name": "m", "base_url": "http://127.0.0.1:9/v1", "key": "MY_KEY", "engine": "endpoint"},
    "sampling": {"samples": 2, "temperature": 0.7, "top_p": 0.9, "max_tokens": 64, "extra": {"seed": 1}},
    "limits": {"concurrency": 2, "hours": 1.0},
    "budget": {"tokens": 1000},
    "prices": {"input": 1, "output": 2},
    "rationalise": True,
    "reverse": True,
    "columns": {"input": "input", "id": ["id"]},
    "choices": [],
}
PROMPT = prompt_file("svamp").read_text().replace("The answer is", "So:")


@pytest.fixture
def job_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "rows.jsonl", ROWS)
    write(tmp_path / "prompt.yaml", PROMPT)
    write(tmp_path / "job.yaml", yaml.safe_dump(JOB))
    assert limbeck("annotate", "run", "job.yaml", "--dry-run") == 0
    return tmp_path


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize(("file", "text"), [("job.yaml", yaml.safe_dump(JOB)), ("prompt.yaml", PROMPT)])
def test_a_broken_job_or_prompt_gives_its_costs_or_one_line(count, job_folder, file, text):
    @fuzzed(count)
    @given(text=files(text, ".yaml"))
    def try_it(text):
        write(job_folder / file, text)
        limbeck("annotate", "run", "job.yaml", "--dry-run")

    try_it()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run that was evaluated and served."""
    folder = tmp_path_factory.mktemp("fuzz") / "run"
    train(tiny(evaluation={"rationales": True}), folder)
    evaluate(folder, EvaluationOptions(rationales=True))
    shutil.rmtree(folder / "checkpoints")
    times = {"started": "2026-01-01", "ended": "2026-01-02", "engine": "transformers", "seconds": 1, "waited": 0}
    write_rows(folder / "serving.jsonl", [{**times, "questions": 3, "passed_on": 0, "failed": 0, "teacher": None}])
    judged = {"id": "test-0", "task": "t", "run": "Gold", "label": "1", "rationale": "r", "judge": "m"}
    scores = {"temperature": 0, "replies": ["4"], "scores": [4]}
    write_rows(folder / "evaluation" / "judge-test.jsonl", [judged | scores])
    return folder


VERBS = [
    *[["report", "RUN", "GOOD", "-o", "OUT"]] * 3,
    *(["report", "RUN", "-o", "OUT"], ["compare", "RUN", "GOOD"], ["push", "RUN", "me/model", "--yes"]),
    *(["predict", "RUN", "--input", "ROWS", "--output", "-"], ["evaluate", "RUN"]),
    ["export", "RUN", "--to", "hf", "-o", "EXPORT"],
]


@pytest.mark.parametrize("count", SIZES)
def test_a_broken_run_gives_a_result_or_one_line(count, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = tmp_path / "good"
    train(tiny(objective="finetune"), good)
    paths = sorted(path for path in run.rglob("*") if path.is_file() and path.suffix not in (".safetensors", ".lock"))
    texts = {str(path.relative_to(run)): path.read_text() for path in paths}
    write_rows(tmp_path / "rows.jsonl", [{"input": "2 + 3?"}])
    places = {
        "EXPORT": tmp_path / "export",
        "RUN": tmp_path / "run",
        "GOOD": good,
        "OUT": tmp_path / "out",
        "ROWS": tmp_path / "rows.jsonl",
    }

    @fuzzed(count)
    @given(data=st.data(), name=st.sampled_from(sorted(texts)), words=st.sampled_from(VERBS))
    def try_it(data, name, words):
        shutil.copytree(run, tmp_path / "run")
        try:
            write(tmp_path / "run" / name, data.draw(files(texts[name], Path(name).suffix)))
            limbeck(*(places.get(word, word) for word in words))
        finally:
            for name in ("run", "export"):
                shutil.rmtree(tmp_path / name, ignore_errors=True)

    shutil.copytree(run, tmp_path / "run")
    codes = {" ".join(words): limbeck(*(places.get(word, word) for word in words)) for words in VERBS}
    assert {words for words, code in codes.items() if code != 0} == {"push RUN me/model --yes"}  # no network
    for name in ("run", "export"):
        shutil.rmtree(tmp_path / name)
    try_it()


cells = scalars | st.lists(scalars, max_size=3) | st.sampled_from(["Ada has 3 pears.", "( 3.0 + 2.0 )", "entailment"])
FIELD_NAMES = {field for task in tasks.TASKS.values() for fields in task.fields for field in fields}
NAMES = ["input", "label", "rationale", "id", "teacher_label", "choices", "answers", *sorted(FIELD_NAMES)]


@pytest.mark.parametrize("count", SIZES)
def test_broken_rows_give_examples_or_one_line(count):
    @fuzzed(count)
    @given(
        rows=st.lists(st.dictionaries(st.sampled_from(NAMES), cells, max_size=5), max_size=4),
        noise=st.sampled_from(NOISE),
        task=st.sampled_from(sorted(tasks.TASKS)),
        labelled=st.booleans(),
    )
    def try_it(rows, noise, *, task, labelled):
        with one_line_for("rows.jsonl") as path:
            write(path, "".join(json.dumps(row) + "\n" for row in rows) + noise)
            for example in read_rows(path, labelled=labelled, task=tasks.get(task)):
                assert all(isinstance(segment, str) and segment.strip() for segment in example.segments)
                assert example.label.strip() if labelled else isinstance(example.label, str)
                assert example.rationale is None or example.rationale.strip()

    try_it()


@pytest.mark.parametrize("count", SIZES)
def test_files_of_noise_give_examples_or_one_line(count):
    @fuzzed(count)
    @given(data=st.binary(max_size=200), suffix=st.sampled_from([".jsonl", ".csv", ".parquet", ".txt"]))
    def try_it(data, suffix):
        with one_line_for(f"rows{suffix}") as path:
            path.write_bytes(data)
            read_rows(path, labelled=False)

    try_it()
