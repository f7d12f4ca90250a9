"""What a teacher's answers have come to: counts, its accuracy, and the examples to train on."""

from dataclasses import replace
from typing import Any

from scipy.stats import binomtest

from limbeck.data.job import Job, OpenJob
from limbeck.errors import unknown
from limbeck.schema import Example
from limbeck.teacher.sifting import Outcome, Sifted, count_votes, counts
from limbeck.teacher.store import Store


def show(job: Job) -> dict[str, Any]:
    """What a job has brought so far.

    Returns:
        `outcomes` (samples by what became of them), `failures` (of samples without a reply, by kind), `votes`
        (accuracy against the gold labels with its 95 % interval, and the counts), `kept` rationales and the questions
        that have one, and what was `spent`.

    Raises:
        LimbeckError: there is no store yet, or a bad row or prompt.
    """
    opened = OpenJob(job)
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
            "interval": _interval(votes.right, votes.graded),
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
    opened = OpenJob(job)
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


def _interval(right: int, n: int) -> list[float] | None:
    """Wilson's 95 % interval of `right` of `n`; None for n = 0."""
    if n == 0:
        return None
    interval = binomtest(right, n).proportion_ci(method="wilson")
    return [float(interval.low), float(interval.high)]


def replies(job: Job, outcome: str, count: int) -> list[dict[str, Any]]:
    """The first `count` raw replies of an outcome: `id`, `label`, what was `read` as the answer, `text`.

    Raises:
        LimbeckError: no such outcome (offers the nearest); or as `show`.
    """
    if outcome not in list(Outcome):
        raise unknown("outcome", outcome, [each.value for each in Outcome])
    opened = OpenJob(job)
    with Store.open(job.store, create=False) as store:
        asked, sifted = opened.questions.asked(store), opened.sifted(store)
    found = [
        {"id": one.example.id, "label": one.example.label, "read": judged.label, "text": sample.text}
        for one, each in zip(asked, sifted, strict=True)
        for sample, judged in zip(one.samples, each.samples, strict=True)
        if judged.outcome == outcome and sample.text is not None
    ]
    return found[:count]
