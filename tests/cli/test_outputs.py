"""Rows from standard input, results onto standard output."""

import json

from limbeck.files import write_jsonl
from tests.annotation.jobs import reply_with

QUESTIONS = [{"input": f"What is {i} and {i}?"} for i in range(3)]


def test_predictions(run, limbeck):
    text = "".join(json.dumps(row) + "\n" for row in QUESTIONS)
    code, out, err = limbeck("predict", run, "--input", "-", "--output", "-", stdin=text)
    assert code == 0
    assert [json.loads(line)["input"] for line in out.splitlines()] == [row["input"] for row in QUESTIONS]
    assert "3 predictions" in err


def test_an_import(limbeck, tmp_path):
    row = {"prompt": "What is it?", "completion": reply_with("red")}
    code, out, err = limbeck("annotate", "import", "-", "--output", "-", stdin=json.dumps(row) + "\n")
    assert code == 0
    (read,) = map(json.loads, out.splitlines())
    assert (read["input"], read["label"], read["rationale"]) == ("What is it?", "red", "We think of it a little while.")
    assert "rows 1" in err
    assert not list(tmp_path.iterdir())


def test_measures(limbeck, tmp_path):
    rows = [{"id": str(i), "label": "a", "prediction": "ab"[i % 2], "confidence": 0.5} for i in range(20)]
    write_jsonl(tmp_path / "b.jsonl", rows)
    text = (tmp_path / "b.jsonl").read_text()
    assert json.loads(limbeck("calibrate", "-", "--json", stdin=text)[1])["accuracy"] == 0.5
    assert json.loads(limbeck("compare", "-", "b.jsonl", "--json", stdin=text)[1])["difference"] == 0
