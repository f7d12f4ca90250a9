"""Results of a job: counts, accuracy, training examples; exports to files and the Hub, and rows imported."""

import json
from pathlib import Path

import datasets
import pytest
from scipy.stats import binomtest

from limbeck.annotation.prompts import prompt_file
from limbeck.annotation.results import export, import_rows, read_results, replies, summary, training_examples
from limbeck.data import DataSettings, read, read_rows
from limbeck.errors import DataError, FileError, LimbeckError
from limbeck.files import read_json, read_jsonl
from limbeck.llm.messages import Failure
from tests.annotation.jobs import USED, fill, make_job, reply_with
from tests.helpers.archives import write_rows, write_shards
from tests.helpers.hub import REFUSALS, files_of, run_beside, running

ROWS = [{"id": "a", "input": "What is 1?", "label": "1"}, {"id": "b", "input": "What is 2?", "label": "2"}]


def test_the_counts_and_the_interval_of_the_accuracy(tmp_path):
    rows = [{"id": f"q{i}", "input": f"{i}?", "label": "1"} for i in range(12)] + [{"id": "free", "input": "And?"}]
    job = make_job(tmp_path, rows, sampling={"samples": 2})
    texts = {f"q{i}": [reply_with("1"), reply_with("1", f"There are {i} reasons for it.")] for i in range(7)}
    texts |= {"q7": [reply_with("2"), reply_with("2")], "q8": [reply_with("3"), "Hm."], "q9": ["Hm.", "Well."]}
    fill(job, {**texts, "free": [reply_with("4")]})
    counts = summary(read_results(job))
    interval = list(binomtest(7, 9).proportion_ci(method="wilson"))
    assert counts["votes"].pop("interval") == pytest.approx(interval, abs=1e-12)
    # without a vote: one that nothing can be read from, and two that were not asked
    assert counts["votes"] == {"accuracy": 7 / 9, "right": 7, "n": 9, "without_vote": 3, "without_label": 1}
    assert counts["kept"] == {"rationales": 15, "rectified": 0, "questions": 8}
    tokens = {"prompt": USED.prompt * 21, "completion": USED.completion * 21}
    assert counts["spent"] == {"tokens": tokens, "cost": None}


def test_questions_without_label_and_vote_are_left_out_and_counted(tmp_path):
    rows = [{"id": name, "input": f"{name}?"} for name in ("silent", "torn", "sure")]
    rows.append({"id": "known", "input": "And?", "label": "1"})
    job = make_job(tmp_path, rows, sampling={"samples": 3}, filters={"agreement": 0.5})
    torn = [reply_with("1"), reply_with("2"), reply_with("3")]
    agreed = [reply_with("1"), reply_with("1", "It is one for a good reason."), reply_with("2")]
    fill(job, {"silent": ["Well.", "Hm.", Failure("HTTP 500", "oops")], "torn": torn, "sure": agreed, "known": torn})
    examples = training_examples(read_results(job))
    parts = [(row.id, row.label, row.teacher_label, row.rationale) for row in examples]
    # a label is known, but a third of the answers is too little to reason by
    assert parts == [("sure", "1", "1", "We think of it a little while."), ("known", "1", "1", None)]
    for all_rationales, count in ((False, 1), (True, 2)):
        done = export(job, tmp_path / "annotated.jsonl", "limbeck", all_rationales=all_rationales)
        assert (done["rows"], done["rationales"], done["left_out"]) == (2, count, 2)
        assert read_json(tmp_path / "annotated.provenance.json") == json.loads(json.dumps(done))
        chat = export(job, tmp_path / "chat.jsonl", "messages", all_rationales=all_rationales)
        assert (chat["rows"], chat["rationales"], chat["left_out"]) == (count, count, 3)


