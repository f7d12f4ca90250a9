"""Asking a student: answers, and where wanted rationales, for examples."""

from collections.abc import Sequence
from dataclasses import replace

from limbeck.data import RATIONALE_MARK, View, source, split_target
from limbeck.errors import LimbeckError
from limbeck.schema import Example, Prediction
from limbeck.students import Answers, EngineName, Student
from limbeck.tasks import Task


def predict(
    student: Student,
    examples: Sequence[Example],
    task: Task,
    answer_view: View,
    rationale_view: View | None = None,
    batch_size: int = 64,
    title: str | None = None,
    engine: EngineName = "transformers",
    answers: Answers = "generate",
) -> list[Prediction]:
    """One prediction an example, in their order, generated greedily up to the student's target length.

    Args:
        student: who is asked.
        examples: those with an empty label are not graded.
        task: says what counts as right.
        answer_view: the view that answers; a joint view answers and reasons in one sequence.
        rationale_view: also give the rationale, from this view; None: no rationale.
        batch_size: inputs generated from at a time.
        title: of a progress bar, shown on a terminal.
        engine: what generates; not used where nothing is generated.
        answers: `choices`: nothing is generated, the likeliest of the example's choices is the answer.

    Raises:
        LimbeckError: the engine cannot run this student; `choices` where there are none to choose from.
    """
    if answers == "choices":
        labels = _likeliest(student, examples, task, answer_view, batch_size, title)
        given: list[tuple[str, str | None]] = [(label, None) for label in labels]
    else:
        # who answers first need not write the reasons nobody asked for
        stop = RATIONALE_MARK if answer_view is View.ANSWER_FIRST and rationale_view is None else None
        given = _ask(student, examples, answer_view, batch_size, title, engine, stop)
    predictions = [
        Prediction(
            example.id,
            example.input,
            example.label or None,
            label,
            correct=task.equal(label, example.label) if example.label else None,
            exact=label == example.label if example.label else None,
            rationale=rationale if rationale_view is answer_view else None,
        )
        for example, (label, rationale) in zip(examples, given, strict=True)
    ]
    if rationale_view is None or rationale_view is answer_view:
        return predictions
    title = f"{title}, rationales" if title else None
    rationales = _ask(student, examples, rationale_view, batch_size, title, engine)
    return [replace(one, rationale=text) for one, (text, _) in zip(predictions, rationales, strict=True)]


def choices_of(examples: Sequence[Example], task: Task, answer_view: View) -> list[tuple[str, ...]]:
    """What the answer to each example is chosen among: its own choices, or else its task's.

    Raises:
        LimbeckError: an example has none, or the student writes more than the answer (a joint view), so that the
            answer's own likelihood is not to be had in one pass.
    """
    if answer_view is not View.PREDICT:
        raise LimbeckError(
            f"answers: choices is for students that answer alone, not in the {answer_view.value} view of this "
            "objective; use answers: generate"
        )
    choices = [example.choices or task.choices for example in examples]
    for example, among in zip(examples, choices, strict=True):
        if not among:
            raise LimbeckError(
                f"task {task.name!r}: example {example.id!r} has no choices to pick its answer from; "
                "use answers: generate"
            )
    return choices


def _likeliest(
    student: Student, examples: Sequence[Example], task: Task, view: View, batch_size: int, title: str | None
) -> list[str]:
    """Of each example's choices the one that the student gives the highest probability; of equals the first."""
    choices = choices_of(examples, task, view)
    texts = [source(example, view, student.separator) for example in examples]
    scores = student.score(texts, choices, batch_size, title)
    return [
        max(zip(row, among, strict=True), key=lambda pair: pair[0])[1]
        for row, among in zip(scores, choices, strict=True)
    ]


def _ask(
    student: Student,
    examples: Sequence[Example],
    view: View,
    batch_size: int,
    title: str | None,
    engine: EngineName,
    stop: str | None = None,
) -> list[tuple[str, str | None]]:
    """What the student writes in `view`, taken apart into (label, rationale); an explain view's text comes first."""
    texts = student.generate(
        [source(example, view, student.separator) for example in examples],
        student.max_target_length,
        batch_size,
        title,
        stop,
        engine,
    )
    return [(text, None) if view is View.EXPLAIN else split_target(text, view) for text in texts]
