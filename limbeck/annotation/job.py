"""An annotation job: questions for a teacher, sampling, limits, budget and filters; and its requests and replies."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints

from limbeck.annotation.filters import Annotation, FilterSettings, Sample, sift
from limbeck.annotation.prompts import load_prompt
from limbeck.data.rows import Column, read_rows
from limbeck.files import STDIO
from limbeck.llm import RationaleSource
from limbeck.llm.settings import Budget, BudgetSettings, LimitSettings, NamedTeacher, PriceSettings, SamplingSettings
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

    The store knows replies by the model, by `prompt`, a hash of `sent` (the messages before a question, and the
    sampling), and by a hash of the question. The longest answer is in neither: after it was raised, only the answers
    that had been cut off are asked for again.
    """

    def __init__(self, job: Job) -> None:
        """Read the job's files.

        Raises:
            LimbeckError: a bad row or prompt, or a budget in money without a price.
        """
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
        return [request for round_ in rounds for request in round_]

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
        model, job = self.job.teacher.name, self.job
        replies, failures = store.replies(model, self.prompt), store.failures(model, self.prompt)
        annotations = []
        for example in self.examples:
            samples = []
            for hinted in (False, True) if example.label else (False,):
                for request in self._samples(example, hinted):
                    text, thoughts = replies.get(request.key[2:], (None, ""))
                    failure, reason = (None, None) if text is not None else failures.get(request.key[2:], (None, None))
                    if not hinted or text is not None or failure is not None:
                        samples.append(Sample(text, thoughts, failure, reason, hinted))
            annotations.append(sift(example, samples, self.task, filters=job.filters, source=job.rationale))
        return annotations

    def _samples(self, example: Example, hint: bool) -> list[Request]:
        messages, sampling = self._prompt.messages(example, hint), self.job.sampling
        question = _hash(messages[-1]["content"])
        keys = [
            Key(self.job.teacher.name, self.prompt, question, sample)
            for sample in range(1 if hint else sampling.samples)
        ]
        return [Request(key, example.id, messages, sampling.max_tokens) for key in keys]

    def _is_mistaken(self, sample: Sample, annotation: Annotation) -> bool:
        if sample.hinted or sample.text is None:
            return sample.hinted
        return sample.label is None or not is_right(self.task, sample.label, annotation.example)

    def _without_reply(self, requests: list[Request], store: Store | None) -> list[Request]:
        answered = store.answered(self.job.teacher.name, self.prompt) if store else set()
        unique = {request.key: request for request in requests}  # a repeated question is one request
        return [request for key, request in unique.items() if key[2:] not in answered]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
