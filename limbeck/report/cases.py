"""Cases: an example with the answers of each run group's students, the gold label and the teacher's words."""

import json
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from limbeck.data import DataSettings, load_split
from limbeck.errors import LimbeckError
from limbeck.formatting import visible
from limbeck.metrics.predictions import read_predictions
from limbeck.runs.groups import RunGroup
from limbeck.runs.judging import GOLD, read_judgements, single
from limbeck.runs.run import Run
from limbeck.schema import Example, Judgement
from limbeck.tasks import Split

log = logging.getLogger(__name__)

PAGE_BYTES = 2_000_000  # of JSON at most
PAGE_CASES = 10_000
SEED = 0
TEXT_LENGTH = {"input": 2000, "rationale": 1500, "answer": 300}  # characters that the page keeps


@dataclass(frozen=True, slots=True)
class StudentAnswer:
    """One run's answer to a case."""

    group: str  # the run group's name
    seed: int
    prediction: str
    correct: bool
    confidence: float | None
    rationale: str | None
    score: float | None  # the judge's, from 1 to 5


@dataclass(frozen=True, slots=True)
class Case:
    """One example. The teacher's fields are None where its data is gone or its reply could not be read.

    All texts were written by models or come with the data: a page has to escape them.
    """

    task: str
    id: str
    input: str
    label: str
    accepted: tuple[str, ...]  # answers that are right besides the label
    teacher_label: str | None
    rationale: str | None  # the teacher's
    score: float | None  # of the teacher's rationale
    answers: tuple[StudentAnswer, ...]  # by run group, then by seed


@dataclass(frozen=True, slots=True)
class CaseKind:
    """Examples on which two methods differ in one way: their number, and those that were picked."""

    name: str
    count: int
    picked: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class CaseStudy:
    """A case study of one task. Without `kinds`, `reason` says why there is none."""

    name: str  # figure4
    title: str
    task: str
    rule: str
    examples: int = 0
    kinds: tuple[CaseKind, ...] = ()
    reason: str | None = None


Key = tuple[str, str, str, str]  # task, id, input, label: examples of other data are others, whatever their ids


def load_cases(groups: Sequence[RunGroup], split: Split = "test") -> list[Case]:
    """Return all examples that these run groups answered, by task, in the order of the predictions.

    An example that not all runs of its task answered has fewer answers.

    Raises:
        LimbeckError: predictions or judgements that cannot be read.
    """
    answers: dict[Key, list[StudentAnswer]] = {}
    gold_scores: dict[tuple[str, str, str], float] = {}
    examples: dict[str, Mapping[str, Example]] = {}  # by the data's settings
    sources: dict[Key, str] = {}
    for group in groups:
        for run in group.runs:
            data = run.recipe.data.model_copy(update={"labels": "gold", "keep": "all", "train_fraction": 1.0})
            source = data.model_dump_json()
            if source not in examples:
                examples[source] = _load_examples(run, data, split)
            scores = _scores(read_judgements(run, split))
            gold_scores |= {(group.task, *key[1:]): score for key, score in scores.items() if key[0] == GOLD}
            own_scores = {id: score for (name, id, _), score in scores.items() if name != GOLD}
            for key, answer in _answers(group, run, split, own_scores):
                answers.setdefault(key, []).append(answer)
                sources.setdefault(key, source)
    order = list(dict.fromkeys(group.task for group in groups))
    cases = []
    for key in sorted(answers, key=lambda key: order.index(key[0])):
        task, id, text, label = key
        example = examples[sources[key]].get(id)
        if example is None or (example.input, example.label) != (text, label):
            example = Example(id, (text,), label)
        score = gold_scores.get((task, id, example.rationale)) if example.rationale else None
        teacher = example.teacher_label, example.rationale, score
        cases.append(Case(task, id, text, label, example.answers, *teacher, tuple(answers[key])))
    return cases


def _answers(
    group: RunGroup, run: Run, split: Split, scores: Mapping[str, float]
) -> Iterator[tuple[Key, StudentAnswer]]:
    for p in read_predictions(run.predictions(split)):
        answer = (str(p.prediction), bool(p.correct), p.confidence, p.rationale, scores.get(p.id))
        yield (group.task, p.id, p.input, str(p.label)), StudentAnswer(group.name, run.recipe.seed, *answer)


def _scores(judgements: Sequence[Judgement]) -> dict[tuple[str, str, str], float]:
    """Return by run, example and rationale the single score, or the mean of several askings."""
    ordered = sorted(judgements, key=single)
    return {(entry.run, entry.id, entry.rationale): entry.score for entry in ordered if entry.score is not None}


def _load_examples(run: Run, data: DataSettings, split: Split) -> Mapping[str, Example]:
    try:
        return {example.id: example for example in load_split(data, split)}
    except LimbeckError as error:
        log.warning("%s: the teacher's words are not shown (%s)", run.path, error)
        return {}


@dataclass(frozen=True, slots=True)
class PageCases:
    """Cases as data for the page, and how many there were to choose from."""

    cases: list[dict[str, Any]]
    shared: int  # examples that every run group of their task answered


def sample_cases(groups: Sequence[RunGroup], cases: Sequence[Case], max_bytes: int = PAGE_BYTES) -> PageCases:
    """Return as many shared cases as fit: task by task, and evenly over which run groups are right.

    A run group is shown by its first seed. The same runs give the same sample.
    """
    first_seed = {(group.task, group.name): group.runs[0].recipe.seed for group in groups}
    names = {task: {name for of_task, name in first_seed if of_task == task} for task, _ in first_seed}
    strata: dict[tuple[str, tuple[bool, ...]], list[tuple[int, Case, list[StudentAnswer]]]] = {}
    for position, case in random.Random(SEED).sample(list(enumerate(cases)), len(cases)):
        answers = [answer for answer in case.answers if first_seed.get((case.task, answer.group)) == answer.seed]
        if {answer.group for answer in answers} == names.get(case.task):
            stratum = case.task, tuple(answer.correct for answer in answers)
            strata.setdefault(stratum, []).append((position, case, answers))
    sample: list[tuple[int, dict[str, Any]]] = []
    size = 0
    for member in (member for turn in zip_longest(*strata.values()) for member in turn if member is not None):
        position, case, answers = member
        row = _case_row(case, answers)
        size += len(json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace"))
        if size > max_bytes or len(sample) >= PAGE_CASES:
            break
        sample.append((position, row))
    sample.sort(key=lambda row: row[0])
    return PageCases([row for _, row in sample], sum(map(len, strata.values())))


def _case_row(case: Case, answers: Sequence[StudentAnswer]) -> dict[str, Any]:
    """Return a case for the page, without what is None."""
    row = {
        "task": case.task,
        "id": _cut(case.id, "answer"),
        "input": _cut(case.input, "input"),
        "gold": _cut(case.label, "answer"),
        "teacher": _cut(case.teacher_label, "answer"),
        "rationale": _cut(case.rationale, "rationale"),
        "score": case.score,
        "answers": [
            _without_none(
                {
                    "group": answer.group,
                    "seed": answer.seed,
                    "answer": _cut(answer.prediction, "answer"),
                    "right": answer.correct,
                    "confidence": None if answer.confidence is None else round(answer.confidence, 4),
                    "rationale": _cut(answer.rationale, "rationale"),
                    "score": None if answer.score is None else round(answer.score, 3),
                }
            )
            for answer in answers
        ],
    }
    return _without_none(row)


def _without_none(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None}


def _cut(text: str | None, kind: str) -> str | None:
    return None if text is None else visible(text, TEXT_LENGTH[kind])
