"""Predictions of a student for examples: answers, their confidence, and rationales if wanted."""

import math
from collections.abc import Sequence

from limbeck.data import RATIONALE_MARK, View, source, split_target
from limbeck.errors import RecipeError
from limbeck.metrics.confidence import Confidences, confidences
from limbeck.models import Answers, Definition, EngineName
from limbeck.models.scoring import Answer
from limbeck.models.student import Student
from limbeck.schema import Example, Prediction
from limbeck.tasks import Task, is_right

_Labelled = tuple[str, str | None, Confidences | None]
"""The label and rationale in an answer, and the confidences of the label."""


def predict(
    student: Student,
    examples: Sequence[Example],
    task: Task,
    answer_view: View,
    *,
    rationale_view: View | None = None,
    batch_size: int = 64,
    title: str | None = None,
    engine: EngineName = "transformers",
    answers: Answers = "generate",
    definition: Definition | None = None,
) -> list[Prediction]:
    """Ask the student about each example, greedily and up to its target length; return predictions in their order.

    Args:
        student: a student that learnt `answer_view`.
        examples: those with an empty label are not graded.
        answer_view, rationale_view: the views that answer, and that write the rationale; None: no rationale.
        batch_size, title: inputs at a time; the title of a progress bar on a terminal.
        engine, answers, definition: as in `EvaluationSettings`.

    Raises:
        ModelError: the engine cannot run this student.
        RecipeError: `answers` is `choices` and an example has none.
    """
    texts = [source(example, answer_view) for example in examples]
    if answers == "choices":
        choices = choices_of(examples, task, answer_view)
        scored = student.score(texts, choices, batch_size=batch_size, title=title)
        labelled = [_likeliest(names, row.answers, row.top) for names, row in zip(choices, scored, strict=True)]
    else:
        choices = [(e.choices or task.choices) if answer_view is View.PREDICT else () for e in examples]
        written = student.answer(
            texts,
            choices,
            batch_size=batch_size,
            title=title,
            # nobody asked for the rationale that follows the answer
            stop=RATIONALE_MARK if answer_view is View.ANSWER_FIRST and rationale_view is None else None,
            engine=engine,
        )
        labelled = [
            _labelled(student, answer, names, task=task, view=answer_view)
            for answer, names in zip(written, choices, strict=True)
        ]
    joint = rationale_view is answer_view
    rationales: Sequence[str | None] = [(rationale or "") if joint else None for _, rationale, _ in labelled]
    if rationale_view is not None and not joint:
        rationales = student.generate(
            [source(example, rationale_view) for example in examples],
            batch_size=batch_size,
            title=f"{title}, rationales" if title else None,
            engine=engine,
        )
    cut = set(student.source_ids(texts)[1])
    return [
        _prediction(example, labelled[i], rationales[i], task=task, definition=definition, input_cut=i in cut or None)
        for i, example in enumerate(examples)
    ]


def _prediction(
    example: Example,
    labelled: _Labelled,
    rationale: str | None,
    *,
    task: Task,
    definition: Definition | None,
    input_cut: bool | None,
) -> Prediction:
    label, _, confidence = labelled
    by_definition, probabilities = confidence or ({}, None)
    default: Definition = "sequence" if probabilities is None else "choices"
    return Prediction(
        example.id,
        example.input,
        example.label or None,
        label,
        correct=is_right(task, label, example) if example.label else None,
        exact=label == example.label if example.label else None,
        rationale=rationale,
        confidence=by_definition.get(definition or default),
        confidences=by_definition or None,
        probabilities=probabilities,
        input_cut=input_cut,
    )


def choices_of(examples: Sequence[Example], task: Task, answer_view: View) -> list[tuple[str, ...]]:
    """Return the choices of each example: its own, or else its task's.

    Raises RecipeError if an example has none, or the student answers in a joint view, where no choice has a likelihood.
    """
    choices = [tuple(example.choices or task.choices) for example in examples]
    reason = "the student answers and reasons in one text" if answer_view is not View.PREDICT else None
    if not all(choices):
        reason = f"example {examples[choices.index(())].id!r} of task {task.name!r} has no choices"
    if reason:
        raise RecipeError(f"{reason}; use answers: generate", field="answers")
    return choices


def _likeliest(names: Sequence[str], answers: Sequence[Sequence[float]], top: float) -> _Labelled:
    """Return an example's likeliest choice; of equals the first."""
    by_choice = dict(zip(names, map(math.fsum, answers), strict=True))
    best = max(by_choice, key=by_choice.__getitem__)
    return best, None, confidences(answers[names.index(best)], top, choices=by_choice, answer=best)


def _labelled(student: Student, answer: Answer, choices: Sequence[str], *, task: Task, view: View) -> _Labelled:
    label, rationale = split_target(answer.text, view)
    if view is View.PREDICT:
        return label, rationale, _answer_confidences(answer, choices, task)
    count = range(len(answer.ids))
    if view is View.ANSWER_FIRST:  # the label's tokens and the one after
        slices = (slice(0, n + 2) for n in count if student.text(answer.ids[: n + 1]) == label)
    else:  # to the very end
        slices = (slice(n, None) for n in reversed(count) if student.text(answer.ids[n:]) == label)
    tokens = next(slices, None) if label else None
    return label, rationale, confidences(answer.log_p[tokens], answer.log_p[tokens][0]) if tokens else None


def _answer_confidences(answer: Answer, choices: Sequence[str], task: Task) -> Confidences | None:
    """Return the confidences of a whole answer; without `choices` where the student could not write one of them."""
    if not answer.choices:
        return confidences(answer.log_p, answer.top)
    by_choice = {choice: math.fsum(log_p) for choice, log_p in zip(choices, answer.choices, strict=True)}
    equal = (choice for choice in choices if task.equal(answer.text, choice))
    match = answer.text if answer.text in by_choice else next(equal, answer.text)
    by_choice.setdefault(match, math.fsum(answer.log_p))
    return confidences(answer.log_p, answer.top, choices=by_choice, answer=match)
