"""An annotation job: questions for a teacher, sampling, limits, budget and filters."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

from limbeck.annotation.filters import Asked, FilterSettings, Judged, Sifted, sift
from limbeck.annotation.prompts import Questions, load_prompt
from limbeck.data.columns import Column
from limbeck.data.rows import read_rows
from limbeck.files import STDIO
from limbeck.llm import RationaleSource
from limbeck.llm.messages import Tokens
from limbeck.llm.runner import Request
from limbeck.llm.settings import (
    BudgetSettings,
    LimitSettings,
    NamedTeacher,
    PriceSettings,
    SamplingSettings,
    cost,
    coverage,
    price_of,
)
from limbeck.llm.store import Store
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
    """A job whose rows and prompt are read, and whose budget is checked."""

    def __init__(self, job: Job) -> None:
        """Read the job's files.

        Raises:
            LimbeckError: a bad row or prompt, or a budget in money without a price.
        """
        self.job = job
        self.task = replace(task_of(job), marker=job.marker) if job.marker else task_of(job)
        self.examples = read_rows(job.rows, job.columns, labelled=False, task=self.task)
        self.questions = Questions(self.examples, load_prompt(self.task, job.prompt), job.teacher.name, job.sampling)
        self.price = price_of(job.teacher.name, job.prices)
        self.covers = coverage(job.budget, self.price, job.teacher.name)

    def cost(self, tokens: Tokens) -> float | None:
        """Return the cost of so many tokens; None where no price is known."""
        return None if self.price is None else cost(tokens, self.price)

    def unanswered(self, store: Store | None) -> list[Request]:
        """Return the requests without a hint that have no reply; all of them where there is no store yet."""
        return self._without_reply(self.questions.requests(self.examples), store)

    def mistaken(self, store: Store) -> list[Request]:
        """Return the requests with the label as a hint that have no reply; none where the job rationalises nothing.

        An example is asked again if its label is known, and all its samples have replies, none of them right.
        """
        if not self.job.rationalise:
            return []
        questions = self.questions.asked(store)
        examples = [
            question.example
            for question, sifted in zip(questions, self.sift(questions), strict=True)
            if question.example.label
            and all(sample.hinted or sample.text is not None for sample in question.samples)
            and not any(self._is_right(sample, question.example) for sample in sifted.samples)
        ]
        return self._without_reply(self.questions.requests(examples, hint=True), store)

    def sift(self, questions: Sequence[Asked]) -> list[Sifted]:
        """Return the outcome of every sample, by the job's filters."""
        return sift(questions, self.task, self.job.filters, source=self.job.rationale)

    def _is_right(self, sample: Judged, example: Example) -> bool:
        return not sample.hinted and sample.label is not None and is_right(self.task, sample.label, example)

    def _without_reply(self, requests: list[Request], store: Store | None) -> list[Request]:
        answered = store.answered(self.job.teacher.name, self.questions.prompt) if store else set()
        unique = {request.key: request for request in requests}  # a repeated question is one request
        return [request for key, request in unique.items() if (key.question, key.sample) not in answered]
