"""Rationales taken out to files, and rows brought in: what is written, and what is never written over."""

import json
from pathlib import Path

import pytest

from limbeck.annotation.prompts import prompt_text
from limbeck.annotation.transfer import export, import_rows, upload
from limbeck.data import read_rows
from limbeck.errors import LimbeckError
from limbeck.files import read_json, read_jsonl
from tests.annotation.jobs import fill, make_job, says
from tests.archives import write_rows, write_shards

ROWS = [{"id": "a", "input": "What is 1?", "label": "1"}, {"id": "b", "input": "What is 2?", "label": "2"}]


def test_one_row_a_question_or_every_rationale(tmp_path):
    job = make_job(tmp_path, ROWS, sampling={"samples": 3})
    said = [says("1", f"It is for the reason number {i}.") for i in range(3)]
    fill(job, {"a": said, "b": [says("2"), says("7"), says("2", "One and one more is two.")]})
    one, every = tmp_path / "one.jsonl", tmp_path / "every.jsonl"
    assert export(job, one, "limbeck", every=False)["rows"] == 2
    assert [(row["id"], row["rationale"]) for _, row in read_jsonl(one)] == [
        ("a", "It is for the reason number 0."),
        ("b", "We think of it a little while."),
    ]
    done = export(job, every, "limbeck", every=True)
    assert (done["rows"], done["rationales"], done["left_out"]) == (5, 5, 0)
    assert [row["id"] for _, row in read_jsonl(every)] == ["a", "a#2", "a#3", "b", "b#2"]
    assert len({row["rationale"] for _, row in read_jsonl(every)}) == 5
    assert read_json(tmp_path / "every.provenance.json") == json.loads(json.dumps(done))


@pytest.mark.parametrize(("form", "label"), [("messages", "1"), ("limbeck", None)])
def test_nothing_is_written_where_there_is_nothing_to_write(form, label, tmp_path):
    job = make_job(tmp_path, [{"input": "What is 1?", "label": label}])
    fill(job, {"questions-0": ["I do not know."]})
    with pytest.raises(LimbeckError, match=r"annotations\.sqlite: nothing to export; `limbeck annotate show`"):
        export(job, tmp_path / "annotated.jsonl", form, every=False)
    assert not list(tmp_path.glob("taught*"))


# names that JSON lines might be written to, so that nothing but the check for the job's own files refuses them
@pytest.mark.parametrize("name", ["questions.jsonl", "store.jsonl", "prompt.json", "folder/../questions.jsonl"])
def test_the_jobs_own_files_are_not_written_over(name, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "prompt.json").write_text(prompt_text("custom"))
    job = make_job(tmp_path, ROWS, store=str(tmp_path / "store.jsonl"), prompt=str(tmp_path / "prompt.json"))
    fill(job, {"a": [says("1")]})
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(LimbeckError, match="would overwrite what it is made from"):
        export(job, tmp_path / name, "limbeck", every=False)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("name", ["annotate.yaml", "taught.csv", "taught"])
def test_json_lines_go_to_a_file_that_says_so(name, tmp_path):
    job = make_job(tmp_path, ROWS)
    fill(job, {"a": [says("1")]})
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(LimbeckError, match=r"ends in \.jsonl"):
        export(job, tmp_path / name, "limbeck", every=False)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("private", [True, False])
def test_what_was_written_is_uploaded_as_private_as_asked(private, tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr(
        "limbeck.annotation.transfer.push", lambda rows, *more: sent.append((list(rows), *more)) or "url"
    )
    job = make_job(tmp_path, ROWS)
    fill(job, {"a": [says("1")]})
    export(job, tmp_path / "annotated.jsonl", "limbeck", every=False)
    assert upload(tmp_path / "annotated.jsonl", "me/rows", private) == "url"
    [(rows, name, card, asked)] = sent
    assert rows == [row for _, row in read_jsonl(tmp_path / "annotated.jsonl")]
    assert (name, asked) == ("me/rows", private)
    assert "2 rows, with 1 rationales that m wrote" in card


def test_the_archive_becomes_a_file_a_split(tmp_path):
    source = tmp_path / "archive"
    for split, count in {"train": 4, "test": 2}.items():
        rows = [{"input": f"{split} {i} and one?", "label": f"( {i}.0 + 1.0 )"} for i in range(count)]
        write_rows(source / "svamp" / f"svamp_{split}.json", rows)
        outputs = ["No idea.", *(f"Why {i}. The answer is ({i} + 1).\n\nQ: more" for i in range(1, count))]
        write_shards(source / "svamp" / "llm", split, outputs, size=2)
    done, left_out = import_rows(source, tmp_path / "out", "svamp")
    assert left_out == {}
    names = {split: tmp_path / "out" / f"svamp_{split}.jsonl" for split in ("train", "test")}
    assert done == {
        names["train"]: {"rows": 4, "unparsed_rationales": 1, "unparsed_labels": 1},
        names["test"]: {"rows": 2, "unparsed_rationales": 1, "unparsed_labels": 1},
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["svamp_test.jsonl", "svamp_train.jsonl"]
    train = read_rows(names["train"])
    assert [row.input for row in train] == [f"train {i} and one?" for i in range(4)]
    assert [row.rationale for row in train] == [None, "Why 1.", "Why 2.", "Why 3."]
    assert [row.input for row in read_rows(names["test"])] == ["test 0 and one?", "test 1 and one?"]
    with pytest.raises(LimbeckError, match="--task"):
        import_rows(source, tmp_path / "more", "custom")


@pytest.mark.parametrize("name", ["chat.jsonl", "folder/../chat.jsonl"])
def test_rows_are_not_imported_over_their_source(name, tmp_path):
    (tmp_path / "folder").mkdir()
    source = tmp_path / "chat.jsonl"
    source.write_text(json.dumps({"prompt": "What is 1?", "completion": says("1")}) + "\n")
    before = source.read_bytes()
    with pytest.raises(LimbeckError, match="would overwrite"):
        import_rows(source, tmp_path / name, "custom")
    assert source.read_bytes() == before
    [written], _ = import_rows(source, Path(tmp_path / "rows.jsonl"), "custom")
    assert read_rows(written)[0].rationale == "We think of it a little while."
