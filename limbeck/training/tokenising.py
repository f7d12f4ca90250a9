"""From examples to a training set: every text is tokenised once, in blocks, and kept in a cache."""

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.progress import track

from limbeck.data import Source, View, prefix, source, target
from limbeck.errors import LimbeckError
from limbeck.models import Student
from limbeck.schema import Example
from limbeck.training import cache
from limbeck.training.dataset import TrainingSet
from limbeck.training.prefixes import heads
from limbeck.training.tokens import TokenTable

_BLOCK = 10_000  # texts that are lists of Python integers at one time
_SPREAD = 200  # texts by which is judged whether prefixes can be exchanged

_TASKS = (View.PREDICT, View.EXPLAIN)

Ids = list[list[int]]


def tokenise(examples: Sequence[Example], views: Sequence[View], student: Student) -> TrainingSet:
    """Tokenise `examples` in `views`, or find in the cache what was tokenised before.

    An example without a rationale keeps its other views; it is left out, and counted, where no view of it is left.
    The notes count sources and targets that were cut to the student's limits.

    Raises:
        LimbeckError: no example has what one of the views needs; a limit is too short for a label or for a prefix.
    """
    _check_prefixes(views, student)
    for view in views:
        if not any(target(example, view) for example in examples):
            raise LimbeckError(
                f"no training example has a rationale, which the {view.value} view of this objective needs"
            )
    training_set = token_ids(examples, views, student)
    if training_set.views == _TASKS:
        return training_set
    usable = [example for example in examples if any(target(example, view) for view in views)]
    return replace(training_set, tasks=token_ids(usable, _TASKS, student))


def token_ids(examples: Sequence[Example], views: Sequence[View], student: Student) -> TrainingSet:
    """Tokenise `examples` in `views`, or find in the cache what was tokenised before; some example has a target."""
    folder = cache.place(examples, views, student)
    if (training_set := cache.read(folder, views, student.vocabulary)) is not None:
        return training_set
    training_set = _tokenised(examples, tuple(views), student)
    cache.write(folder, training_set)
    # mapped from the files; or another process was faster
    return cache.read(folder, views, student.vocabulary) or training_set


def _check_prefixes(views: Sequence[View], student: Student) -> None:
    """Raise LimbeckError if a view's prefix alone is longer than the student reads."""
    for view in views:
        needed = len(student.codec.sources([Source(prefix(view), ("",))])[0])
        if needed >= student.max_source_length:
            raise LimbeckError(
                f"the prefix {prefix(view)!r} alone has {needed} tokens, and the student reads "
                f"{student.max_source_length} at most: raise student.max_source_length"
            )


def _tokenised(examples: Sequence[Example], views: tuple[View, ...], student: Student) -> TrainingSet:
    kept = [example for example in examples if any(target(example, view) for view in views)]
    spread = kept[:: -(-len(kept) // _SPREAD)]
    rests = [source(example, views[0]).parts[0].removeprefix(prefix(views[0])) for example in spread]
    known = heads(student.tokenizer, [prefix(view) for view in views], rests) if len(views) > 1 else None
    notes = {"without_target": len(examples) - len(kept), "sources_cut": 0, "targets_cut": 0}
    sources: dict[View, list[TokenTable]] = {view: [] for view in views}
    targets: dict[View, list[TokenTable]] = {view: [] for view in views}
    console = Console(stderr=True)
    starts = range(0, len(kept), _BLOCK)
    for start in track(starts, "tokenising", console=console, disable=not console.is_terminal, transient=True):
        block = kept[start : start + _BLOCK]
        by_view, cut = _sources(block, views, student, known)
        notes["sources_cut"] += cut
        for view, ids in zip(views, by_view, strict=True):
            sources[view].append(TokenTable.of(ids))
        for view in views:
            ids, long = student.fitted_target_ids(block, view)
            notes["targets_cut"] += len(long)
            targets[view].append(TokenTable.of(ids))
    whole, written = (TokenTable.join(part for view in views for part in parts[view]) for parts in (sources, targets))
    return TrainingSet(views, whole, written, notes)


def _sources(
    examples: Sequence[Example], views: Sequence[View], student: Student, known: Ids | None
) -> tuple[list[Ids], int]:
    """The ids of the sources, by view, and how many were cut. With `known` heads a text is tokenised in one view only.

    Texts that are cut in either view are tokenised in every view.
    """
    limit = student.max_source_length
    first, cut = student.source_ids([source(example, views[0]) for example in examples])
    by_view, cuts = [first], len(cut)
    was_cut = set(cut)
    for number, view in enumerate(views[1:], start=1):
        rows: list[list[int] | None] = [None] * len(examples)
        if known is not None:
            old, new = known[0], known[number]
            rows = [
                new + ids[len(old) :]
                if ids[: len(old)] == old and i not in was_cut and len(ids) - len(old) + len(new) <= limit
                else None
                for i, ids in enumerate(first)
            ]
        left = [i for i, row in enumerate(rows) if row is None]
        exact, cut = student.source_ids([source(examples[i], view) for i in left])
        for i, ids in zip(left, exact, strict=True):
            rows[i] = ids
        by_view.append([ids for ids in rows if ids is not None])
        cuts += len(cut)
    return by_view, cuts
