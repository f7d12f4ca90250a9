"""What a teacher's answers have come to: counts, its accuracy, and the examples to train on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from scipy.stats import binomtest

from limbeck.annotation.job import Job, OpenJob
from limbeck.annotation.sifting import Asked, Outcome, Sifted, count_votes, counts
from limbeck.data.mismatch import teacher_mismatch
from limbeck.errors import unknown
from limbeck.llm.store import Store, Tokens
from limbeck.schema import Example


@dataclass(frozen=True)
class Taught:
    """A job with what its store had at one time."""

    opened: OpenJob
    asked: Sequence[Asked]
    sifted: Sequence[Sifted]
    used: Tokens
    others: int  # replies of the same model to other prompts or samplings


def read_taught(job: Job) -> Taught:
    """What the job's store has now.

    Raises:
        LimbeckError: there is no store yet, or a bad row or prompt.
    """
    opened = OpenJob(job)
    with Store.open(job.store, create=False) as store:
        asked = opened.questions.asked(store)
        used, _ = store.usage(job.teacher.name)
        others = store.other_replies(job.teacher.name, opened.questions.prompt)
    return Taught(opened, asked, opened.sift(asked), used, others)


def summary(taught: Taught) -> dict[str, Any]:
    """What a job has brought so far.

    Returns:
        `outcomes` (samples by what became of them), `failures` (of samples without a reply, by kind, and for each kind
        the last one's reason), `votes`
        (accuracy against the gold labels with its 95 % interval, and the counts), `doubt` (why the answers most likely
        belong to other rows than the labels; None: nothing speaks for it), `kept` rationales and the questions that
        have one, and what was `spent`.
    """
    votes = count_votes(taught.sifted, taught.opened.task)
    kept = [sum(sample.outcome is Outcome.KEPT for sample in one.samples) for one in taught.sifted]
    failed = [one for each in taught.asked for one in each.samples if one.text is None and one.failure]
    kinds = Counter(str(one.failure) for one in failed)
    return {
        "teacher": taught.opened.job.teacher.name,
        "questions": len(taught.sifted),
        "outcomes": counts(taught.sifted),
        "failures": dict(kinds.most_common()),
        "reasons": {str(one.failure): one.reason for one in failed},
        "votes": {
            "accuracy": votes.right / votes.graded if votes.graded else None,
            "interval": _interval(votes.right, votes.graded),
            "right": votes.right,
            "n": votes.graded,
            "without_vote": votes.questions - votes.voted,
            "without_label": votes.questions - votes.labelled,
        },
        "doubt": teacher_mismatch([_answered(one) for one in taught.sifted], taught.opened.task),
        "kept": {"rationales": sum(kept), "questions": sum(bool(count) for count in kept)},
        "other_replies": taught.others,
        "spent": {"tokens": taught.used._asdict(), "cost": taught.opened.cost(taught.used)},
    }


def _answered(one: Sifted) -> Example:
    """Return a question with the teacher's vote and the first of its rationales, whatever the filters make of that."""
    rationale = next((sample.rationale for sample in one.samples if sample.rationale is not None), None)
    return replace(one.example, teacher_label=one.vote, rationale=rationale)


def training_examples(taught: Taught, every: bool = False) -> list[Example]:
    """The job's examples with the teacher's answer (its vote) and the first rationale that was kept.

    A question whose label is not known has the vote for it, and is left out where there is none, or less agreement than
    the filters want. With `every`, a question stands once for each rationale that was kept: `id`, `id#2`, `id#3`.
    """
    least = taught.opened.job.filters.agreement
    taken = {one.example.id for one in taught.sifted}
    return [example for one in taught.sifted for example in _examples(one, every, least, taken)]


def _examples(one: Sifted, every: bool, least: float, taken: set[str]) -> list[Example]:
    agreed = one.agreement is not None and one.agreement >= least
    label = one.example.label or (one.vote if agreed else None)
    if label is None:
        return []
    kept = [sample.rationale for sample in one.samples if sample.outcome is Outcome.KEPT] or [None]
    example = replace(one.example, label=label, teacher_label=one.vote)
    first, *more = [replace(example, rationale=rationale) for rationale in (kept if every else kept[:1])]
    return [first, *(replace(each, id=_new_id(first.id, taken)) for each in more)]


def _new_id(id: str, taken: set[str]) -> str:
    """The id with the first number, from 2, that makes it one of its own."""
    new = next(each for each in (f"{id}#{number}" for number in count(2)) if each not in taken)
    taken.add(new)
    return new


def replies(taught: Taught, outcome: str, most: int) -> list[dict[str, Any]]:
    """The first raw replies of an outcome: `id`, `label`, what was `read` as the answer, `text` (or why it failed).

    Raises:
        LimbeckError: no such outcome; offers the nearest.
    """
    if outcome not in list(Outcome):
        raise unknown("outcome", outcome, [each.value for each in Outcome])
    found = [
        {
            "id": one.example.id,
            "label": one.example.label,
            "read": judged.label,
            "text": (sample.text or sample.thoughts) if sample.reason is None else sample.reason,
        }
        for one, each in zip(taught.asked, taught.sifted, strict=True)
        for sample, judged in zip(one.samples, each.samples, strict=True)
        if judged.outcome == outcome and outcome != Outcome.NOT_ASKED
    ]
    return found[:most]


def _interval(right: int, n: int) -> list[float] | None:
    """Wilson's 95 % interval of `right` of `n`; None for n = 0."""
    if n == 0:
        return None
    interval = binomtest(right, n).proportion_ci(method="wilson")
    return [float(interval.low), float(interval.high)]
