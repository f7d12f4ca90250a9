"""Runs grouped over seeds, their predictions measured and compared: pairs, seeds, Holm's method by hand."""

import shutil

import numpy as np
import pytest

from limbeck.errors import DataError, FileError, RecipeError
from limbeck.report.answers import grade
from limbeck.report.write import find_runs
from limbeck.runs.compare import calibrate_file, compare_runs, differences, group_runs
from tests.helpers.archives import write_rows, write_run
from tests.runs.recipes import TINY


@pytest.fixture
def answers(tmp_path):
    """`answers(name, right, first, label)`: a file with answers that are right or not, with ids from `first` on."""

    def write(name, right, first=0, label="a"):
        rows = [{"id": str(i), "label": label, "prediction": label if ok else "-"} for i, ok in enumerate(right, first)]
        return write_rows(tmp_path / f"{name}.jsonl", rows)

    return write


def test_every_pair_is_compared_and_adjusted_for_their_number(answers):
    rng = np.random.default_rng(0)
    files = {f"{p}": answers(p, rng.uniform(size=150) < p) for p in (0.5, 0.6, 0.85)}
    p_values = {}
    for a, entries in differences(files).items():
        assert [entry["run"] for entry in entries] == [name for name in files if name != a]
        for entry in entries:
            pair = compare_runs([files[a]], [files[entry["run"]]])
            p_values[frozenset((a, entry.pop("run")))] = (entry["p_value"], entry.pop("adjusted"))
            assert entry == {key: pytest.approx(pair[key]) for key in entry}
    raw = sorted(p for p, _ in p_values.values())
    adjusted = [min(max((3 - j) * raw[j] for j in range(k + 1)), 1) for k in range(3)]
    assert sorted(p for _, p in p_values.values()) == pytest.approx(adjusted)


def test_runs_on_other_examples_are_compared_on_shared_ones_or_not_at_all(answers):
    rng = np.random.default_rng(1)
    files = {name: answers(name, rng.uniform(size=50) < 0.5, first) for name, first in (("a", 0), ("b", 0), ("c", 9))}
    entries = differences(files)
    reasons = {a: ["reason" in entry for entry in row] for a, row in entries.items()}
    assert reasons == {"a": [False, True], "b": [False, True], "c": [True, True]}
    assert "18 examples" in entries["a"][1]["reason"]
    assert entries["a"][0]["adjusted"] == entries["a"][0]["p_value"]
    sides = [answers("d", [True] * 10)], [answers("e", [True] * 15, first=5)]
    with pytest.raises(DataError, match="15 examples"):
        compare_runs(*sides)
    comparison = compare_runs(*sides, shared=True)
    assert (comparison["n"], comparison["left_out"], comparison["p_value"]) == (5, 15, 1.0)


def test_a_run_is_compared_once_and_on_the_same_labels(answers, tmp_path):
    a = answers("a", [True, False])
    copy = shutil.copy(a, tmp_path / "copy.jsonl")
    assert compare_runs([a, copy], [a])["seeds"] == (2, 1)
    for side in ([a, a], [a, tmp_path / "." / "a.jsonl"]):
        with pytest.raises(DataError, match="twice"):
            compare_runs(side, [a])
    with pytest.raises(DataError, match="'0'"):
        compare_runs([a], [answers("c", [True, True], label="b")])


def test_answers_without_a_confidence_are_left_out_and_counted(tmp_path):
    confidences = [0.9, 0.8, None, 0.6, 0.7]
    rows = [{"id": i, "label": "a", "prediction": "ab"[i % 2], "confidence": p} for i, p in enumerate(confidences)]
    rows.append({"id": 5, "label": "a", "prediction": "", "confidence": None})
    metrics = calibrate_file(write_rows(tmp_path / "p.jsonl", rows))
    assert (metrics["n"], metrics["without_confidence"], metrics["unanswered"]) == (5, 1, 1)
    assert metrics["average_confidence"] == pytest.approx((0.9 + 0.8 + 0.6 + 0.7 + 0) / 5)
    assert metrics["brier"] == pytest.approx((0.1**2 + 0.8**2 + 0.6**2 + 0.3**2 + 0) / 5)


