"""An annotation job: its settings, its requests, and its replies."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints

from limbeck.annotation.filters import Annotation, FilterSettings, Sample, sift
from limbeck.annotation.prompts import load_prompt
from limbeck.annotation.reverse import Reversal, ReversePrompt, Step
from limbeck.data.examples import digest
from limbeck.data.rows import Column, read_rows
from limbeck.files import STDIO
from limbeck.llm.messages import Tokens
from limbeck.llm.replies import RationaleSource
from limbeck.llm.runner import Session, Watch, unwatched
from limbeck.llm.settings import AskingSettings, SamplingSettings
from limbeck.llm.store import Key, Request, Store, fingerprint
from limbeck.models import open_teacher
from limbeck.schema import Example
from limbeck.tasks import is_right
from limbeck.tasks.settings import TaskSettings


class Job(TaskSettings, AskingSettings):
    """The settings of a job; paths are relative to where limbeck is started."""

    rows: Annotated[Path, BeforeValidator(lambda value: STDIO if value == [None] else value)] = Field(  # YAML's `-`
        description='JSONL, CSV or Parquet with `input`, and `label` where known; "-": standard input'
    )
    columns: dict[Column, str | list[str]] = Field(default_factory=dict)
    task: str = "custom"
    prompt: Path | None = Field(None, description="by default the task's, which `limbeck annotate prompt TASK` prints")
    marker: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)] | None = Field(
        None, description='what the answer follows, like "Final verdict:"; by default "The answer is"'
    )
    rationale: RationaleSource = Field("content", description="taken from the reply's content, its thoughts, or both")
    sampling: SamplingSettings = SamplingSettings()
    rationalise: bool = Field(False, description="ask again, with the label as a hint, what came out wrong")
    reverse: bool = Field(False, description="ask for reverse questions, too, of rows with a label")
    filters: FilterSettings = FilterSettings()

    def bill(self, tokens: Tokens) -> dict[str, Any]:
        """Return `tokens` and their `cost`, None where no price is known."""
        return {"tokens": tokens._asdict(), "cost": self.cost(tokens)}


class OpenJob:
    """A job whose rows and prompt are read.

    Replies are stored by a hash of `sent`, without `max_tokens`: once raised, only cut answers are asked again.
    """

    def __init__(self, job: Job, examples: Sequence[Example] | None = None) -> None:
        """Read the job's prompt, and its rows unless there are `examples`. Raises LimbeckError for a bad one."""
        self.job = job
        self.task = replace(job.get_task(), marker=job.marker) if job.marker else job.get_task()
        rows = examples if examples is not None else read_rows(job.rows, job.columns, labelled=False, task=self.task)
        self.examples = rows
        self._prompt = load_prompt(self.task, job.prompt)
        self.sent = {
            "messages": list(self._prompt.opening),
            "temperature": job.sampling.heat,
            "top_p": job.sampling.top_p,
            "extra": job.sampling.extra,
        }
        self.prompt = fingerprint(self.sent)
        self.reverse = ReversePrompt(job.teacher.name, job.sampling, job.rationale)

    def requests(self, examples: Sequence[Example] | None = None, *, hint: bool = False) -> list[Request]:
        """Return requests for all samples of examples (default: all), round by round; with a hint for one."""
        samples = (self._samples(row, hint) for row in (self.examples if examples is None else examples))
        # a repeated question is one request
        return list({request.key: request for requests in zip(*samples, strict=True) for request in requests}.values())

    def hinted_requests(self, store: Store) -> list[Request]:
        """Return the requests with a hint: of labelled examples whose samples all have replies, none of them right."""
        mistaken = []
        for row in self.annotations(store) if self.job.rationalise else ():
            samples = [sample for sample in row.samples if not sample.hinted]
            right = any(sample.label and is_right(self.task, sample.label, row.example) for sample in samples)
            if row.example.label and not right and all(sample.text is not None for sample in samples):
                mistaken.append(row.example)
        return self.requests(mistaken, hint=True)

    def reversals(self, store: Store | None) -> list[Reversal]:
        """Return how far the reverse questions of labelled examples are; without `reverse: true` none."""
        examples = [example for example in self.examples if example.label and self.job.reverse]
        results = store.results(self.job.teacher.name, self.reverse.prompt) if store and examples else {}
        questions = (self._prompt.messages(example)[-1]["content"] for example in examples)
        return [self.reverse.reversal(*row, results) for row in zip(examples, questions, strict=True)]

    def reverse_requests(self, store: Store, steps: Sequence[Step] = tuple(Step)) -> list[Request]:
        """Return the next requests for reverse questions, of these steps."""
        return [row.request for row in self.reversals(store) if row.request and row.step in steps]

    def annotations(self, store: Store) -> list[Annotation]:
        """Return every example with its samples in the store, sifted."""
        results = store.results(self.job.teacher.name, self.prompt)
        annotations = []
        for example in self.examples:
            samples = [Sample(*results.get(request.key[2:], (None,))) for request in self._samples(example, hint=False)]
            for request in self._samples(example, hint=True) if example.label else ():
                if result := results.get(request.key[2:]):
                    samples.append(Sample(*result, hinted=True))
            annotations.append(sift(example, samples, self.task, filters=self.job.filters, source=self.job.rationale))
        return annotations

    def _samples(self, example: Example, hint: bool) -> list[Request]:
        messages, sampling = self._prompt.messages(example, hint), self.job.sampling
        question, model = fingerprint(messages[-1]["content"]), self.job.teacher.name
        return [
            Request(Key(model, self.prompt, question, sample), example.id, messages, sampling.max_tokens)
            for sample in range(1 if hint else sampling.samples)
        ]


