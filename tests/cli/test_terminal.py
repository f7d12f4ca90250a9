"""What others wrote is printed as text: no command of a terminal, no markup, and nothing that hides."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from limbeck.formatting import visible
from tests.helpers.archives import write_rows
from tests.helpers.servers import Server, completion
from tests.runs.recipes import TINY

EVIL = "a\x1b[31m\x1b]0;owned\x07\u202egnp.exe\x9b2J[bold]b[/x]"
SHOWN = visible(EVIL)
COMMANDS = ("\x1b", "\x07", "\x9b", "\u202e")


def is_safe(text):
    return not any(command in text for command in COMMANDS)


def flat(text):
    """A text without the breaks of a table's lines."""
    return "".join(character for character in text if character not in " \n│|")


def test_a_teachers_replies_and_name_are_text(limbeck, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    write_rows(tmp_path / "rows.jsonl", [{"id": EVIL, "input": "What is it?", "label": "red"}])
    with Server(lambda *_: completion(f"{EVIL}\nThe answer is {EVIL}.")) as server:
        teacher = {"name": "qwen[fp8]" + EVIL, "base_url": server.url}
        job = {"rows": "rows.jsonl", "store": "a.sqlite", "teacher": teacher}
        (tmp_path / "job.yaml").write_text(json.dumps(job))
        for words in (["run", "job.yaml"], ["show", "job.yaml", "--replies", "wrong"], ["show", "job.yaml", "--json"]):
            _, out, err = limbeck("annotate", *words)
            assert is_safe(out + err), words
            assert "qwen[fp8]" in flat(out + err)
    assert SHOWN in limbeck("annotate", "show", "job.yaml", "--replies", "wrong")[1]


def test_rows_are_text(limbeck, tmp_path):
    rows = [{"id": f"{n}{EVIL}", "input": f"{EVIL} {n}?", "label": EVIL, "rationale": EVIL} for n in range(12)]
    write_rows(tmp_path / "rows.jsonl", rows)
    data = {"task": "custom", "source": {"kind": "files", "train_file": "rows.jsonl"}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**TINY, "data": data}))
    code, out, err = limbeck("data", "show", "recipe.yaml")
    assert code == 0 and is_safe(out + err) and flat(SHOWN) in flat(out)


@pytest.mark.parametrize(
    "words", ["report {} -o out", "evaluate {}", "compare {} {}", "calibrate {}", "train {}", "push {} a/b"]
)
def test_names_of_files_and_fields_in_errors_are_text(limbeck, words, tmp_path):
    _, _, err = limbeck(*(word.replace("{}", f"none{EVIL}") for word in words.split()))
    assert is_safe(err) and f"none{SHOWN}" in err


def test_names_of_runs_are_text(limbeck, run, tmp_path):
    folder = shutil.copytree(run, tmp_path / f"run{EVIL.replace('/', '')}")
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump({"recipe": TINY, "axes": {"student.name": [EVIL, "m[/x]"]}}))
    for words in (["compare", folder, folder], ["evaluate", folder], ["grid", "grid.yaml", "--dry-run"]):
        _, out, err = limbeck(*words)
        assert is_safe(out + err), words


def test_a_terminal_without_a_character_gets_its_number(tmp_path):
    words = [sys.executable, "-m", "limbeck", "train", "none\u4e2d.yaml".encode() + b"\xff"]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(words, capture_output=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2 and b"none\\u4e2d.yaml" in done.stderr and b"Traceback" not in done.stderr