def test_a_question_has_one_row_with_all_its_rationales_and_votes(tmp_path):
    rows = [{"id": name, "input": f"{name}?", "label": "1"} for name in ("mixed", "hinted", "lost", "plain")]
    rows[3] |= {"rationales": ["Of another", "teacher."], "votes": {"7": 1}}
    job = make_job(tmp_path, rows, sampling={"samples": 5}, answer="number", rationalise=True)
    wrong = [reply_with("2", "It must be two."), reply_with("2.0", "It must be two."), reply_with("3", "Three it is.")]
    mixed = [reply_with("1", "One is enough."), *wrong, reply_with("1.0", "It is one.")]
    mistaken = [*wrong, "Hm.", "The answer is 4."]
    fill(job, {"mixed": mixed, "hinted": mistaken, "lost": mistaken, "plain": [reply_with("1")]})
    hints = {"mixed": [reply_with("1", "By a hint.")], "hinted": [reply_with("1", "By reasoning.")]}
    fill(job, hints | {"lost": [reply_with("5", "Five after all.")]}, hint=True)
    done = export(job, tmp_path / "every.jsonl", "limbeck", all_rationales=True)
    assert [done[name] for name in ("rows", "rationales", "rectified", "left_out")] == [4, 4, 1, 0]
    assert done["kept"] == {"rationales": 5, "rectified": 1, "questions": 3}
    wrongs = ["It must be two.", "Three it is."]
    columns = ("rationale", "rationales", "rectified", "wrong_rationales", "votes")
    expected = {
        "mixed": ("One is enough.", ["One is enough.", "It is one."], None, wrongs, {"1": 0.4, "2": 0.4, "3": 0.2}),
        "hinted": ("By reasoning.", None, True, wrongs, {"2": 0.5, "3": 0.25, "4": 0.25}),
        "lost": (None, None, None, wrongs, {"2": 0.5, "3": 0.25, "4": 0.25}),
        "plain": ("We think of it a little while.", None, None, None, {"1": 1.0}),
    }
    exported = {row["id"]: row for _, row in read_jsonl(tmp_path / "every.jsonl")}
    assert {id: tuple(row.get(name) for name in columns) for id, row in exported.items()} == expected
    assert read_rows(tmp_path / "every.jsonl") == training_examples(read_results(job), all_rationales=True)
    export(job, tmp_path / "first.jsonl", "limbeck")
    for _, row in read_jsonl(tmp_path / "first.jsonl"):
        assert [row.get(name) for name in columns] == [
            *expected[row["id"]][:1],
            None,
            expected[row["id"]][2],
            None,
            None,
        ]
    for all_rationales, texts in ((True, expected["mixed"][1]), (False, expected["mixed"][:1])):
        done = export(job, tmp_path / "pairs.jsonl", "prompt-completion", all_rationales=all_rationales)
        pairs = [row["completion"] for _, row in read_jsonl(tmp_path / "pairs.jsonl")]
        reasons = [*texts, "By reasoning.", "We think of it a little while."]
        assert pairs == [f"{reason}\nThe answer is 1." for reason in reasons]
        assert (done["rows"], done["rationales"], done["left_out"]) == (len(pairs), len(pairs), 1)


def test_so_many_replies_of_an_outcome_and_no_more(tmp_path):
    job = make_job(tmp_path, [{"id": f"q{i}", "input": f"{i}?", "label": "1"} for i in range(5)])
    fill(job, {f"q{i}": [reply_with(answer)] for i, answer in enumerate("1221")})
    results = read_results(job)
    wrong = [{"id": f"q{i}", "label": "1", "read": "2", "text": reply_with("2")} for i in (1, 2)]
    assert [replies(results, "wrong", limit) for limit in (1, 9)] == [wrong[:1], wrong]
    assert replies(results, "not asked", 9) == []
    with pytest.raises(LimbeckError, match="did you mean 'wrong'"):
        replies(results, "wronk", 1)


def test_nothing_to_export_writes_nothing(tmp_path):
    job = make_job(tmp_path, [{"input": "What is 1?"}])
    fill(job, {"questions-0": ["I do not know."]})
    with pytest.raises(LimbeckError, match="nothing to export"):
        export(job, tmp_path / "annotated.jsonl", "limbeck")
    assert not list(tmp_path.glob("annotated*.json*"))


