"""Results of a job so far: counts, the teacher's accuracy, and the examples to train on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from limbeck.annotation.filters import Annotation, Outcome
from limbeck.annotation.job import Job, OpenJob
from limbeck.data.mismatch import teacher_mismatch
from limbeck.errors import unknown
from limbeck.llm.messages import Tokens
from limbeck.llm.store import Store
from limbeck.schema import Example
from limbeck.stats.intervals import wilson
from limbeck.tasks import is_right


@dataclass(frozen=True)
class Results:
    """A job with the contents of its store at one time."""

    opened: OpenJob
    annotations: Sequence[Annotation]
    used: Tokens


def read_results(job: Job) -> Results:
    """Read what the job's store has now. Raises LimbeckError: there is no store yet, or a bad row or prompt."""
    opened = OpenJob(job)
    with Store(job.store, create=False) as store:
        return Results(opened, opened.annotations(store), store.usage(job.teacher.name)[0])


def summary(results: Results) -> dict[str, Any]:
    """Summarize a job's results.

    Returns:
        `outcomes` (counts of samples); `failures` of samples without a reply, by kind, with the last one's `reasons`;
        `votes` (accuracy against the gold labels with Wilson's 95 % interval, and the counts); `doubt` (why the answers
        most likely belong to other rows than the labels, or None); `kept` rationales and the questions that have one;
        and what was `spent`.
    """
    annotations, task, budget = results.annotations, results.opened.task, results.opened.budget
    samples = [sample for row in annotations for sample in row.samples]
    outcomes = Counter(sample.outcome for sample in samples)
    reasons = {str(sample.failure): sample.reason for sample in samples if sample.failure}
    graded = [is_right(task, row.vote, row.example) for row in annotations if row.vote and row.example.label]
    interval = wilson(sum(graded), len(graded))
    answered = []
    for row in annotations:
        rationale = next((sample.rationale for sample in row.samples if sample.rationale is not None), None)
        answered.append(replace(row.example, teacher_label=row.vote, rationale=rationale))
    return {
        "teacher": results.opened.job.teacher.name,
        "questions": len(annotations),
        "outcomes": {outcome.value: outcomes[outcome] for outcome in Outcome},
        "failures": dict(Counter(str(sample.failure) for sample in samples if sample.failure).most_common()),
        "reasons": reasons,
        "votes": {
            "accuracy": sum(graded) / len(graded) if graded else None,
            "interval": list(interval) if interval else None,
            "right": sum(graded),
            "n": len(graded),
            "without_vote": sum(row.vote is None for row in annotations),
            "without_label": sum(not row.example.label for row in annotations),
        },
        "doubt": teacher_mismatch(answered, task),
        "kept": {"rationales": outcomes[Outcome.KEPT], "questions": sum(bool(row.rationales) for row in annotations)},
        "spent": {"tokens": results.used._asdict(), "cost": budget.cost(results.used)},
    }


def training_examples(results: Results, *, all_rationales: bool = False) -> list[Example]:
    """Return the job's examples with the teacher's vote and the first rationale that was kept.

    A question whose label is not known has the vote for it, and is left out where there is none, or less agreement than
    the filters want. With `all_rationales` a question stands once for each rationale kept: `id`, `id#2`, `id#3`.
    """
    ids = {row.example.id for row in results.annotations}
    examples = []
    for row in results.annotations:
        agreed = row.agreement >= results.opened.job.filters.agreement
        label = row.example.label or (row.vote if agreed else None)
        if label is None:
            continue
        for index, rationale in enumerate((row.rationales if all_rationales else row.rationales[:1]) or [None]):
            id = row.example.id
            if index:
                id = next(name for number in count(2) if (name := f"{row.example.id}#{number}") not in ids)
                ids.add(id)
            examples.append(replace(row.example, id=id, label=label, teacher_label=row.vote, rationale=rationale))
    return examples


def replies(results: Results, outcome: str, limit: int) -> list[dict[str, Any]]:
    """Return the first raw replies of an outcome: `id`, `label`, the answer that was `read`, and `text` (or the error).

    Raises:
        RecipeError: no such outcome; offers the nearest.
    """
    if outcome not in list(Outcome):
        raise unknown("outcome", outcome, [name.value for name in Outcome])
    rows = [
        (row.example, sample, sample.reason or sample.text or sample.thoughts)
        for row in results.annotations
        for sample in row.samples
        if sample.outcome == outcome != Outcome.NOT_ASKED
    ]
    return [
        {"id": example.id, "label": example.label, "read": sample.label, "text": text}
        for example, sample, text in rows[:limit]
    ]
