"""Cases: examples with the answer of each run group's first seed, the gold label and the teacher's words.

A case is a JSON object for the page, without the keys of what there is none of:

    {task, id, input, gold, teacher, rationale, score,
     answers: [{group, seed, answer, right, confidence, rationale, score}]}

Models wrote these texts, or they come with the data: a page has to escape them.
"""

import json
import random
from collections.abc import Sequence
from itertools import groupby, zip_longest
from operator import attrgetter
from typing import Any

from limbeck.formatting import visible
from limbeck.report.answers import GradedGroup, scores

PAGE_BYTES = 2_000_000  # of JSON at most
PAGE_CASES = 10_000
SEED = 0
LONGEST = 1500  # characters of a text that the page keeps

Case = dict[str, Any]


def shared_cases(members: Sequence[GradedGroup]) -> list[Case]:
    """Return the examples that every run group of their task answered, by task."""
    cases = []
    for task, group in groupby(members, attrgetter("task")):
        of_task = list(group)
        by_group = {member.name: scores(member.judgements[0]) for member in of_task}
        gold = scores([entry for member in of_task for run in member.judgements for entry in run], gold=True)
        keys = (key for key in of_task[0].positions if all(key in member.positions for member in of_task))
        for id, text, label in keys:
            example = of_task[0].examples[of_task[0].positions[id, text, label]]
            answers = []
            for member in of_task:
                answer = member.predictions[0][member.positions[id, text, label]]
                values = {
                    "group": member.name,
                    "seed": member.group.runs[0].recipe.seed,
                    "answer": _cut(answer.prediction),
                    "right": bool(answer.correct),
                    "confidence": answer.confidence,
                    "rationale": _cut(answer.rationale),
                    "score": by_group[member.name].get(id),
                }
                answers.append(_without_none(values))
            values = {
                "task": task,
                "id": _cut(id),
                "input": _cut(text),
                "gold": _cut(label),
                "teacher": _cut(example.teacher_label),
                "rationale": _cut(example.rationale),
                "score": gold.get(id),
                "answers": answers,
            }
            cases.append(_without_none(values))
    return cases


def sample_cases(cases: Sequence[Case]) -> list[Case]:
    """Return as many cases as a page has room for: task by task, and evenly over which run groups are right.

    The same cases give the same sample.
    """
    strata: dict[tuple[bool, ...], list[int]] = {}
    for position in random.Random(SEED).sample(range(len(cases)), len(cases)):
        stratum = cases[position]["task"], *(answer["right"] for answer in cases[position]["answers"])
        strata.setdefault(stratum, []).append(position)
    sample: list[int] = []
    size = 0
    for position in (position for turn in zip_longest(*strata.values()) for position in turn if position is not None):
        size += len(json.dumps(cases[position], ensure_ascii=False).encode("utf-8", "backslashreplace"))
        if size > PAGE_BYTES or len(sample) >= PAGE_CASES:
            break
        sample.append(position)
    return [cases[position] for position in sorted(sample)]


def _without_none(values: Case) -> Case:
    return {key: value for key, value in values.items() if value is not None}


def _cut(text: str | None) -> str | None:
    return None if text is None else visible(text, LONGEST)
