"""Rationales exported to files and the Hub, and rows imported: what is written, and what is never overwritten."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest

from limbeck.annotation.prompts import prompt_text
from limbeck.annotation.results import export, import_rows
from limbeck.data import DataSettings, read, read_rows
from limbeck.errors import LimbeckError
from limbeck.files import read_json, read_jsonl
from tests.annotation.jobs import fill, make_job, reply_with
from tests.helpers.archives import write_rows, write_shards
from tests.helpers.hub import REFUSALS, TOKEN, Seen, environment, files_of, running

ROWS = [{"id": "a", "input": "What is 1?", "label": "1"}, {"id": "b", "input": "What is 2?", "label": "2"}]


def test_one_row_a_question_or_every_rationale(tmp_path):
    job = make_job(tmp_path, ROWS, sampling={"samples": 3})
    said = [reply_with("1", f"It is for the reason number {i}.") for i in range(3)]
    fill(job, {"a": said, "b": [reply_with("2"), reply_with("7"), reply_with("2", "One and one more is two.")]})
    one, every = tmp_path / "one.jsonl", tmp_path / "every.jsonl"
    assert export(job, one, "limbeck", all_rationales=False)["rows"] == 2
    assert [(row["id"], row["rationale"]) for _, row in read_jsonl(one)] == [
        ("a", "It is for the reason number 0."),
        ("b", "We think of it a little while."),
    ]
    done = export(job, every, "limbeck", all_rationales=True)
    assert (done["rows"], done["rationales"], done["left_out"]) == (5, 5, 0)
    assert [row["id"] for _, row in read_jsonl(every)] == ["a", "a#2", "a#3", "b", "b#2"]
    assert len({row["rationale"] for _, row in read_jsonl(every)}) == 5
    assert read_json(tmp_path / "every.provenance.json") == json.loads(json.dumps(done))


@pytest.mark.parametrize(("form", "label"), [("messages", "1"), ("limbeck", None)])
def test_nothing_is_written_where_there_is_nothing_to_write(form, label, tmp_path):
    job = make_job(tmp_path, [{"input": "What is 1?", "label": label}])
    fill(job, {"questions-0": ["I do not know."]})
    with pytest.raises(LimbeckError, match=r"annotations\.sqlite: nothing to export; `limbeck annotate show`"):
        export(job, tmp_path / "annotated.jsonl", form, all_rationales=False)
    assert not list(tmp_path.glob("annotated*"))


# names that JSON lines might be written to, so that nothing but the check for the job's own files refuses them
@pytest.mark.parametrize("name", ["questions.jsonl", "store.jsonl", "prompt.json", "folder/../questions.jsonl"])
def test_the_jobs_own_files_are_not_written_over(name, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "prompt.json").write_text(prompt_text("custom"))
    job = make_job(tmp_path, ROWS, store=str(tmp_path / "store.jsonl"), prompt=str(tmp_path / "prompt.json"))
    fill(job, {"a": [reply_with("1")]})
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(LimbeckError, match="would overwrite"):
        export(job, tmp_path / name, "limbeck", all_rationales=False)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("name", ["annotate.yaml", "rows.csv", "rows"])
def test_json_lines_go_to_a_file_that_says_so(name, tmp_path):
    job = make_job(tmp_path, ROWS)
    fill(job, {"a": [reply_with("1")]})
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(LimbeckError, match=r"ends in \.jsonl"):
        export(job, tmp_path / name, "limbeck", all_rationales=False)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


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
    source.write_text(json.dumps({"prompt": "What is 1?", "completion": reply_with("1")}) + "\n")
    before = source.read_bytes()
    with pytest.raises(LimbeckError, match="would overwrite"):
        import_rows(source, tmp_path / name, "custom")
    assert source.read_bytes() == before
    [written], _ = import_rows(source, Path(tmp_path / "rows.jsonl"), "custom")
    assert read_rows(written)[0].rationale == "We think of it a little while."


UPLOAD_ALL = """
import json, sys
from pathlib import Path
from limbeck.annotation.results import upload
from limbeck.errors import LimbeckError
outcomes = {}
for name, private in json.load(sys.stdin):
    try:
        outcomes[name] = upload(Path("annotated.jsonl"), name, private=private)
    except LimbeckError as error:
        outcomes[name] = f"error: {error}"
json.dump(outcomes, sys.stdout)
"""


@pytest.fixture(scope="module")
def uploads(tmp_path_factory) -> Iterator[tuple[Path, str, dict[str, str], Seen]]:
    """The folder of an export, the Hub's address, the outcome of every upload, and every request that arrived."""
    folder = tmp_path_factory.mktemp("hub")
    job = make_job(folder, [{"id": "a", "input": "Où est le bois ?", "label": "forêt"}, *ROWS[1:]])
    fill(job, {"a": [reply_with("forêt", "Les arbres…\n\U0001f332")]})
    export(job, folder / "annotated.jsonl", "limbeck", all_rationales=False)
    names = [("me/rows", True), ("mine", False), *((f"me/{name}", True) for _, name in REFUSALS)]
    with running() as (endpoint, seen):
        done = subprocess.run(  # the Hub's library reads its settings when it is imported
            [sys.executable, "-c", UPLOAD_ALL],
            input=json.dumps(names), env=environment(endpoint, folder), cwd=folder,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert TOKEN not in done.stdout + done.stderr
        yield folder, endpoint, json.loads(done.stdout), seen


def test_an_upload_is_a_data_set_with_a_card(uploads, tmp_path, monkeypatch):
    folder, endpoint, outcomes, seen = uploads
    assert (outcomes["me/rows"], outcomes["mine"]) == tuple(
        f"{endpoint}/datasets/me/{name}" for name in ("rows", "mine")
    )
    files = files_of(seen, "rows")
    assert files["train.jsonl"] == (folder / "annotated.jsonl").read_bytes()
    assert "2 rows, with 1 rationales that m wrote" in files["README.md"].decode()
    for path, content in files.items():
        (tmp_path / path).write_bytes(content)
    (tmp_path / "other.jsonl").write_text('{"nothing": 1}\n')  # the card says which file is read
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    settings = DataSettings.parse({"task": "custom", "source": {"kind": "hub", "path": str(tmp_path)}}, "x")
    assert read(settings) == {"train": read_rows(folder / "annotated.jsonl")}
    created = {body["name"]: body["visibility"] for path, body, _ in seen if path == "/api/repos/create"}
    assert (created["rows"], created["mine"]) == ("private", "public")
    assert {header for _, _, header in seen} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("name", [name for _, name in REFUSALS])
def test_a_refused_upload_is_one_line_without_the_token(name, uploads):
    error = uploads[2][f"me/{name}"]
    assert error.startswith(f"error: me/{name}: ")
    assert "\n" not in error and TOKEN not in error
