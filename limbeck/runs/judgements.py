"""What `limbeck judge` left in a run's folder, read back."""

from limbeck.metrics.judged import read_judgements as read_file
from limbeck.runs.run import Run
from limbeck.files import read_jsonl
from limbeck.schema import Judgement


def read_judgements(run: Run, split: str = "test") -> list[Judgement]:
    """The judgements of a run's rationales, and of the teacher's to the same examples; none where no judge was asked.

    Those of another rationale or answer than the run has now are left out.

    Raises:
        LimbeckError: a row that is no judgement; names file and line.
    """
    own, gold = (run.path / "evaluation" / f"{name}-{split}.jsonl" for name in ("judge", "judge-gold"))
    found = read_file(own) if own.is_file() else []
    if found:
        said = {str(row.get("id")): row for _, row in read_jsonl(run.predictions(split))}
        rows = [(one, said.get(one.id, {})) for one in found]
        found = [one for one, row in rows if still_said(one, row.get("rationale"), row.get("prediction"))]
    return [*found, *(read_file(gold) if gold.is_file() else [])]


def still_said(judgement: Judgement, rationale: str | None, answer: str | None) -> bool:
    """Whether a judgement is of what a run says now: of this rationale, shown with this answer."""
    return (judgement.rationale, judgement.label) == (rationale, answer)


def single(judgement: Judgement) -> bool:
    """Whether the judge was asked once, at temperature 0; else it was asked several times over."""
    return len(judgement.replies) == 1