def test_a_temperature_of_choices_is_not_taken_for_answers_without(tmp_path):
    rng, rows = np.random.default_rng(2), []
    for i, p in enumerate(rng.dirichlet([1, 1, 1], 200)):
        shares, label = dict(zip("abc", p.tolist(), strict=True)), rng.choice(list("abc"), p=p**0.5 / (p**0.5).sum())
        row = {"id": str(i), "label": str(label), "prediction": "abc"[p.argmax()], "confidence": float(p.max())}
        rows.append({**row, "probabilities": shares})
    without = [{key: value for key, value in row.items() if key != "probabilities"} for row in rows]
    complete, bare = write_rows(tmp_path / "p.jsonl", rows), write_rows(tmp_path / "q.jsonl", without)
    of_choices, of_answers = (calibrate_file(path, path)["temperature"] for path in (complete, bare))
    assert abs(of_choices - of_answers) > 0.05
    assert calibrate_file(bare, complete)["temperature"] == of_answers
    metrics = calibrate_file(complete, bare)
    assert metrics["temperature"] is None
    assert metrics["temperature_reason"]


def finished(folder, right, **changes):
    """Write a finished run's folder; `right` has which of its answers are right."""
    rows = [{"id": id, "label": "1", "prediction": "1" if yes else "2"} for id, yes in right.items()]
    write_run(folder, TINY | changes, rows)


def test_seeds_of_a_recipe_are_a_group_named_by_what_differs_within_its_task(tmp_path):
    custom = {"task": "custom", "source": {"kind": "files", "train_file": "rows.jsonl"}}
    mi = {"name": "mi", "alignment_weight": 0.2}
    for seed in (3, 1):
        finished(tmp_path / "deep" / f"dss{seed}", {"a": seed == 1, "b": True, str(seed): True}, seed=seed)
    finished(tmp_path / "e", {"x": True}, data=custom)
    finished(tmp_path / "f", {"x": True}, training=TINY["training"] | {"max_steps": 9})
    finished(tmp_path / "g", {"x": True}, data={**custom, "train_fraction": 0.5})
    finished(tmp_path / "h", {"x": True}, objective=mi)
    finished(tmp_path / "i", {"x": True}, data=custom, objective=mi)
    finished(tmp_path / "unfinished", {}, objective="kl")
    (tmp_path / "unfinished" / "results.json").unlink()
    runs = find_runs([tmp_path, tmp_path / "h"])[0]
    assert len(runs) == 8
    groups = group_runs(runs)
    assert [(group.name, [run.recipe.seed for run in group.runs]) for group in groups] == [
        ("dss, training.max_steps=4", [1, 3]),
        ("dss, data.train_fraction=1.0", [7]),
        ("dss, training.max_steps=9", [7]),
        ("dss, data.train_fraction=0.5", [7]),
        ("mi, training.max_steps=4", [7]),
        ("mi, data.train_fraction=1.0", [7]),
    ]
    assert (groups[0].task, groups[1].task) == ("arithmetic", "custom")
    (graded,) = grade(groups[:1], with_data=False)
    assert np.array_equal(graded.correct, [[True, True], [False, True]])


def test_adapters_are_told_from_whole_students(tmp_path):
    for name, lora in {"a": {"r": 8}, "b": {"r": 16}, "c": None}.items():
        finished(tmp_path / name, {"x": True}, student={"name": "base", "lora": lora})
    names = [group.name for group in group_runs(find_runs([tmp_path])[0])]
    assert names == ["dss, LoRA=yes, student.lora.r=8", "dss, LoRA=yes, student.lora.r=16", "dss"]


def test_missing_and_repeated_runs_are_refused(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(FileError):
            find_runs([path])
    for name in ("first", "second"):
        finished(tmp_path / name, {"a": True})
    with pytest.raises(RecipeError):
        group_runs(find_runs([tmp_path])[0])