@pytest.mark.parametrize("name", ["store.jsonl", "prompt.json", "../x/questions.jsonl", "annotate.yaml"])
def test_the_jobs_own_files_are_not_written_over(name, tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "prompt.json").write_text(prompt_file("custom").read_text())
    job = make_job(folder, ROWS, store=str(folder / "store.jsonl"), prompt=str(folder / "prompt.json"))
    fill(job, {"a": [reply_with("1")]})
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(LimbeckError):
        export(job, folder / name, "limbeck", all_rationales=False)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_the_archive_becomes_a_file_a_split(tmp_path):
    source = tmp_path / "archive"
    for split, count in {"train": 4, "test": 2}.items():
        rows = [{"input": f"{split} {i} and one?", "label": f"( {i}.0 + 1.0 )"} for i in range(count)]
        if split == "train":
            rows.append({"input": "Unknown?", "label": None})
        write_rows(source / "svamp" / f"svamp_{split}.json", rows)
        outputs = ["No idea.", *(f"Why {i}. The answer is ({i} + 1).\n\nQ: more" for i in range(1, len(rows)))]
        write_shards(source / "svamp" / "llm", split, outputs, size=2)
    train, test = (tmp_path / "out" / f"svamp_{split}.jsonl" for split in ("train", "test"))
    counts = {"unparsed_rationales": 1, "unparsed_labels": 1}
    written = {train: {"rows": 5, **counts, "left_out": 1}, test: {"rows": 2, **counts, "left_out": 0}}
    unlabelled = {"it has no label": ["train: train-4"]}
    assert import_rows(source, tmp_path / "out", "svamp") == (written, unlabelled)
    assert [row.rationale for row in read_rows(train)] == [None, "Why 1.", "Why 2.", "Why 3."]
    assert [row.input for row in read_rows(test)] == ["test 0 and one?", "test 1 and one?"]
    with pytest.raises(LimbeckError, match="--task"):
        import_rows(source, tmp_path / "out", "custom")
    write_rows(source / "svamp" / "svamp_test.json", [{"input": f"test {i}?", "label": None} for i in range(2)])
    with pytest.raises(DataError, match="test"):
        import_rows(source, tmp_path / "new", "svamp")
    assert not (tmp_path / "new").exists()
    for output in (Path("-"), train):
        with pytest.raises(FileError, match="name a folder"):
            import_rows(source, output, "svamp")
    before = train.read_bytes()
    with pytest.raises(LimbeckError, match="would overwrite"):
        import_rows(train, train, "svamp")
    assert train.read_bytes() == before


UPLOAD_ALL = """
import json, sys
from pathlib import Path
from limbeck.annotation.results import upload
from limbeck.errors import LimbeckError
def outcome(name, private):
    try:
        return upload(Path("annotated.jsonl"), name, private=private)
    except LimbeckError as error:
        return f"error: {error}"
json.dump({name: outcome(name, private) for name, private in json.load(sys.stdin)}, sys.stdout)
"""


def test_uploads_are_data_sets_with_a_card_and_refusals_one_line(tmp_path, monkeypatch):
    job = make_job(tmp_path, [{"id": "a", "input": "Où est le bois ?", "label": "forêt"}, *ROWS[1:]])
    fill(job, {"a": [reply_with("forêt", "Les arbres…\n\U0001f332")]})
    export(job, tmp_path / "annotated.jsonl", "limbeck", all_rationales=False)
    names = [("me/rows", True), ("mine", False), *((f"me/{name}", True) for _, name in REFUSALS)]
    with running() as (endpoint, requests):
        outcomes = run_beside(endpoint, UPLOAD_ALL, names, tmp_path)
    urls = [outcomes.pop(name) for name in ("me/rows", "mine")]
    assert urls == [f"{endpoint}/datasets/me/{name}" for name in ("rows", "mine")]
    for name, error in outcomes.items():
        assert error.startswith(f"error: {name}: ") and "\n" not in error
    files = files_of(requests, "rows")
    assert files["train.jsonl"] == (tmp_path / "annotated.jsonl").read_bytes()
    assert "2 rows, with 1 rationales that m wrote" in files["README.md"].decode()
    created = {body["name"]: body["visibility"] for path, body, _ in requests if path == "/api/repos/create"}
    assert (created["rows"], created["mine"]) == ("private", "public")
    (tmp_path / "hub").mkdir()
    for path, content in {**files, "other.jsonl": b'{"nothing": 1}\n'}.items():  # the card says which file is read
        (tmp_path / "hub" / path).write_bytes(content)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    settings = DataSettings.parse({"task": "custom", "source": {"kind": "hub", "path": str(tmp_path / "hub")}}, "x")
    assert read(settings) == {"train": read_rows(tmp_path / "annotated.jsonl")}
