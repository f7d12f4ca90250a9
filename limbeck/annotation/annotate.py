"""A job carried out: every missing answer asked for; or its cost estimated without asking."""

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from limbeck.annotation.job import Job, OpenJob
from limbeck.data.load import digest
from limbeck.llm.messages import Tokens
from limbeck.llm.runner import Session, Tally, Watch, ask_all
from limbeck.llm.settings import refuse_key
from limbeck.llm.store import Request, Store


def annotate(job: Job, watch: Watch = lambda _tally, _cost: None) -> dict[str, Any]:
    """Ask the teacher for every answer that the store lacks. However it ends, started again it asks for the rest.

    Args:
        job: the questions and the teacher.
        watch: called after every request with the counts, and the cost so far where a price is known.

    Returns:
        Answers `wanted` at the beginning, `requests` sent, replies `stored`, answers `given_up`, `failures` by kind
        with their last `reasons`, `tokens` used and their `cost` (None: no price), the reason why it `stopped` early
        (budget, time, interrupted), `answers` stored by now, those `missing`, and the store's `other_replies` of this
        model, which are to other prompts.

    Raises:
        LimbeckError: a bad row, prompt or price, or a teacher that cannot be asked; what arrived is stored.
    """
    opened, tally, model = OpenJob(job), Tally(), job.teacher.name
    with Store(job.store) as store:
        store.begin(opened.prompt, opened.sent, _provenance(opened))
        session = Session(job.teacher, job.limits, store, opened.budget, tally, watch)
        phases = (lambda: opened.unanswered(store)), (lambda: opened.mistaken(store))
        ask_all(session, job.sampling, *phases)
        return {
            "wanted": tally.total,
            "requests": tally.sent,
            "stored": tally.stored,
            "given_up": tally.given_up,
            "failures": dict(tally.failures.most_common()),
            "reasons": tally.reasons,
            "tokens": tally.tokens._asdict(),
            "cost": opened.budget.cost(tally.tokens),
            "stopped": tally.stopped,
            "answers": len(store.answered(model, opened.prompt)),
            "missing": sum(len(phase()) for phase in phases),
            "other_replies": store.other_replies(model, opened.prompt),
        }


def plan(job: Job) -> dict[str, Any]:
    """Estimate what `annotate` would do, without asking.

    Returns:
        `questions`; `answers` stored and `missing`; in a job that rationalises those that may be asked again with a
        hint, `hinted`; `tokens` of all these requests, each sent once (of the questions estimated, of the answers the
        most there can be), and their `cost` at most; `expected_cost` of the missing ones by the mean of the stored
        replies; and what was `spent`. Costs are None where no price is known, or nothing was answered yet.

    Raises:
        LimbeckError: as `annotate`, but for the teacher.
    """
    opened, model = OpenJob(job), job.teacher.name
    requests = missing = opened.unanswered(None)
    hinted: list[Request] = []
    used, replies, other_replies = Tokens(0, 0), 0, 0
    if job.store.exists():
        with Store(job.store, create=False) as store:
            missing, hinted = opened.unanswered(store), opened.mistaken(store)
            used, replies = store.usage(model)
            other_replies = store.other_replies(model, opened.prompt)
    if job.rationalise:  # an answer that is not there yet may be wrong
        ids = {request.example for request in missing}
        hinted += opened.requests([row for row in opened.examples if row.label and row.id in ids], hint=True)
    ceilings = [request.ceiling for request in (*missing, *hinted)]
    ceiling = Tokens(sum(tokens.prompt for tokens in ceilings), sum(tokens.completion for tokens in ceilings))
    spent = opened.budget.cost(used)
    return {
        "teacher": model,
        "questions": len(opened.examples),
        "answers": len(requests) - len(missing),
        "missing": len(missing),
        "hinted": len(hinted),
        "tokens": ceiling._asdict(),
        "cost": opened.budget.cost(ceiling),
        "expected_cost": None if spent is None or not replies else spent / replies * len(missing),
        "spent": {"tokens": used._asdict(), "cost": spent},
        "other_replies": other_replies,
    }


def _provenance(opened: OpenJob) -> dict[str, Any]:
    """Return the job and what it came from, for the store. Raises RecipeError if the teacher's key stands in it."""
    job = opened.job
    provenance = {
        "job": job.model_dump(mode="json", exclude_none=True),
        "endpoint": job.teacher.endpoint() if job.teacher.engine == "endpoint" else None,
        "rows": {"count": len(opened.examples), "sha256": digest(opened.examples)},
        "versions": {"python": platform.python_version(), "limbeck": version("limbeck"), "openai": version("openai")},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    refuse_key(job.teacher.key, [provenance, opened.sent], "the job or its prompt")
    return provenance
