"""What `limbeck judge` left in a run's folder, read back."""

from limbeck.evaluation.judged import read_judgements as read_file
from limbeck.experiments.run import Run
from limbeck.schema import Judgement


def read_judgements(run: Run, split: str = "test") -> list[Judgement]:
    """The judgements of a run's rationales, and of the teacher's to the same examples; none where no judge was asked.

    Raises:
        LimbeckError: a row that is no judgement; names file and line.
    """
    files = [run.path / "evaluation" / f"{name}-{split}.jsonl" for name in ("judge", "judge-gold")]
    return [one for path in files if path.is_file() for one in read_file(path)]


def single(judgement: Judgement) -> bool:
    """Whether the judge was asked once, at temperature 0; else it was asked several times over."""
    return len(judgement.replies) == 1
