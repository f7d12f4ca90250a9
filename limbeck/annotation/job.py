"""An annotation job: what to ask whom, its requests and replies, and how it is carried out."""

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints

from limbeck.annotation.filters import Annotation, FilterSettings, Sample, sift
from limbeck.annotation.prompts import load_prompt
from limbeck.data.load import digest
from limbeck.data.rows import Column, read_rows
from limbeck.files import STDIO
from limbeck.llm import RationaleSource
from limbeck.llm.messages import Tokens
from limbeck.llm.runner import Session, Watch, ask_all
from limbeck.llm.settings import (
    Budget,
    BudgetSettings,
    LimitSettings,
    NamedTeacher,
    PriceSettings,
    SamplingSettings,
    refuse_key,
)
from limbeck.llm.store import Key, Request, Store
from limbeck.schema import Example
from limbeck.tasks import is_right
from limbeck.tasks.settings import TaskSettings, task_of


class Job(TaskSettings):
    """`annotate.yaml`: the questions, the teacher, how it is asked, for how much, and the filters of its answers.

    Paths in it are relative to where limbeck is started.
    """

    rows: Annotated[Path, BeforeValidator(lambda value: STDIO if value == [None] else value)] = Field(  # YAML's `-`
        description='the questions: JSONL, CSV or Parquet with `input`, and `label` where known; "-": standard input'
    )
    columns: dict[Column, str | list[str]] = Field(default_factory=dict)
    task: str = "custom"
    teacher: NamedTeacher
    prompt: Path | None = Field(None, description="by default the task's own: `limbeck annotate prompt TASK` prints it")
    marker: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)] | None = Field(
        None, description='what the answer follows in a reply, like "Final verdict:"; by default "The answer is"'
    )
    rationale: RationaleSource = Field(
        "content", description="what is kept as the rationale: the reply's content, the thoughts beside it, or both"
    )
    sampling: SamplingSettings = SamplingSettings()
    rationalise: bool = Field(False, description="ask again, with the label as a hint, what came out wrong")
    limits: LimitSettings = LimitSettings()
    budget: BudgetSettings = BudgetSettings()
    prices: PriceSettings | None = Field(None, description="of a million tokens; by default from limbeck's table")
    filters: FilterSettings = FilterSettings()
    store: Path = Path("annotations.sqlite")


class OpenJob:
    """A job whose rows and prompt are read, and whose budget is checked.

    The store knows replies by the model, by `prompt`, a hash of `sent`, and by a hash of the question. The longest
    answer is in neither: after it was raised, only the answers that had been cut off are asked for again.
    """

    def __init__(self, job: Job) -> None:
        """Read the job's files. Raises LimbeckError: a bad row or prompt, or a budget in money without a price."""
        self.job = job
        self.task = replace(task_of(job), marker=job.marker) if job.marker else task_of(job)
        self.examples = read_rows(job.rows, job.columns, labelled=False, task=self.task)
        self.budget = Budget.of(job.teacher.name, job.budget, job.prices)
        self._prompt = load_prompt(self.task, job.prompt)
        self.sent = {
            "messages": self._prompt.messages(self.examples[0])[:-1],
            "temperature": job.sampling.heat,
            "top_p": job.sampling.top_p,
            "extra": job.sampling.extra,
        }
        self.prompt = _hash(self.sent)

    def requests(self, examples: Sequence[Example], hint: bool = False) -> list[Request]:
        """Return the requests for all samples of these examples, round by round; with a hint for one of each."""
        rounds = zip(*(self._samples(example, hint) for example in examples), strict=True)
        return [request for requests in rounds for request in requests]

    def unanswered(self, store: Store | None) -> list[Request]:
        """Return the requests without a hint that have no reply; all of them where there is no store yet."""
        return self._without_reply(self.requests(self.examples), store)

    def mistaken(self, store: Store) -> list[Request]:
        """Return the requests with the label as a hint that have no reply; none where the job rationalises nothing.

        An example is asked again if its label is known, and all its samples have replies, none of them right.
        """
        examples = [
            annotation.example
            for annotation in (self.annotations(store) if self.job.rationalise else [])
            if annotation.example.label and all(self._is_mistaken(sample, annotation) for sample in annotation.samples)
        ]
        return self._without_reply(self.requests(examples, hint=True), store)

    def annotations(self, store: Store) -> list[Annotation]:
        """Return every example with its samples in the store, sifted; hinted samples only where there are any."""
        replies = store.replies(self.job.teacher.name, self.prompt)
        failures = store.failures(self.job.teacher.name, self.prompt)
        annotations = []
        for example in self.examples:
            samples = []
            for hinted in (False, True) if example.label else (False,):
                for request in self._samples(example, hinted):
                    key = request.key[2:]
                    text, thoughts = replies.get(key, (None, ""))
                    failure, reason = (None, None) if key in replies else failures.get(key, (None, None))
                    if not hinted or text is not None or failure is not None:
                        samples.append(Sample(text, thoughts, failure, reason, hinted))
            filters, source = self.job.filters, self.job.rationale
            annotations.append(sift(example, samples, self.task, filters=filters, source=source))
        return annotations

    def _samples(self, example: Example, hint: bool) -> list[Request]:
        messages, sampling = self._prompt.messages(example, hint), self.job.sampling
        question, model = _hash(messages[-1]["content"]), self.job.teacher.name
        return [
            Request(Key(model, self.prompt, question, sample), example.id, messages, sampling.max_tokens)
            for sample in range(1 if hint else sampling.samples)
        ]

    def _is_mistaken(self, sample: Sample, annotation: Annotation) -> bool:
        if sample.hinted or sample.text is None:
            return sample.hinted
        return sample.label is None or not is_right(self.task, sample.label, annotation.example)

    def _without_reply(self, requests: list[Request], store: Store | None) -> list[Request]:
        answered = store.answered(self.job.teacher.name, self.prompt) if store else set()
        unique = {request.key: request for request in requests}  # a repeated question is one request
        return [request for key, request in unique.items() if key[2:] not in answered]


