"""Small jobs, and stores filled with replies that a teacher might have written, without a teacher."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from limbeck.annotation.job import Job, OpenJob
from limbeck.llm.messages import Failure, Reply, Tokens
from limbeck.llm.store import Store
from tests.helpers.archives import write_rows

USED = Tokens(5, 6)  # by every request that `fill` records


def make_job(folder: Path, questions: Sequence[Mapping[str, Any]], **settings: Any) -> Job:
    """Return a job of these questions, in the files questions.jsonl and annotate.yaml."""
    rows = write_rows(folder / "questions.jsonl", questions)
    job = {"rows": str(rows), "store": str(folder / "annotations.sqlite")}
    job |= {"teacher": {"name": "m", "base_url": "http://127.0.0.1:9/v1"}} | settings
    (folder / "annotate.yaml").write_text(yaml.safe_dump(job))
    return Job.load(folder / "annotate.yaml")


def reply_with(answer: str, reason: str = "We think of it a little while.") -> str:
    """Return a reply in the form that the prompts ask for."""
    return f"{reason}\nThe answer is {answer}."


def fill(job: Job, replies: Mapping[str, Sequence[str | Failure]], hint: bool = False) -> None:
    """Store replies by the examples' ids, one a sample; a Failure is recorded as the last one."""
    opened = OpenJob(job)
    with Store(job.store) as store:
        for request in opened.requests([example for example in opened.examples if example.id in replies], hint=hint):
            for result in replies[request.example][request.key.sample :][:1]:
                store.put(request, Reply(result, "{}") if isinstance(result, str) else result, USED)
