"""The judgements that the judge left in a run's folder, read back."""

from pathlib import Path

from limbeck.files import read_jsonl
from limbeck.metrics.judgements import read_judgements as read_file
from limbeck.runs.run import Run
from limbeck.schema import Judgement

GOLD = "Gold"  # the teacher's rationales


def read_judgements(run: Run, split: str = "test") -> list[Judgement]:
    """Return the judgements of a run's rationales, and of the teacher's to the same examples; empty without a judge.

    Those of another rationale or answer than the run has now are left out.

    Raises:
        DataError: a row that is no judgement; names file and line.
    """
    judgements, gold = (read_file(path) if path.is_file() else [] for path in judgement_files(run, split))
    if judgements:
        rows = {str(row.get("id")): row for _, row in read_jsonl(run.predictions(split))}
        judgements = [
            judgement
            for judgement in judgements
            if (row := rows.get(judgement.id)) and up_to_date(judgement, row.get("rationale"), row.get("prediction"))
        ]
    return [*judgements, *gold]


def up_to_date(judgement: Judgement, rationale: str | None, answer: str | None) -> bool:
    """Return whether a judgement is of this rationale, shown with this answer."""
    return (judgement.rationale, judgement.label) == (rationale, answer)


def single(judgement: Judgement) -> bool:
    """Return whether the judge was asked once, at temperature 0, rather than several times over."""
    return len(judgement.replies) == 1


def judgement_files(run: Run, name: str) -> tuple[Path, Path]:
    """Return the files of the judgements of a run's rationales and of the teacher's; `name` is the domain's."""
    folder = run.path / "evaluation"
    return folder / f"judge-{name}.jsonl", folder / f"judge-gold-{name}.jsonl"
