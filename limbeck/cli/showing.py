"""What `limbeck annotate` shows: a bar while it asks, and its results as text."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

MOST_REASONS = 8  # why rows were left out
MOST_PLACES = 3  # where they stand, for a reason


class ProgressBar:
    """A bar on standard error, where that is a terminal: how far, how fast, how dear, how many failures."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Any:
        self._bar.start()
        return self._watch

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _watch(self, tally: Any, cost: float | None) -> None:
        if self._task is None:
            self._task = self._bar.add_task("asking", said="")
        said = f"{tally.sent / max(tally.seconds, 1e-3):.1f}/s"
        said += "" if cost is None else f", cost {_money(cost)}"
        said += f", {tally.failures.total()} failed" if tally.failures else ""
        self._bar.update(self._task, total=tally.wanted, completed=tally.stored + tally.given_up, said=said)


def _money(cost: float | None) -> str:
    return "no price known" if cost is None else f"{cost:.4f}" if cost < 1 else f"{cost:.2f}"


def print_plan(planned: dict[str, Any]) -> None:
    tokens = planned["tokens"]
    print(f"{planned['teacher']}: {planned['questions']} questions, {planned['answers']} answers stored")
    hinted = f" and up to {planned['hinted']} with a hint" if planned["hinted"] else ""
    print(
        f"to send: {planned['missing']} requests{hinted}, about {tokens['prompt']} tokens of questions, "
        f"at most {tokens['completion']} of answers"
    )
    at_most = "not known, for no price is" if planned["cost"] is None else f"at most {_money(planned['cost'])}"
    expected = planned["expected_cost"]
    print(f"cost: {at_most}" + ("" if expected is None else f", about {_money(expected)} at the mean so far"))
    print(f"spent so far: {sum(planned['spent']['tokens'].values())} tokens, {_money(planned['spent']['cost'])}")
    _print_others(planned)


def print_done(done: dict[str, Any], store: Path) -> None:
    tokens = done["tokens"]
    if not done["requests"] and not done["missing"]:
        print(f"nothing to ask: all {done['answers']} answers are in {store}")
        return
    print(
        f"{done['stored']} replies stored in {store}, {done['requests']} requests, "
        f"{tokens['prompt']} + {tokens['completion']} tokens, cost {_money(done['cost'])}"
    )
    for kind, count in done["failures"].items():
        print(f"failed {count} times: {kind}, the last time: {done['reasons'][kind]}")
    if done["missing"]:
        print(f"missing yet: {done['missing']} answers. {_ADVICE[done['stopped']]}")
    if "cut off" in done["failures"]:
        print("What was cut off reached sampling.max_tokens: raise it before you start the job again.")
    _print_others(done)


_ADVICE = {
    None: "Start the job again to ask for them; what the teacher refuses, it will refuse again.",
    "budget": "The next requests, at their dearest, are not within the budget: raise it to go on.",
    "time": "Its time is over: start the job again to go on.",
    "interrupted": "It was interrupted: start the job again to go on.",
}


def _print_others(found: dict[str, Any]) -> None:
    if found["other_replies"]:
        print(f"The store also has {found['other_replies']} replies of this model to other prompts or samplings.")


def print_shown(shown: dict[str, Any]) -> None:
    table = Table(title=f"{shown['teacher']}: {shown['questions']} questions")
    table.add_column("outcome of a sample")
    table.add_column("samples", justify="right")
    for outcome, samples in shown["outcomes"].items():
        if samples:
            table.add_row(outcome, str(samples))
    Console(highlight=False).print(table)
    for kind, count in shown["failures"].items():
        print(f"without a reply: {count}, {kind}, the last time: {shown['reasons'][kind]}")
    votes = shown["votes"]
    if votes["n"]:
        low, high = votes["interval"]
        print(
            f"the votes' accuracy: {votes['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}, n = {votes['n']}); "
            f"{votes['without_vote']} questions without a vote, {votes['without_label']} without a label"
        )
    if shown["doubt"]:
        print(f"warning: the labels are most likely joined to the wrong questions: {shown['doubt']}")
    kept = shown["kept"]
    print(f"kept: {kept['rationales']} rationales of {kept['questions']} questions")
    print(f"spent: {sum(shown['spent']['tokens'].values())} tokens, {_money(shown['spent']['cost'])}")
    _print_others(shown)
    for reply in shown.get("replies", []):
        print(f"\n--- {reply['id']} (label {reply['label']!r}, read {reply['read']!r})\n{reply['text']}")


def left_out_lines(left_out: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield a line for each reason why rows were left out, the most frequent first, with where the first rows stand."""
    reasons = sorted(left_out.items(), key=lambda reason: -len(reason[1]))
    for reason, places in reasons[:MOST_REASONS]:
        more = f" and {len(places) - MOST_PLACES} more" if len(places) > MOST_PLACES else ""
        yield f"left out: {len(places)}, {reason} ({', '.join(places[:MOST_PLACES])}{more})"
    if len(reasons) > MOST_REASONS:
        others = [len(places) for _, places in reasons[MOST_REASONS:]]
        yield f"left out: {sum(others)}, {len(others)} other reasons"