def annotate(job: Job, watch: Watch = unwatched) -> dict[str, Any]:
    """Ask the teacher for every answer that the store lacks; return the counts of this start.

    `stopped` is why it ended early (budget, time, interrupted). Raises LimbeckError for a bad row or prompt, or if the
    teacher cannot be asked; what arrived is stored.
    """
    opened = OpenJob(job)
    with Store(job.store) as store:
        session = Session(job, store, open_teacher, watch)
        tally, rows = session.tally, {"count": len(opened.examples), "sha256": digest(opened.examples)}
        session.begin(opened.prompt, opened.sent, rows)
        session.ask(job.sampling, opened.requests, lambda: opened.hinted_requests(store))
        answers = store.answered(job.teacher.name, opened.prompt)
        if job.reverse:
            session.begin(opened.reverse.prompt, opened.reverse.sent, rows)
            session.ask(opened.reverse.sampling, *(partial(opened.reverse_requests, store, [step]) for step in Step))
            answers |= store.answered(job.teacher.name, opened.reverse.prompt)
        requests = [*opened.requests(), *opened.hinted_requests(store), *opened.reverse_requests(store)]
        return {
            "requests": tally.sent,
            "stored": tally.stored,
            "failures": dict(tally.failures.most_common()),
            "reasons": tally.reasons,
            **job.bill(tally.tokens),
            "stopped": tally.stopped,
            "answers": len(answers),
            "missing": len(store.missing(requests)),
        }


def plan(job: Job) -> dict[str, Any]:
    """Return the answers `missing`, the most that may be asked again `hinted` and for `reverse`, and what was `spent`.

    `tokens` and `cost` are the most for these requests, each sent once. Raises LimbeckError for a bad row or prompt.
    """
    opened = OpenJob(job)
    missing, hinted, used = opened.requests(), list[Request](), Tokens()
    reversals = opened.reversals(None)
    if job.store.exists():
        with Store(job.store, create=False) as store:
            missing, hinted = store.missing(missing), store.missing(opened.hinted_requests(store))
            reversals = opened.reversals(store)
            used, _ = store.usage(job.teacher.name)
    if job.rationalise:  # an answer that is not there yet may be wrong
        ids = {request.example for request in missing}
        hinted += opened.requests([row for row in opened.examples if row.label and row.id in ids], hint=True)
    ceilings = [request.ceiling for request in (*missing, *hinted)]
    unique = {(row.texts["question"], row.example.label): row for row in reversals}.values()
    reverse = [request.ceiling for row in unique for request in opened.reverse.remaining(row)]
    tokens = Tokens(*map(sum, zip(*ceilings, *reverse, strict=True)))
    return {
        "teacher": job.teacher.name,
        "questions": len(opened.examples),
        "missing": len(missing),
        "hinted": len(hinted),
        "reverse": len(reverse),
        **job.bill(tokens),
        "spent": job.bill(used),
    }
