"""What `limbeck judge` left in a run's folder, read back."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from limbeck.errors import LimbeckError
from limbeck.experiments.run import Run
from limbeck.files import read_jsonl
from limbeck.schema import Judgement

_FORM = TypeAdapter(Judgement)


def read_judgements(run: Run, split: str = "test") -> list[Judgement]:
    """The judgements of a run's rationales, and of the teacher's to the same examples; none where no judge was asked.

    Raises:
        LimbeckError: a row that is no judgement; names file and line.
    """
    path = run.path / "evaluation" / f"judge-{split}.jsonl"
    return [_judgement(row, f"{path}:{line}") for line, row in read_jsonl(path)] if path.is_file() else []


def _judgement(row: dict[str, Any], where: str) -> Judgement:
    try:
        one = _FORM.validate_python(row)
    except ValidationError:
        one = None
    if one is None or not 0 < len(one.scores) == len(one.replies) or not all(1 <= score <= 5 for score in scores(one)):
        raise LimbeckError(f"{where}: no judgement of a rationale; have it judged again with `limbeck judge`")
    return one


def scores(judgement: Judgement) -> list[float]:
    """The scores that there are."""
    return [score for score in judgement.scores if score is not None]


def single(judgement: Judgement) -> bool:
    """Whether the judge was asked once, at temperature 0; else it was asked several times over."""
    return len(judgement.replies) == 1
