"""From a file of questions to a teacher's rationales: the job, what it costs, its run, and what it has brought."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from limbeck.data import Column, TaskSettings, digest, read_rows, task_of
from limbeck.errors import LimbeckError
from limbeck.evaluation import wilson
from limbeck.experiments.provenance import now, revision, versions
from limbeck.schema import Example
from limbeck.teacher.asking import Tally, ask_all
from limbeck.teacher.engines import open_engine
from limbeck.teacher.filters import FilterSettings
from limbeck.teacher.prices import Purse, cost, price_of
from limbeck.teacher.prompts import load_prompt
from limbeck.teacher.questions import Questions
from limbeck.teacher.settings import BudgetSettings, LimitSettings, NamedTeacher, PriceSettings, SamplingSettings
from limbeck.teacher.sifting import Asked, Outcome, Sifted, count_votes, counts, sift
from limbeck.teacher.store import Store, Tokens


class Job(TaskSettings):
    """`teach.yaml`: which questions are put to which teacher, how, for how much, and what is kept of its answers.

    Paths in it are relative to where limbeck is started.
    """

    rows: Path = Field(description="the questions: JSONL, CSV or Parquet with `input`, and `label` where it is known")
    columns: dict[Column, str] = Field(default_factory=dict)
    task: str = "custom"
    teacher: NamedTeacher
    prompt: Path | None = Field(None, description="by default the task's own: `limbeck teach prompt TASK` prints it")
    sampling: SamplingSettings = SamplingSettings()
    rationalise: bool = Field(False, description="ask again, with the label as a hint, what came out wrong")
    limits: LimitSettings = LimitSettings()
    budget: BudgetSettings = BudgetSettings()
    prices: PriceSettings | None = Field(None, description="of a million tokens; by default from limbeck's table")
    filters: FilterSettings = FilterSettings()
    store: Path = Path("teach.sqlite")


class _Opened:
    """A job with its rows and prompt read, and its budget and filters checked."""

    def __init__(self, job: Job) -> None:
        self.job, self.task = job, task_of(job)
        self.examples = read_rows(job.rows, job.columns, labelled=False, task=self.task)
        prompt = load_prompt(self.task, job.prompt)
        self.questions = Questions(self.examples, prompt, job.teacher.name, job.sampling)
        self.price = price_of(job.teacher.name, job.prices)
        self.purse = Purse(job.budget, self.price, job.teacher.name)

    def cost(self, tokens: Tokens) -> float | None:
        return None if self.price is None else cost(tokens, self.price)

    def sifted(self, store: Store) -> list[Sifted]:
        return sift(self.questions.asked(store), self.task, self.job.filters)


def teach(job: Job, watch: Callable[[Tally, float | None], None] = lambda _tally, _cost: None) -> dict[str, Any]:
    """Ask the teacher for every answer that the store has not. Whatever ends it, started again it asks for the rest.

    Args:
        job: what to ask.
        watch: called after every request with the counts, and the cost so far where a price is known.

    Returns:
        `wanted` answers, `requests` sent, replies `stored`, answers `given_up`, `failures` by kind, `tokens` used and
        their `cost` (None: no price), what `stopped` it early (budget, time, interrupted), and answers still `missing`.

    Raises:
        LimbeckError: a bad row, prompt or price, or a teacher that cannot be asked; what arrived is stored.
    """
    opened = _Opened(job)
    tally = Tally()
    with Store.open(job.store) as store:
        store.begin(opened.questions.prompt, opened.questions.sent, _provenance(opened))
        store.release_dead()
        asyncio.run(_ask(opened, store, tally, lambda tally: watch(tally, opened.cost(tally.tokens))))
        missing = _missing(opened.questions.asked(store))
    return {
        "wanted": tally.wanted,
        "requests": tally.sent,
        "stored": tally.stored,
        "given_up": tally.given_up,
        "failures": dict(tally.failures.most_common()),
        "tokens": tally.tokens._asdict(),
        "cost": opened.cost(tally.tokens),
        "stopped": tally.stopped,
        "missing": missing,
    }


async def _ask(opened: _Opened, store: Store, tally: Tally, watch: Callable[[Tally], None]) -> None:
    job, questions = opened.job, opened.questions
    engine = open_engine(job.teacher, job.sampling, job.limits)
    try:
        for hint in (False, True) if job.rationalise else (False,):
            chosen = _mistaken(opened, store) if hint else opened.examples
            wanted = questions.requests(chosen, hint)
            if tally.stopped is None:
                covers = opened.purse.covers
                await ask_all(wanted, questions.messages, engine, store, job.limits, covers, tally, watch)
    finally:
        await engine.close()


def _mistaken(opened: _Opened, store: Store) -> list[Example]:
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
    opened = _Opened(job)
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


def show(job: Job) -> dict[str, Any]:
    """What a job has brought so far.

    Returns:
        `outcomes` (samples by what became of them), `failures` (of samples without a reply, by kind), `votes`
        (accuracy against the gold labels with its 95 % interval, and the counts), `kept` rationales and the questions
        that have one, and what was `spent`.

    Raises:
        LimbeckError: there is no store yet, or a bad row or prompt.
    """
    opened = _Opened(job)
    with Store.open(job.store, create=False) as store:
        sifted = opened.sifted(store)
        used, _ = store.usage(job.teacher.name)
        failures = store.failures(job.teacher.name, opened.questions.prompt)
    votes = count_votes(sifted, opened.task)
    kept = [sum(sample.outcome is Outcome.KEPT for sample in one.samples) for one in sifted]
    kinds = list(failures.values())
    return {
        "teacher": job.teacher.name,
        "questions": len(sifted),
        "outcomes": counts(sifted),
        "failures": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "votes": {
            "accuracy": votes.right / votes.graded if votes.graded else None,
            "interval": wilson(votes.right, votes.graded) if votes.graded else None,
            "right": votes.right,
            "n": votes.graded,
            "without_vote": votes.questions - votes.voted,
            "without_label": votes.questions - votes.labelled,
        },
        "kept": {"rationales": sum(kept), "questions": sum(bool(count) for count in kept)},
        "spent": {"tokens": used._asdict(), "cost": opened.cost(used)},
    }


def taught(job: Job, every: bool = False) -> list[Example]:
    """The job's examples with the teacher's answer (its vote) and the first rationale that was kept.

    A question whose label is not known has the teacher's answer for it, and is left out where there is none. With
    `every`, a question stands once for each rationale that was kept: `id`, `id#2`, `id#3`.

    Raises:
        LimbeckError: as `show`.
    """
    opened = _Opened(job)
    with Store.open(job.store, create=False) as store:
        sifted = opened.sifted(store)
    return [example for one in sifted for example in _examples(one, every)]


def _examples(one: Sifted, every: bool) -> list[Example]:
    label = one.example.label or one.vote
    if label is None:
        return []
    kept = [sample.rationale for sample in one.samples if sample.outcome is Outcome.KEPT] or [None]
    example = replace(one.example, label=label, teacher_label=one.vote)
    return [
        replace(example, rationale=rationale, id=example.id if number == 1 else f"{example.id}#{number}")
        for number, rationale in enumerate(kept if every else kept[:1], start=1)
    ]


def _missing(asked: list[Asked]) -> int:
    return sum(sample.text is None for one in asked for sample in one.samples)


def _provenance(opened: _Opened) -> dict[str, Any]:
    """The job and what it came from, to be kept in the store.

    Raises:
        LimbeckError: the teacher's key stands in it, and would be written down.
    """
    job = opened.job
    values = {
        "job": job.model_dump(mode="json", exclude_none=True),
        "rows": {"count": len(opened.examples), "sha256": digest(opened.examples)},
        "revision": revision(),
        "versions": versions(),
        "started": now(),
    }
    key = os.environ.get(job.teacher.key, "").strip()
    if key and key in json.dumps([values, opened.questions.sent], ensure_ascii=False):
        raise LimbeckError(
            f"the key in ${job.teacher.key} stands in the job or its prompt; take it out: it is kept there"
        )
    return values
