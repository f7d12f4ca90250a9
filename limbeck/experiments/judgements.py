"""What `limbeck judge` left in a run's folder, read back."""

from limbeck.evaluation.judged import read_judgements as read_file
from limbeck.experiments.run import Run
from limbeck.files import read_jsonl
from limbeck.schema import Judgement


def read_judgements(run: Run, split: str = "test") -> list[Judgement]:
    """The judgements of a run's rationales, and of the teacher's to the same examples; none where no judge was asked.

    Those of a rationale that the run has written anew since are left out.

    Raises:
        LimbeckError: a row that is no judgement; names file and line.
    """
    own, gold = (run.path / "evaluation" / f"{name}-{split}.jsonl" for name in ("judge", "judge-gold"))
    found = read_file(own) if own.is_file() else []
    if found:
        written = {str(row.get("id")): row.get("rationale") for _, row in read_jsonl(run.predictions(split))}
        found = [one for one in found if written.get(one.id) in (None, one.rationale)]
    return [*found, *(read_file(gold) if gold.is_file() else [])]


def single(judgement: Judgement) -> bool:
    """Whether the judge was asked once, at temperature 0; else it was asked several times over."""
    return len(judgement.replies) == 1
