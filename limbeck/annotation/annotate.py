"""Asking a teacher all the questions of a job, or only reckoning what that costs."""

import asyncio
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from limbeck.annotation.job import Job, OpenJob
from limbeck.data.load import digest
from limbeck.llm.endpoint import completions_url
from limbeck.llm.engines import fitting, open_engine
from limbeck.llm.keys import refuse_key
from limbeck.llm.runner import Asker, Request, Tally
from limbeck.llm.store import Store, Tokens

_LIBRARIES = ("limbeck", "httpx2", "pydantic")


def annotate(job: Job, watch: Callable[[Tally, float | None], None] = lambda _tally, _cost: None) -> dict[str, Any]:
    """Ask the teacher for every answer that the store has not. Whatever ends it, started again it asks for the rest.

    Args:
        job: what to ask.
        watch: called after every request with the counts, and the cost so far where a price is known.

    Returns:
        Answers `wanted` when it began, `requests` sent, replies `stored`, answers `given_up`, `failures` by kind with
        their last `reasons`, `tokens` used and their `cost` (None: no price), what `stopped` it early (budget, time,
        interrupted); the `answers` that are stored now, those `missing`, and the store's `other_replies` of this model,
        which are to other prompts.

    Raises:
        LimbeckError: a bad row, prompt or price, or a teacher that cannot be asked; what arrived is stored.
    """
    opened = OpenJob(job)
    tally = Tally()
    with Store.open(job.store) as store:
        store.begin(opened.questions.prompt, opened.questions.sent, _provenance(opened))
        store.release_dead()
        asyncio.run(_ask(opened, store, tally, lambda tally: watch(tally, opened.cost(tally.tokens))))
        missing = len(opened.unanswered(store)) + len(opened.mistaken(store))
        replies = len(store.answered(job.teacher.name, opened.questions.prompt))
        others = store.other_replies(job.teacher.name, opened.questions.prompt)
    return {
        "wanted": tally.wanted,
        "requests": tally.sent,
        "stored": tally.stored,
        "given_up": tally.given_up,
        "failures": dict(tally.failures.most_common()),
        "reasons": tally.reasons,
        "tokens": tally.tokens._asdict(),
        "cost": opened.cost(tally.tokens),
        "stopped": tally.stopped,
        "answers": replies,
        "missing": missing,
        "other_replies": others,
    }


async def _ask(opened: OpenJob, store: Store, tally: Tally, watch: Callable[[Tally], None]) -> None:
    job = opened.job
    if not (opened.unanswered(store) or opened.mistaken(store)):
        return  # no model is loaded for nothing
    limits = fitting(job.limits, job.teacher)
    engine = open_engine(job.teacher, job.sampling, limits)
    try:
        for wanted in (opened.unanswered, opened.mistaken):  # the second are known once the first are answered
            if tally.stopped is None:
                requests, messages = wanted(store), opened.questions.messages
                await Asker(requests, messages, engine, store, limits, opened.covers, tally, watch).run()
    finally:
        await engine.close()


def plan(job: Job) -> dict[str, Any]:
    """What `annotate` would do, without asking: how many requests, and what they may cost at most.

    Returns:
        `questions`; `answers` that are there and `missing`; of a job that rationalises, how many may be asked again
        with a hint, `hinted`; `tokens` of all these requests, each sent once (of the questions estimated, of the
        answers the most there can be), and their `cost` at most; `expected_cost` of the missing ones by the mean of the
        replies that are there. None where no price is known or nothing was answered yet. And what was `spent`.

    Raises:
        LimbeckError: as `annotate`, but for the teacher.
    """
    opened = OpenJob(job)
    missing, hinted = opened.unanswered(None), list[Request]()
    used, replies, others = Tokens(0, 0), 0, 0
    answers = len(missing)
    if job.store.exists():
        with Store.open(job.store, create=False) as store:
            missing, hinted = opened.unanswered(store), opened.mistaken(store)
            used, replies = store.usage(job.teacher.name)
            others = store.other_replies(job.teacher.name, opened.questions.prompt)
    answers -= len(missing)
    if job.rationalise:  # what is not answered yet may come out wrong
        unknown = {one.example.id for one in missing}
        labelled = [example for example in opened.examples if example.label and example.id in unknown]
        hinted += opened.questions.requests(labelled, hint=True)
    sent = [*missing, *hinted]
    most = Tokens(sum(one.most.prompt for one in sent), sum(one.most.completion for one in sent))
    spent = opened.cost(used)
    return {
        "teacher": job.teacher.name,
        "questions": len(opened.examples),
        "answers": answers,
        "missing": len(missing),
        "hinted": len(hinted),
        "tokens": most._asdict(),
        "cost": opened.cost(most),
        "expected_cost": None if spent is None or not replies else spent / replies * len(missing),
        "spent": {"tokens": used._asdict(), "cost": spent},
        "other_replies": others,
    }


def _provenance(opened: OpenJob) -> dict[str, Any]:
    """The job and what it came from, to be kept in the store.

    Raises:
        LimbeckError: the teacher's key stands in it, and would be written down.
    """
    job = opened.job
    values = {
        "job": job.model_dump(mode="json", exclude_none=True),
        "endpoint": str(completions_url(job.teacher)) if job.teacher.engine == "endpoint" else None,
        "rows": {"count": len(opened.examples), "sha256": digest(opened.examples)},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    refuse_key(job.teacher.key, [values, opened.questions.sent], "the job or its prompt")
    return values
