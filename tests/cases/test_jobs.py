"""Jobs of the shared cases, whose replies a real endpoint plays: which are kept, which asked again, a full disk."""

import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from limbeck.annotation.job import Job, annotate
from limbeck.annotation.results import read_results, summary, training_examples
from limbeck.errors import LimbeckError
from tests.cases import CASES, needs_cases

pytestmark = needs_cases
THOUGHTS = "A crate holds 12, nine crates hold 108, five more make 113."


@contextmanager
def endpoint(replies: Path):
    """Yield the base_url of the cases' endpoint with these replies; beside them it writes down its requests."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, str(CASES / "endpoint.py"), str(replies), str(port)]) as process:
        try:
            while process.poll() is None:
                with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


@pytest.fixture
def case(tmp_path, monkeypatch):
    def copy(name: str) -> Path:
        """Return a copy of that folder, which is then the current one."""
        folder = shutil.copytree(CASES / name, tmp_path / name, ignore=shutil.ignore_patterns("*.log"))
        monkeypatch.chdir(folder)
        return folder

    return copy


def load(name: str, url: str, *changes: str) -> Job:
    return Job.load(Path(name), [f"teacher.base_url={url}", *changes])


def count_requests(folder: Path) -> int:
    return len((folder / "replies.json.log").read_text().splitlines())


JOBS = {"teach_numbers/teach": 10, "teach_numbers/teach_svamp": 10, "teach_choices/teach": 5}
JOBS |= {"teach_letters/teach": 8, "teach_letters/teach_c": 8}


@pytest.mark.parametrize(("path", "questions"), JOBS.items())
def test_all_right_replies_are_kept(path, questions, case):
    name, file = path.split("/")
    with endpoint(case(name) / "replies.json") as url:
        job = load(f"{file}.yaml", url)
        done, counts = annotate(job), summary(read_results(job))
    assert (done["stored"], done["missing"]) == (questions, 0)
    assert counts["outcomes"]["kept"] == counts["votes"]["right"] == questions


# Which crates' thoughts are in tags, and which stand beside the content; the black one's content is null.
CRATES = ["red", "blue", "green", "grey", "white", "black", "pink"]
INSIDE = "9 * 12 + 5 = 113."
RATIONALES = {
    "content": {"white": INSIDE, "pink": THOUGHTS},
    "thoughts": dict.fromkeys(("red", "blue", "green", "grey", "white", "black"), THOUGHTS),
    "both": dict.fromkeys(CRATES, THOUGHTS) | {"white": f"{THOUGHTS}\n{INSIDE}"},
}


def test_thoughts_are_stored_once_and_are_the_rationale_where_the_job_says_so(case):
    folder = case("teach_reasoning")
    with endpoint(folder / "replies.json") as url:
        done = annotate(load("teach.yaml", url))
        assert (done["stored"], done["missing"], done["failures"]) == (7, 0, {})
        for source, rationales in RATIONALES.items():
            job = load("teach.yaml", url, f"rationale={source}")
            assert annotate(job)["requests"] == 0
            results = read_results(job)
            examples = training_examples(results)
            assert {row.input.split()[1]: row.rationale for row in examples if row.rationale} == rationales
            votes = {row.example.input.split()[1]: row.vote for row in results.annotations}
            assert votes.pop("black") is None  # it gave no answer, whatever its thoughts come to
            assert {*votes.values(), *(row.label for row in examples)} == {"113"}
        assert count_requests(folder) == 7


def test_a_disk_that_fills_up_while_asking_loses_no_reply(case, tmp_path):
    folder, disk = case("teach_disk"), tmp_path / "disk"
    questions = (folder / "questions.jsonl").read_text().splitlines(keepends=True)[:300]
    (folder / "questions.jsonl").write_text("".join(questions))
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)]
    if (done := subprocess.run(mount, capture_output=True, text=True)).returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        with endpoint(folder / "replies.json") as url:
            job = load("teach.yaml", url, f"store={disk / 'annotations.sqlite'}")
            with pytest.raises(LimbeckError, match=f"{disk} "):
                annotate(job)
            before = summary(read_results(job))["outcomes"]["kept"]
            assert 0 < before <= count_requests(folder)
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            done = annotate(job)
        assert (done["missing"], done["stored"]) == (0, len(questions) - before)
        assert summary(read_results(job))["outcomes"]["kept"] == len(questions)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
