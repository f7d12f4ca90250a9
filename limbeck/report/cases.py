"""Cases: examples with the answers of each run group's first seed and the teacher's words.

A case is a JSON object for the page, which escapes its texts; keys without a value are left out:

    {task, id, input, gold, teacher, rationale, score,
     answers: [{group, seed, answer, right, confidence, rationale, score}]}
"""

import json
import random
from collections.abc import Sequence
from typing import Any

from limbeck.formatting import visible
from limbeck.report.answers import GradedGroup, gold_scores, scores

PAGE_BYTES = 2_000_000  # of JSON
SEED = 0
LONGEST = 1500  # characters of a text

Case = dict[str, Any]


def shared_cases(members: Sequence[GradedGroup]) -> list[Case]:
    """Return the examples that every run group of a task answered."""
    by_group = [scores(member.judgements[0]) for member in members]
    gold = gold_scores(members, members[0].examples.values())
    cases = []
    for key, example in members[0].examples.items():
        if not all(key in member.examples for member in members):
            continue
        answers = []
        for member, by_id in zip(members, by_group, strict=True):
            row = member.predictions[0][key]
            answer = _case(group=member.name, seed=member.recipe.seed, answer=row.prediction, right=bool(row.correct))
            answers.append(answer | _case(confidence=row.confidence, rationale=row.rationale, score=by_id.get(row.id)))
        case = _case(task=members[0].task, id=example.id, input=example.input, gold=example.label)
        case |= _case(teacher=example.teacher_label, rationale=example.rationale, score=gold.get(example.id))
        cases.append(case | {"answers": answers})
    return cases


def _case(**values: Any) -> Case:
    texts = {key: visible(value, LONGEST) for key, value in values.items() if isinstance(value, str)}
    return {key: value for key, value in values.items() if value is not None} | texts


def sample_cases(cases: Sequence[Case]) -> list[Case]:
    """Return as many cases as a page has room for, the same sample every time."""
    sample, size = [], 0
    for position in random.Random(SEED).sample(range(len(cases)), len(cases)):
        size += len(json.dumps(cases[position], ensure_ascii=False).encode("utf-8", "backslashreplace"))
        if size > PAGE_BYTES:
            break
        sample.append(position)
    return [cases[position] for position in sorted(sample)]
