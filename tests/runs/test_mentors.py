"""Rationales chosen by a reference student, and soft labels: against a plain sort, and plain scores."""

import pytest

from limbeck.data import View, load, variants
from limbeck.data.load import RationaleSettings
from limbeck.errors import DataError, RecipeError
from limbeck.metrics.usable import pointwise
from limbeck.models.loading import open_student
from limbeck.runs import train
from limbeck.runs.mentors import select_rationales, soft_labels
from tests.helpers.archives import write_rows
from tests.runs.recipes import rows_of, tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rows = [
        {
            "input": f"{i}+{i % 7}?",
            "label": str(i + i % 7),
            "rationales": [f"add {i}", f"count {i % 7} on", "guess"][: 1 + i % 3],
        }
        for i in range(30)
    ]
    path = write_rows(tmp_path_factory.mktemp("data") / "rows.jsonl", rows)
    return {"task": "custom", "source": {"kind": "files", "train_file": str(path)}}


@pytest.fixture(scope="module")
def reference(data, tmp_path_factory):
    return train(tiny(data=data, objective="mi-bound"), tmp_path_factory.mktemp("runs") / "reference")


def test_the_rationales_that_tell_least_are_left_out(data, reference):
    examples = load(reference.recipe.data).train
    shown = [row for example in examples for row in variants(example, View.EXPLAIN)]
    gains = pointwise(open_student(reference.model)[0], shown, batch_size=64)
    for per_question in ("all", "best"):
        settings = RationaleSettings(per_question=per_question, reference=reference.path, drop=0.3)
        rows, left_out = select_rationales(examples, settings, batch_size=64)
        present = {(row.id, row.rationale): gain for row, gain in zip(shown, gains, strict=True)}
        for lowest in sorted(present, key=present.get)[: round(0.3 * len(shown))]:
            del present[lowest]
        total = 0
        for example, row in zip(examples, rows, strict=True):
            chosen = [r for r in example.rationales or (example.rationale,) if (example.id, r) in present]
            if per_question == "best" and chosen:
                chosen = [max(chosen, key=lambda r: present[example.id, r])]
            total += len(chosen)
            assert (row.rationale, row.rationales) == (
                chosen[0] if chosen else None,
                tuple(chosen) if len(chosen) > 1 else (),
            )
        assert left_out == len(shown) - total


def test_the_best_without_a_reference_is_the_first(data, reference):
    examples = load(reference.recipe.data).train
    rows, left_out = select_rationales(examples, RationaleSettings(per_question="best"), batch_size=64)
    assert [row.rationale for row in rows] == [example.rationale for example in examples]
    assert not any(row.rationales for row in rows)
    assert left_out == sum(len(example.rationales) - 1 for example in examples if example.rationales)
    assert select_rationales(examples, RationaleSettings(), batch_size=64) == (list(examples), 0)


def test_a_training_leaves_them_out_and_says_so(data, reference, tmp_path):
    choice = {"reference": str(reference.path), "drop": 0.5}
    run = train(tiny(data={**data, "rationales": choice}), tmp_path / "run")
    plain = train(tiny(data=data), tmp_path / "plain")
    counts = [run.results["training"]["targets"] for run in (run, plain)]
    assert counts[1] - counts[0] == run.results["notes"]["rationales_left_out"] > 0
    drawn = train(tiny(data={**data, "rationales": {"per_question": "random"}}), tmp_path / "drawn")
    assert drawn.results["training"]["targets"] == counts[1]


def test_a_reference_that_reads_no_rationales_is_refused(data, tmp_path):
    run = train(tiny(data=data), tmp_path / "dss")
    with pytest.raises(RecipeError) as caught:
        train(tiny(data={**data, "rationales": {"per_question": "best", "reference": str(run.path)}}), tmp_path / "run")
    assert caught.value.field == "data.rationales.reference"
    for values in ({"drop": 0.5}, {"reference": str(run.path)}):
        with pytest.raises(RecipeError):
            tiny(data={**data, "rationales": values})


def test_a_mentors_probabilities_of_the_choices_are_its_confidences(tmp_path):
    rows = [{"input": f"Is {i} odd?", "label": ("no", "yes")[i % 2], "rationale": "Count."} for i in range(20)]
    source = {"kind": "files", "train_file": str(write_rows(tmp_path / "rows.jsonl", rows))}
    data = {"task": "custom", "choices": ["yes", "no"], "source": source}
    mentor = train(tiny(data=data, evaluation={"answers": "choices"}), tmp_path / "mentor")
    examples = soft_labels(load(mentor.recipe.data).test, mentor.path, mentor.recipe.data.get_task(), batch_size=3)
    predictions = {row["id"]: row["probabilities"] for row in rows_of(mentor.predictions("test"))}
    assert {row.id: pytest.approx(dict(row.votes), rel=1e-5) for row in examples} == predictions
    with pytest.raises(DataError):
        train(tiny(data=data, objective="soft"), tmp_path / "without")  # no votes and no mentor
    joint = train(tiny(data=data, objective="answer-first"), tmp_path / "joint")
    with pytest.raises(RecipeError) as caught:
        train(tiny(data={**data, "mentor": str(joint.path)}, objective="soft"), tmp_path / "other")
    assert caught.value.field == "data.mentor"
    with pytest.raises(RecipeError):
        tiny(data={**data, "mentor": str(mentor.path)}, objective="dss")
    run = train(tiny(data={**data, "mentor": str(mentor.path)}, objective="soft"), tmp_path / "soft")
    assert "chosen" in run.provenance["data"]
    assert "term_soft" in rows_of(run.log)[0]
