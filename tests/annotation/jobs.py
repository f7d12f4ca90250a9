"""Small jobs, and stores filled with what a teacher might have said, without one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from limbeck.annotation.job import Job, OpenJob
from limbeck.llm.messages import Failure, Reply, Tokens
from limbeck.llm.store import Record, Store

USED = Tokens(5, 6)  # by every request that `fill` notes down


def make_job(folder: Path, rows: Sequence[Mapping[str, Any]], **more: Any) -> Job:
    """A job of these rows in the files questions.jsonl and annotate.yaml."""
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = {"rows": str(folder / "questions.jsonl"), "store": str(folder / "annotations.sqlite")}
    job |= {"teacher": {"name": "m", "base_url": "http://127.0.0.1:9/v1"}} | more
    (folder / "annotate.yaml").write_text(yaml.safe_dump(job))
    return Job.load(folder / "annotate.yaml")


def says(answer: str, why: str = "We think of it a little while.") -> str:
    return f"{why}\nThe answer is {answer}."


def fill(job: Job, said: Mapping[str, Sequence[str | Failure | None]], hint: bool = False) -> None:
    """Store replies by the examples' ids, one a sample; a Failure is noted as the last one, None is no request."""
    opened = OpenJob(job)
    with Store.open(job.store) as store:
        for request in opened.questions.requests(opened.examples if not hint else _named(opened, said), hint):
            given = said.get(request.example.id, ())
            result = given[request.key.sample] if request.key.sample < len(given) else None
            if isinstance(result, str):
                result = Reply(result, "{}", "stop", *USED)
            if result is not None:
                store.put([Record(request.key, request.example.id, result, USED, True)])


def _named(opened: OpenJob, said: Mapping[str, Any]) -> list[Any]:
    return [example for example in opened.examples if example.id in said]
