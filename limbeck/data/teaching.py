"""Asking a teacher all the questions of a job, or only reckoning what that costs."""

import asyncio
import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from limbeck.data.job import Job, OpenJob
from limbeck.data.load import digest
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.teacher.asking import Tally, ask_all
from limbeck.teacher.engines import fitting, open_engine
from limbeck.teacher.store import Store, Tokens

_LIBRARIES = ("limbeck", "httpx2", "pydantic")


def teach(job: Job, watch: Callable[[Tally, float | None], None] = lambda _tally, _cost: None) -> dict[str, Any]:
    """Ask the teacher for every answer that the store has not. Whatever ends it, started again it asks for the rest.

    Args:
        job: what to ask.
        watch: called after every request with the counts, and the cost so far where a price is known.

    Returns:
        Answers `wanted` when it began, `requests` sent, replies `stored`, answers `given_up`, `failures` by kind,
        `tokens` used and their `cost` (None: no price), what `stopped` it early (budget, time, interrupted); the
        `answers` that are stored now, and those `missing`.

    Raises:
        LimbeckError: a bad row, prompt or price, or a teacher that cannot be asked; what arrived is stored.
    """
    opened = OpenJob(job)
    tally = Tally()
    with Store.open(job.store) as store:
        store.begin(opened.questions.prompt, opened.questions.sent, _provenance(opened))
        store.release_dead()
        asyncio.run(_ask(opened, store, tally, lambda tally: watch(tally, opened.cost(tally.tokens))))
        samples = [sample for one in opened.questions.asked(store) for sample in one.samples]
    answers = sum(sample.text is not None for sample in samples)
    return {
        "wanted": tally.wanted,
        "requests": tally.sent,
        "stored": tally.stored,
        "given_up": tally.given_up,
        "failures": dict(tally.failures.most_common()),
        "tokens": tally.tokens._asdict(),
        "cost": opened.cost(tally.tokens),
        "stopped": tally.stopped,
        "answers": answers,
        "missing": len(samples) - answers,
    }


async def _ask(opened: OpenJob, store: Store, tally: Tally, watch: Callable[[Tally], None]) -> None:
    job, questions = opened.job, opened.questions
    limits = fitting(job.limits, job.teacher)
    engine = open_engine(job.teacher, job.sampling, limits)
    try:
        for hint in (False, True) if job.rationalise else (False,):
            chosen = _mistaken(opened, store) if hint else opened.examples
            answered = store.answered(job.teacher.name, questions.prompt)
            wanted = [one for one in questions.requests(chosen, hint) if one.key[2:] not in answered]
            if tally.stopped is None:
                covers = opened.purse.covers
                await ask_all(wanted, questions.messages, engine, store, limits, covers, tally, watch)
    finally:
        await engine.close()


def _mistaken(opened: OpenJob, store: Store) -> list[Example]:
    """The examples of known label to which every sample has a reply, and none of them the right answer."""
    chosen = []
    for asked, found in zip(opened.questions.asked(store), opened.sifted(store), strict=True):
        samples = [sample for sample in asked.samples if not sample.hinted]
        said = [sample.label for sample in found.samples if not sample.hinted]
        right = any(label is not None and opened.task.equal(label, asked.example.label) for label in said)
        if asked.example.label and all(sample.text is not None for sample in samples) and not right:
            chosen.append(asked.example)
    return chosen


def plan(job: Job) -> dict[str, Any]:
    """What `teach` would do, without asking: how many requests, and what they may cost at most.

    Returns:
        `questions`, `answers` that are there and `missing`, `tokens` of the missing requests (of the questions
        estimated, of the answers the most there can be), `cost` at most, and `expected_cost` by the mean of the replies
        that are there; None where no price is known or nothing was answered yet.

    Raises:
        LimbeckError: as `teach`, but for the teacher.
    """
    opened = OpenJob(job)
    model, wanted = job.teacher.name, {one.key: one for one in opened.questions.requests(opened.examples)}
    used, replies, answered = Tokens(0, 0), 0, set[tuple[str, int]]()
    if job.store.exists():
        with Store.open(job.store, create=False) as store:
            used, replies = store.usage(model)
            answered = store.answered(model, opened.questions.prompt)
    missing = [one for key, one in wanted.items() if (key.question, key.sample) not in answered]
    most = Tokens(sum(one.most.prompt for one in missing), sum(one.most.completion for one in missing))
    spent = opened.cost(used)
    return {
        "teacher": model,
        "questions": len(opened.examples),
        "answers": len(wanted) - len(missing),
        "missing": len(missing),
        "tokens": most._asdict(),
        "cost": opened.cost(most),
        "expected_cost": None if spent is None or not replies else spent / replies * len(missing),
        "spent": {"tokens": used._asdict(), "cost": spent},
    }


def _provenance(opened: OpenJob) -> dict[str, Any]:
    """The job and what it came from, to be kept in the store.

    Raises:
        LimbeckError: the teacher's key stands in it, and would be written down.
    """
    job = opened.job
    values = {
        "job": job.model_dump(mode="json", exclude_none=True),
        "rows": {"count": len(opened.examples), "sha256": digest(opened.examples)},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    key = os.environ.get(job.teacher.key, "").strip()
    if key and key in json.dumps([values, opened.questions.sent], ensure_ascii=False):
        raise LimbeckError(
            f"the key in ${job.teacher.key} stands in the job or its prompt; take it out: it is kept there"
        )
    return values
