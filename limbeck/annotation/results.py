"""Results of a job so far: counts, the teacher's accuracy, and the examples to train on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from limbeck.annotation.filters import Asked, Outcome, Sifted, count_votes, counts
from limbeck.annotation.job import Job, OpenJob
from limbeck.data.mismatch import teacher_mismatch
from limbeck.errors import unknown
from limbeck.llm.messages import Tokens
from limbeck.llm.store import Store
from limbeck.schema import Example
from limbeck.stats.intervals import wilson


@dataclass(frozen=True)
class Results:
    """A job with the contents of its store at one time."""

    opened: OpenJob
    questions: Sequence[Asked]
    sifted: Sequence[Sifted]
    used: Tokens
    other_replies: int  # of the same model to other prompts or samplings


def read_results(job: Job) -> Results:
    """Read what the job's store has now.

    Raises:
        LimbeckError: there is no store yet, or a bad row or prompt.
    """
    opened = OpenJob(job)
    with Store.open(job.store, create=False) as store:
        questions = opened.questions.asked(store)
        used, _ = store.usage(job.teacher.name)
        other_replies = store.other_replies(job.teacher.name, opened.questions.prompt)
    return Results(opened, questions, opened.sift(questions), used, other_replies)


def summary(results: Results) -> dict[str, Any]:
    """Summarize a job's results.

    Returns:
        `outcomes` (counts of samples); `failures` of samples without a reply, by kind, with the last one's `reasons`;
        `votes` (accuracy against the gold labels with Wilson's 95 % interval, and the counts); `doubt` (why the answers
        most likely belong to other rows than the labels, or None); `kept` rationales and the questions that have one;
        and what was `spent`.
    """
    votes = count_votes(results.sifted, results.opened.task)
    counts_kept = [sum(sample.outcome is Outcome.KEPT for sample in question.samples) for question in results.sifted]
    samples = [sample for question in results.questions for sample in question.samples]
    failed = [sample for sample in samples if sample.text is None and sample.failure]
    interval = wilson(votes.right, votes.graded)
    answered = [
        replace(
            question.example,
            teacher_label=question.vote,
            rationale=next((sample.rationale for sample in question.samples if sample.rationale is not None), None),
        )
        for question in results.sifted
    ]
    return {
        "teacher": results.opened.job.teacher.name,
        "questions": len(results.sifted),
        "outcomes": counts(results.sifted),
        "failures": dict(Counter(str(sample.failure) for sample in failed).most_common()),
        "reasons": {str(sample.failure): sample.reason for sample in failed},
        "votes": {
            "accuracy": votes.right / votes.graded if votes.graded else None,
            "interval": list(interval) if interval else None,
            "right": votes.right,
            "n": votes.graded,
            "without_vote": votes.questions - votes.voted,
            "without_label": votes.questions - votes.labelled,
        },
        "doubt": teacher_mismatch(answered, results.opened.task),
        "kept": {"rationales": sum(counts_kept), "questions": sum(map(bool, counts_kept))},
        "spent": {"tokens": results.used._asdict(), "cost": results.opened.cost(results.used)},
        "other_replies": results.other_replies,
    }


def training_examples(results: Results, *, all_rationales: bool = False) -> list[Example]:
    """Return the job's examples with the teacher's vote and the first rationale that was kept.

    A question whose label is not known has the vote for it, and is left out where there is none, or less agreement than
    the filters want. With `all_rationales` a question stands once for each rationale kept: `id`, `id#2`, `id#3`.
    """
    least_agreement = results.opened.job.filters.agreement
    ids = {question.example.id for question in results.sifted}
    examples = []
    for question in results.sifted:
        agreed = question.agreement is not None and question.agreement >= least_agreement
        label = question.example.label or (question.vote if agreed else None)
        if label is None:
            continue
        example = replace(question.example, label=label, teacher_label=question.vote)
        rationales = [sample.rationale for sample in question.samples if sample.outcome is Outcome.KEPT] or [None]
        for index, rationale in enumerate(rationales if all_rationales else rationales[:1]):
            id = example.id
            if index:
                id = next(name for number in count(2) if (name := f"{example.id}#{number}") not in ids)
                ids.add(id)
            examples.append(replace(example, id=id, rationale=rationale))
    return examples


def replies(results: Results, outcome: str, limit: int) -> list[dict[str, Any]]:
    """Return the first raw replies of an outcome: `id`, `label`, the answer that was `read`, and `text` (or the error).

    Raises:
        RecipeError: no such outcome; offers the nearest.
    """
    if outcome not in list(Outcome):
        raise unknown("outcome", outcome, [name.value for name in Outcome])
    rows = [
        {
            "id": question.example.id,
            "label": question.example.label,
            "read": parsed.label,
            "text": (sample.text or sample.thoughts) if sample.reason is None else sample.reason,
        }
        for question, sifted in zip(results.questions, results.sifted, strict=True)
        for sample, parsed in zip(question.samples, sifted.samples, strict=True)
        if parsed.outcome == outcome and outcome != Outcome.NOT_ASKED
    ]
    return rows[:limit]
