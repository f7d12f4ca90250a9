"""The verbs of `limbeck annotate`."""

import json

import pytest

from limbeck.files import read_jsonl
from tests.annotation.jobs import make_job, reply_with
from tests.helpers.archives import write_rows
from tests.helpers.processes import Forked
from tests.helpers.servers import Server, completion, error


@pytest.fixture
def job(tmp_path, monkeypatch):
    """`job(url, **settings)` writes annotate.yaml and five questions."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    rows = [{"input": f"What is {i}?", "label": str(i)} for i in range(5)]
    paths = {"rows": "questions.jsonl", "store": "annotations.sqlite"}
    return lambda url, **settings: make_job(tmp_path, rows, teacher={"name": "m", "base_url": url}, **paths, **settings)


def answer(number, request):
    number = request.question.removeprefix("What is ").removesuffix("?")
    text = "of it I know nothing" if number == "4" else number
    return completion(f"It is asked for {number} here, plainly.\nThe answer is {text}.", usage=(100, 20))


def test_a_job_from_its_cost_to_its_rows(limbeck, job, tmp_path):
    with Server(answer) as server:
        job(server.url, prices={"input": 10, "output": 100})
        code, out, _ = limbeck("annotate", "run", "annotate.yaml", "--dry-run")
        assert (code, "missing" in out, server.count) == (0, True, 0)
        code, out, err = limbeck("annotate", "run", "annotate.yaml")
        assert (code, err) == (0, f"limbeck: asking m at {server.url} with $OPENAI_API_KEY\n")
        assert "5 replies stored in annotations.sqlite" in out and "0.0150" in out
        outcome = json.loads(limbeck("annotate", "run", "annotate.yaml", "--json")[1])
        assert (outcome["requests"], outcome["answers"], server.count) == (0, 5, 5)
    code, out, _ = limbeck("annotate", "show", "annotate.yaml", "--replies", "wrong")
    assert (code, "0.8000" in out, "of it I know nothing" in out) == (0, True, True)
    export = ("annotate", "export", "annotate.yaml", "--output")
    assert limbeck(*export, "all.jsonl")[:2] == (0, "all.jsonl: 5 rows with 4 rationales\n")
    _, row = read_jsonl(tmp_path / "all.jsonl")[0]
    assert (row["id"], row["rationale"]) == ("questions-0", "It is asked for 0 here, plainly.")
    assert json.loads((tmp_path / "all.provenance.json").read_text())["job"]["rows"] == "questions.jsonl"
    out = limbeck(*export, "chat.jsonl", "--form", "messages")[1]
    assert out == "chat.jsonl: 4 rows with 4 rationales; 1 left out\n"
    assert limbeck("annotate", "import", "chat.jsonl", "--output", "back.jsonl")[0] == 0
    assert [row["label"] for _, row in read_jsonl(tmp_path / "back.jsonl")] == ["0", "1", "2", "3"]


def test_hints_and_reverse_questions_are_counted(limbeck, job):
    def teach(number, request):
        if "Correct answer" in request.question:
            return completion("Reverse question: Which number is asked for?")
        return completion(f"It is plain to see.\nThe answer is {4 if 'known: 4' in request.question else 'no'}.")

    with Server(teach) as server:
        job(server.url, rationalise=True, reverse=True)
        code, out, _ = limbeck("annotate", "run", "annotate.yaml", "--dry-run", "--json")
        assert (code, json.loads(out)["reverse"]) == (0, 15)
        assert limbeck("annotate", "run", "annotate.yaml")[0] == 0
    out = limbeck("annotate", "export", "annotate.yaml", "--output", "all.jsonl", "--every")[1]
    assert out == "all.jsonl: 5 rows with 1 rationales, 1 of them rectified\n"
    counts = json.loads(limbeck("annotate", "show", "annotate.yaml", "--json")[1])
    assert (counts["kept"]["rectified"], counts["reverse"]["refused"]) == (1, 5)
    code, out, _ = limbeck("annotate", "show", "annotate.yaml", "--replies", "refused")
    assert (code, "refused" in out, out.count("Which number is asked for?")) == (0, True, 3)


def test_missing_answers_are_counted_and_exit_code_one(limbeck, job):
    with Server(lambda number, request: error(400, "no threes") if number == 3 else answer(number, request)) as server:
        job(server.url, limits={"concurrency": 1})
        code, out, err = limbeck("annotate", "run", "annotate.yaml")
    assert (code, err.count("\n")) == (1, 1)  # who is asked
    assert "no threes" in out and "missing yet: 1 answers. Start the job again" in out
    out = limbeck("annotate", "show", "annotate.yaml", "--replies", "failed")[1]
    assert "no threes" in out and "--- questions-3" in out


def test_ctrl_c_waits_for_what_is_in_flight_and_loses_nothing(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Server(lambda number, request: completion("Why. The answer is 1.", delay=0.5)) as server:
        job(server.url, limits={"concurrency": 2})
        command = Forked("annotate", "run", "annotate.yaml")
        command.wait_until(lambda: server.count == 2)
        command.type(b"\x03")
        assert (command.wait(), server.count) == (130, 2)
    texts = ("2 replies stored", "limbeck: interrupted", "Traceback")
    assert [text in command.text for text in texts] == [True, True, False]


def test_an_upload_is_asked_about(limbeck, job, tmp_path, monkeypatch):
    uploads = []
    monkeypatch.setattr(
        "limbeck.hub.upload", lambda _, name, *args, private, **to: str(uploads.append((name, private)))
    )
    export = ("annotate", "export", "annotate.yaml", "--output", "annotated.jsonl", "--hub", "me/rows")
    with Server(answer) as server:
        job(server.url)
        limbeck("annotate", "run", "annotate.yaml")
    code, out, _ = limbeck(*export, stdin="n\n")
    assert (code, "as me/rows (private)?" in out, uploads) == (1, True, [])
    assert (tmp_path / "annotated.jsonl").exists()
    assert limbeck(*export, "--yes", "--public")[0] == 0
    assert uploads == [("me/rows", False)]


def test_an_import_counts_what_it_leaves_out_and_replaces_nothing_with_nothing(limbeck, tmp_path):
    good = {"prompt": "What is it?", "completion": "It is seen to be red. The answer is red."}
    rows = [good, *[{"text": "a story"}] * 5, {"prompt": "What is it?", "completion": ""}]
    write_rows(tmp_path / "chat.jsonl", rows)
    words = ("annotate", "import", "chat.jsonl", "--output", "rows.jsonl")
    code, out, _ = limbeck(*words)
    assert (code, "left_out 6" in out, "chat.jsonl:4 and 2 more)" in out) == (0, True, True)
    before = (tmp_path / "rows.jsonl").read_bytes()
    write_rows(tmp_path / "chat.jsonl", rows[1:])
    code, _, err = limbeck(*words)
    assert (code, "nothing in chat.jsonl" in err, (tmp_path / "rows.jsonl").read_bytes()) == (1, True, before)


def test_an_import_reads_and_writes_streams(limbeck, tmp_path):
    text = json.dumps({"prompt": "What is it?", "completion": reply_with("red")}) + "\n"
    _, out, err = limbeck("annotate", "import", "-", "--output", "-", stdin=text)
    row = json.loads(out)
    assert (row["input"], row["label"], row["rationale"]) == ("What is it?", "red", "We think of it a little while.")
    assert ("rows 1" in err, list(tmp_path.iterdir())) == (True, [])