def annotate(job: Job, watch: Watch = lambda _tally, _cost: None) -> dict[str, Any]:
    """Ask the teacher for every answer that the store lacks. However it ends, started again it asks for the rest.

    Returns the counts of this start, the reason why it `stopped` early (budget, time, interrupted), `answers` in the
    store by now, and those `missing`.

    Raises:
        LimbeckError: a bad row, prompt or price, or a teacher that cannot be asked; what arrived is stored.
    """
    opened = OpenJob(job)
    with Store(job.store) as store:
        store.begin(opened.prompt, opened.sent, _provenance(opened))
        session = Session(job.teacher, job.limits, store, opened.budget, watch=watch)
        phases = (lambda: opened.unanswered(store)), (lambda: opened.mistaken(store))
        ask_all(session, job.sampling, *phases)
        tally = session.tally
        return {
            "requests": tally.sent,
            "stored": tally.stored,
            "failures": dict(tally.failures.most_common()),
            "reasons": tally.reasons,
            "tokens": tally.tokens._asdict(),
            "cost": opened.budget.cost(tally.tokens),
            "stopped": tally.stopped,
            "answers": len(store.answered(job.teacher.name, opened.prompt)),
            "missing": sum(len(phase()) for phase in phases),
        }


def plan(job: Job) -> dict[str, Any]:
    """Estimate what `annotate` would do, without asking.

    Returns answers `missing`, and `hinted`: those that may be asked again with a hint; the most `tokens` of all these
    requests, each sent once, and their `cost`, None where no price is known; and what was `spent` on the model before.

    Raises:
        LimbeckError: a bad row, prompt or price.
    """
    opened = OpenJob(job)
    missing, hinted, used = opened.unanswered(None), list[Request](), Tokens()
    if job.store.exists():
        with Store(job.store, create=False) as store:
            missing, hinted = opened.unanswered(store), opened.mistaken(store)
            used, _ = store.usage(job.teacher.name)
    if job.rationalise:  # an answer that is not there yet may be wrong
        ids = {request.example for request in missing}
        hinted += opened.requests([row for row in opened.examples if row.label and row.id in ids], hint=True)
    tokens = Tokens(*map(sum, zip(*(request.ceiling for request in (*missing, *hinted)), strict=True)))
    return {
        "teacher": job.teacher.name,
        "questions": len(opened.examples),
        "missing": len(missing),
        "hinted": len(hinted),
        "tokens": tokens._asdict(),
        "cost": opened.budget.cost(tokens),
        "spent": {"tokens": used._asdict(), "cost": opened.budget.cost(used)},
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


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
