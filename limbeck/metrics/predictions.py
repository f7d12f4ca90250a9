"""Asking a student: answers, and where wanted rationales, for examples."""

import math
from collections.abc import Sequence
from dataclasses import replace

from limbeck.data import RATIONALE_MARK, View, source, split_target
from limbeck.errors import LimbeckError
from limbeck.metrics.confidence import Confidence, choice_meant, confidence, label_first, label_last
from limbeck.models import Answers, Definition, EngineName
from limbeck.models.scoring import Answer
from limbeck.models.student import Student
from limbeck.schema import Example, Prediction
from limbeck.tasks import Task, is_right

_Given = tuple[str, str | None, Confidence | None]
"""An answer taken apart into label and rationale, and how sure the student is of the label."""


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
    definition: Definition | None = None,
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
        definition: which of its confidences is a prediction's `confidence`; None: `choices` where there are any, else
            `sequence`.

    Raises:
        LimbeckError: the engine cannot run this student; `choices` where there are none to choose from.
    """
    if answers == "choices":
        given = _likeliest(student, examples, task, answer_view, batch_size, title)
    else:
        # who answers first need not write the reasons nobody asked for
        stop = RATIONALE_MARK if answer_view is View.ANSWER_FIRST and rationale_view is None else None
        given = _answered(student, examples, task, answer_view, batch_size, title, engine, stop)
    _, long = student.source_ids([source(example, answer_view) for example in examples])
    cut = set(long)
    predictions = [
        Prediction(
            example.id,
            example.input,
            example.label or None,
            label,
            correct=is_right(task, label, example) if example.label else None,
            exact=label == example.label if example.label else None,
            rationale=(rationale or "") if rationale_view is answer_view else None,
            confidence=sure.get(definition) if sure else None,
            confidences=sure.by_definition if sure else None,
            probabilities=sure.probabilities if sure else None,
            input_cut=True if i in cut else None,
        )
        for i, (example, (label, rationale, sure)) in enumerate(zip(examples, given, strict=True))
    ]
    if rationale_view is None or rationale_view is answer_view:
        return predictions
    title = f"{title}, rationales" if title else None
    texts = [source(example, rationale_view) for example in examples]
    rationales = student.generate(
        texts, max_new_tokens=student.max_target_length, batch_size=batch_size, title=title, engine=engine
    )
    return [replace(one, rationale=text) for one, text in zip(predictions, rationales, strict=True)]


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
) -> list[_Given]:
    """Of each example's choices the one that the student gives the highest probability; of equals the first."""
    choices = choices_of(examples, task, view)
    texts = [source(example, view) for example in examples]
    given: list[_Given] = []
    for among, scores in zip(choices, student.score(texts, choices, batch_size=batch_size, title=title), strict=True):
        sums = [math.fsum(log_p) for log_p in scores.answers]
        best = max(range(len(sums)), key=sums.__getitem__)
        sure = confidence(scores.answers[best], scores.top, dict(zip(among, sums, strict=True)), among[best])
        given.append((among[best], None, sure))
    return given


def _answered(
    student: Student,
    examples: Sequence[Example],
    task: Task,
    view: View,
    batch_size: int,
    title: str | None,
    engine: EngineName,
    stop: str | None,
) -> list[_Given]:
    """What the student writes in `view`, taken apart."""
    alone = view is View.PREDICT
    choices = [(example.choices or task.choices) if alone else () for example in examples]
    texts = [source(example, view) for example in examples]
    answers = student.answer(
        texts,
        choices,
        max_new_tokens=student.max_target_length,
        batch_size=batch_size,
        title=title,
        stop=stop,
        engine=engine,
    )
    given: list[_Given] = []
    for answer, among in zip(answers, choices, strict=True):
        label, rationale = split_target(answer.text, view)
        sure = _sure_of(answer, among, task) if alone else _sure_of_part(label, answer, view, student)
        given.append((label, rationale, sure))
    return given


def _sure_of(answer: Answer, choices: Sequence[str], task: Task) -> Confidence | None:
    """Of a whole answer; no `choices` where the student could not have written one of them."""
    if not answer.choices:
        return confidence(answer.log_p, answer.top)
    among = {choice: math.fsum(log_p) for choice, log_p in zip(choices, answer.choices, strict=True)}
    meant = choice_meant(answer.text, choices, task.equal)
    if meant is None:
        among[answer.text] = math.fsum(answer.log_p)
        meant = answer.text
    return confidence(answer.log_p, answer.top, among, meant)


def _sure_of_part(label: str, answer: Answer, view: View, student: Student) -> Confidence | None:
    """Of the label in a joint answer; None where it has none."""
    find = label_first if view is View.ANSWER_FIRST else label_last
    part = find(answer.ids, label, student.text) if label else None
    return confidence(answer.log_p[part], answer.log_p[part][0]) if part else None
