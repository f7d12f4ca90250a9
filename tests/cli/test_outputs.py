"""Results through links and pipes, onto standard output; rows from standard input."""

import json
import os
import sys
from tempfile import TemporaryFile

import pytest

from limbeck import cli
from limbeck.files import write_jsonl
from tests.annotation.jobs import reply_with

QUESTIONS = [{"input": f"What is {i} and {i}?"} for i in range(3)]
TEXT = "".join(json.dumps(row) + "\n" for row in QUESTIONS)


@pytest.fixture
def limbeck(monkeypatch, capfd, tmp_path):
    """`limbeck(*words, stdin=TEXT)`: exit code, standard output and error, by their descriptors, of `limbeck WORDS`."""
    monkeypatch.chdir(tmp_path)
    standard_input = os.dup(0)

    def run(*words, stdin=""):
        monkeypatch.setattr(sys, "argv", ["limbeck", *map(str, words)])
        with TemporaryFile("w+") as file:
            file.write(stdin)
            file.seek(0)
            os.dup2(file.fileno(), 0)
            with pytest.raises(SystemExit) as end:
                cli.main()
        return int(end.value.code or 0), *capfd.readouterr()

    yield run
    os.dup2(standard_input, 0)
    os.close(standard_input)


def test_predict_from_standard_input_to_standard_output(run, limbeck):
    code, out, err = limbeck("predict", run, "--input", "-", "--output", "-", stdin=TEXT)
    assert code == 0
    assert [json.loads(line)["input"] for line in out.splitlines()] == [row["input"] for row in QUESTIONS]
    assert "3 predictions" in err


def test_import_from_standard_input_to_standard_output(limbeck, tmp_path):
    row = {"prompt": "What is it?", "completion": reply_with("red")}
    code, out, err = limbeck("annotate", "import", "-", "--output", "-", stdin=json.dumps(row) + "\n")
    assert code == 0
    (read,) = map(json.loads, out.splitlines())
    assert (read["input"], read["label"], read["rationale"]) == ("What is it?", "red", "We think of it a little while.")
    assert "rows 1" in err
    assert not list(tmp_path.iterdir())


def test_measures_from_standard_input(limbeck, tmp_path):
    rows = [{"id": str(i), "label": "a", "prediction": "ab"[i % 2], "confidence": 0.5} for i in range(20)]
    write_jsonl(tmp_path / "b.jsonl", rows)
    text = (tmp_path / "b.jsonl").read_text()
    assert json.loads(limbeck("calibrate", "-", "--json", stdin=text)[1])["accuracy"] == 0.5
    assert json.loads(limbeck("compare", "-", "b.jsonl", "--json", stdin=text)[1])["difference"] == 0
