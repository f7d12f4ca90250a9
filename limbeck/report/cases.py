"""Cases: an example with what each method's students said to it, the gold label and the teacher's words beside."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from limbeck.data import DataSettings, load_split
from limbeck.errors import LimbeckError
from limbeck.files import read_jsonl
from limbeck.metrics.answered import by_id
from limbeck.runs.groups import Arm
from limbeck.runs.judgements import GOLD, read_judgements, single
from limbeck.runs.run import Run
from limbeck.schema import Example, Judgement
from limbeck.tasks import Split

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """What one run's student said."""

    arm: str  # the arm's name
    seed: int
    prediction: str
    correct: bool
    confidence: float | None
    rationale: str | None
    score: float | None  # the judge's, from 1 to 5


@dataclass(frozen=True, slots=True)
class Case:
    """One example. What the teacher said is None where its data is gone, or where it said nothing that could be read.

    All of its texts were written by models or come with the data: a page has to escape them.
    """

    task: str
    id: str
    input: str
    label: str
    answers: tuple[str, ...]  # right besides the label, where the data is still there
    teacher_label: str | None
    rationale: str | None  # the teacher's
    score: float | None  # of the teacher's rationale
    said: tuple[Said, ...]  # by arm, then by seed


def cases(arms: Sequence[Arm], split: Split = "test") -> list[Case]:
    """All examples that these arms were measured on, by task, in the order of the predictions.

    An example that not all runs of its task were measured on has fewer answers. Examples of different data are
    different ones, whatever their ids.

    Raises:
        LimbeckError: predictions or judgements that cannot be read.
    """
    said: dict[tuple[str, str, str, str], list[Said]] = {}
    scores: dict[tuple[str, str, str], float | None] = {}
    teachers: dict[str, Mapping[str, Example]] = {}
    sources: dict[tuple[str, str, str, str], str] = {}
    for arm in arms:
        for run in arm.runs:
            data = run.recipe.data.model_copy(update={"labels": "gold", "keep": "all", "train_fraction": 1.0})
            source = data.model_dump_json()
            if source not in teachers:
                teachers[source] = _teacher(run, data, split)
            judged = _scores(read_judgements(run, split))
            scores |= {(arm.task, id, text): score for (name, id, text), score in judged.items() if name == GOLD}
            own = {id: score for (name, id, _), score in judged.items() if name != GOLD}
            for (id, shown, label), one in _answers(arm.name, run, split, own).items():
                said.setdefault((arm.task, id, shown, label), []).append(one)
                sources.setdefault((arm.task, id, shown, label), source)
    return [
        _case(key, answers, teachers[sources[key]].get(key[1]), scores)
        for task in dict.fromkeys(arm.task for arm in arms)
        for key, answers in said.items()
        if key[0] == task
    ]


def _case(
    key: tuple[str, str, str, str],
    said: Sequence[Said],
    example: Example | None,
    scores: Mapping[tuple[str, str, str], float | None],
) -> Case:
    task, id, shown, label = key
    if example is None or (example.input, example.label) != (shown, label):
        example = Example(id, (shown,), label)
    score = scores.get((task, id, example.rationale)) if example.rationale else None
    teacher = example.teacher_label, example.rationale, score
    return Case(task, id, shown, label, example.answers, *teacher, tuple(said))


def _answers(arm: str, run: Run, split: Split, scores: Mapping[str, float | None]) -> dict[tuple[str, str, str], Said]:
    """By id, input and label."""
    path = run.predictions(split)
    graded = by_id(path)
    found = {}
    for line, row in read_jsonl(path):
        one = graded.get(str(row.get("id")))
        if one is None:  # it has no label
            continue
        rationale, shown = row.get("rationale"), row.get("input", "")
        if not isinstance(rationale, str | None) or not isinstance(shown, str):
            raise LimbeckError(f"{path}:{line}: fields 'input' and 'rationale' are to be text")
        id = str(row["id"])
        found[id, shown, one.label] = Said(
            arm, run.recipe.seed, row["prediction"], one.correct, one.confidence, rationale, scores.get(id)
        )
    return found


def _scores(judgements: Sequence[Judgement]) -> dict[tuple[str, str, str], float | None]:
    """By run, example and rationale: the single score, or where there is none the mean of several."""
    found: dict[tuple[str, str, str], float | None] = {}
    for one in sorted(judgements, key=single):
        if one.score is not None:
            found[one.run, one.id, one.rationale] = one.score
    return found


def _teacher(run: Run, data: DataSettings, split: Split) -> Mapping[str, Example]:
    """What the teacher said to each example, by id."""
    try:
        return {example.id: example for example in load_split(data, split)}
    except LimbeckError as error:
        log.warning("%s: the teacher's words are not shown (%s)", run.path, error)
        return {}
