"""Broken recipes and data rows: each gives a run or one clear line, never another exception.

LIMBECK_FUZZ sets how many of each; `make fuzz` tries thousands.
"""

import copy
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limbeck import tasks
from limbeck.data import read_rows
from limbeck.errors import LimbeckError
from limbeck.runs import Recipe, load_recipe, train
from tests.runs.recipes import TINY

fuzzed = settings(
    max_examples=int(os.environ.get("LIMBECK_FUZZ", "10")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
WORDS = ["mi", "dss", "max", "steps", "archive", "files", "../..", "~", "", "{{7*7}}", "\x00"]
NUMBERS = [10**30, 10**400, -1, 0.1, float("nan"), float("inf"), 1e-300]
scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([*NUMBERS, *WORDS]) | st.text(max_size=12)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
SECTIONS = {name: getattr(field.annotation, "model_fields", {}) for name, field in Recipe.model_fields.items()}
FIELDS = [(section,) for section in [*SECTIONS, "surprise"]]
FIELDS += [(section, name) for section, fields in SECTIONS.items() for name in [*fields, "surprise"]]
FIELDS += [("data", "source", name) for name in ("error_rate", "root", "columns", "kind", "splits")]
FIELDS += [("student", "scratch", name) for name in TINY["student"]["scratch"]]


@st.composite
def recipes(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the tiny recipe with some of its values replaced, removed or added."""
    recipe = copy.deepcopy(TINY)
    for *parents, field in draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3)):
        level: Any = recipe
        for key in parents:
            level = level.get(key) if isinstance(level, dict) else None
        if isinstance(level, dict):
            level.pop(field, None)
            level |= {field: draw(values)} if draw(st.booleans()) else {}
    return recipe


@contextmanager
def one_line_for(file: str) -> Iterator[Path]:
    """Yield a path of that name; an error may end the block, of one line that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield Path(folder) / file
        except LimbeckError as error:
            assert len(str(error)) < 1500 and "\n" not in str(error)
            assert file in str(error) or file == "recipe.yaml"
            assert not (Path(folder) / "run").exists()


@fuzzed
@given(recipe=recipes())
def test_a_broken_recipe_gives_a_run_or_one_line(recipe):
    with one_line_for("recipe.yaml") as path:
        path.write_text(yaml.safe_dump(recipe))
        parsed = load_recipe(path)
        scratch = parsed.student.scratch
        if parsed.training.max_steps in range(1, 5) and scratch and scratch.num_layers == 1:  # else it takes long
            assert train(parsed, path.with_name("run")).finished


cells = scalars | st.lists(scalars, max_size=3) | st.sampled_from(["Ada has 3 pears.", "( 3.0 + 2.0 )", "entailment"])
FIELD_NAMES = {field for task in tasks.TASKS.values() for fields in task.fields for field in fields}
NAMES = ["input", "label", "rationale", "id", "teacher_label", "choices", "answers", *sorted(FIELD_NAMES)]
NOISE = ["", "{", "[1]", "null", '{"input": "a", "input": "b"}', "\ufeff", '"a"', "{}" * 3, "\ud800"]


@fuzzed
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(NAMES), cells, max_size=5), max_size=4),
    noise=st.sampled_from(NOISE),
    task=st.sampled_from(sorted(tasks.TASKS)),
    labelled=st.booleans(),
)
def test_broken_rows_give_examples_or_one_line(rows, noise, *, task, labelled):
    with one_line_for("rows.jsonl") as path:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows) + noise, errors="surrogatepass")
        for example in read_rows(path, labelled=labelled, task=tasks.get(task)):
            assert all(isinstance(segment, str) and segment.strip() for segment in example.segments)
            assert example.label.strip() if labelled else isinstance(example.label, str)
            assert example.rationale is None or example.rationale.strip()


@fuzzed
@given(data=st.binary(max_size=200), suffix=st.sampled_from([".jsonl", ".csv", ".parquet", ".txt"]))
def test_files_of_noise_give_examples_or_one_line(data, suffix):
    with one_line_for(f"rows{suffix}") as path:
        path.write_bytes(data)
        read_rows(path, labelled=False)
