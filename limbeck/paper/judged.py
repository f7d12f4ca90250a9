"""What a judge said of the runs of a table, read for its places."""

from collections.abc import Iterable

from limbeck.paper.found import Found
from limbeck.runs.judgements import GOLD, read_judgements, single
from limbeck.runs.run import Run
from limbeck.schema import Judgement

UNASKED = "no judge was asked; give --judge"
Scores = dict[str, float]  # by example


class Judged:
    """The judged runs by objective and task, each with its judgements."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._runs = {
            (objective, task): [(run, said) for run in found.runs(objective, task) if (said := read_judgements(run))]
            for objective in found.table.objectives
            for task in found.tasks
        }

    def runs(self, objective: str, task: str, once: bool) -> list[tuple[Run, Scores]]:
        """The scores that each run's own rationales got, asked `once` or several times; runs without any left out."""
        own = [(run, _scores(said, once, gold=False)) for run, said in self._runs[objective, task]]
        return [(run, scores) for run, scores in own if scores]

    def gold(self, task: str, once: bool) -> Scores:
        """The scores of the teacher's rationales."""
        every = [one for (_, its), runs in self._runs.items() if its == task for _, said in runs for one in said]
        return _scores(every, once, gold=True)

    def why(self, objective: str | None, task: str) -> str:
        """Why there is no score; of the teacher's rationales where `objective` is None."""
        objectives = list(self._found.table.objectives) if objective is None else [objective]
        if any(self._found.runs(one, task) for one in objectives):
            return UNASKED
        return self._found.reason(objectives[0], task)

    def note(self) -> list[str]:
        """Who judged, in a sentence, if anybody did."""
        names = sorted({one.judge for runs in self._runs.values() for _, said in runs for one in said})
        return [f"The judge: {', '.join(names)}; the paper's was GPT-4."] if names else []


def _scores(judgements: Iterable[Judgement], once: bool, gold: bool) -> Scores:
    chosen = [one for one in judgements if single(one) is once and (one.run == GOLD) is gold]
    return {one.id: one.score for one in chosen if one.score is not None}
