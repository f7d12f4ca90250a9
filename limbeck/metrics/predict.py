"""Predictions of a student for examples: answers, their confidence, and rationales if wanted."""

import math
from collections.abc import Sequence
from dataclasses import replace

from limbeck.data import RATIONALE_MARK, View, source, split_target
from limbeck.errors import RecipeError
from limbeck.metrics.confidence import Confidences, confidences, label_first, label_last
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
        task: decides what is right.
        answer_view: the view that answers; a joint view answers and reasons in one sequence.
        rationale_view: the view that writes the rationale; None: no rationale.
        batch_size: inputs at a time.
        title: of a progress bar on a terminal.
        engine: of generation; not used where nothing is generated.
        answers: `choices`: nothing is generated, the likeliest of the example's choices is the answer.
        definition: of the confidence; None: `choices` where there are any, else `sequence`.

    Raises:
        ModelError: the engine cannot run this student.
        RecipeError: `answers` is `choices` and an example has none.
    """
    if answers == "choices":
        labelled = _likeliest_choices(student, examples, task, answer_view, batch_size=batch_size, title=title)
    else:
        # nobody asked for the rationale that follows the answer
        stop = RATIONALE_MARK if answer_view is View.ANSWER_FIRST and rationale_view is None else None
        labelled = _generated_labels(
            student, examples, task, answer_view, batch_size=batch_size, title=title, stop=stop, engine=engine
        )
    _, cut = student.source_ids([source(example, answer_view) for example in examples])
    predictions = []
    for example, (label, rationale, confidence) in zip(examples, labelled, strict=True):
        prediction = _prediction(example, label, task, confidence=confidence, definition=definition)
        own_rationale = rationale or "" if rationale_view is answer_view else None
        predictions.append(replace(prediction, rationale=own_rationale))
    for index in cut:
        predictions[index] = replace(predictions[index], input_cut=True)
    if rationale_view is None or rationale_view is answer_view:
        return predictions
    title = f"{title}, rationales" if title else None
    texts = [source(example, rationale_view) for example in examples]
    rationales = student.generate(
        texts, max_new_tokens=student.max_target_length, batch_size=batch_size, title=title, engine=engine
    )
    return [replace(prediction, rationale=text) for prediction, text in zip(predictions, rationales, strict=True)]


def _generated_labels(
    student: Student,
    examples: Sequence[Example],
    task: Task,
    view: View,
    *,
    batch_size: int,
    title: str | None,
    stop: str | None,
    engine: EngineName,
) -> list[_Labelled]:
    own_choices = [(example.choices or task.choices) if view is View.PREDICT else () for example in examples]
    answers = student.answer(
        [source(example, view) for example in examples],
        own_choices,
        max_new_tokens=student.max_target_length,
        batch_size=batch_size,
        title=title,
        stop=stop,
        engine=engine,
    )
    return [
        _labelled(student, answer, choices, task=task, view=view)
        for answer, choices in zip(answers, own_choices, strict=True)
    ]


def _prediction(
    example: Example, label: str, task: Task, *, confidence: Confidences | None, definition: Definition | None
) -> Prediction:
    by_definition, probabilities = confidence or ({}, None)
    default: Definition = "sequence" if probabilities is None else "choices"
    return Prediction(
        example.id,
        example.input,
        example.label or None,
        label,
        correct=is_right(task, label, example) if example.label else None,
        exact=label == example.label if example.label else None,
        confidence=by_definition.get(definition or default),
        confidences=by_definition or None,
        probabilities=probabilities,
    )


def choices_of(examples: Sequence[Example], task: Task, answer_view: View) -> list[tuple[str, ...]]:
    """Return the choices of each example: its own, or else its task's.

    Raises:
        RecipeError: an example has none, or the student writes more than the answer (a joint view), so that the
            answer's own likelihood is not available in one pass.
    """
    if answer_view is not View.PREDICT:
        raise RecipeError(
            f"choices need a student that answers alone, not in the {answer_view.value} view; use answers: generate",
            field="answers",
        )
    choices = [example.choices or task.choices for example in examples]
    for example, names in zip(examples, choices, strict=True):
        if not names:
            raise RecipeError(
                f"task {task.name!r}: example {example.id!r} has no choices; use answers: generate", field="answers"
            )
    return choices


def _likeliest_choices(
    student: Student, examples: Sequence[Example], task: Task, view: View, *, batch_size: int, title: str | None
) -> list[_Labelled]:
    """Return each example's likeliest choice; of equals the first."""
    choices = choices_of(examples, task, view)
    texts = [source(example, view) for example in examples]
    labelled: list[_Labelled] = []
    for names, scores in zip(choices, student.score(texts, choices, batch_size=batch_size, title=title), strict=True):
        sums = [math.fsum(log_p) for log_p in scores.answers]
        best = max(range(len(sums)), key=sums.__getitem__)
        by_choice = dict(zip(names, sums, strict=True))
        confidence = confidences(scores.answers[best], scores.top, choices=by_choice, answer=names[best])
        labelled.append((names[best], None, confidence))
    return labelled


def _labelled(student: Student, answer: Answer, choices: Sequence[str], *, task: Task, view: View) -> _Labelled:
    label, rationale = split_target(answer.text, view)
    if view is View.PREDICT:
        return label, rationale, _answer_confidences(answer, choices, task)
    locate = label_first if view is View.ANSWER_FIRST else label_last
    tokens = locate(answer.ids, label, student.text) if label else None
    return label, rationale, confidences(answer.log_p[tokens], answer.log_p[tokens][0]) if tokens else None


def _answer_confidences(answer: Answer, choices: Sequence[str], task: Task) -> Confidences | None:
    """Return the confidences of a whole answer; without `choices` where the student could not write one of them."""
    if not answer.choices:
        return confidences(answer.log_p, answer.top)
    by_choice = {choice: math.fsum(log_p) for choice, log_p in zip(choices, answer.choices, strict=True)}
    match = answer.text if answer.text in choices else None
    match = match or next((choice for choice in choices if task.equal(answer.text, choice)), None)
    if match is None:
        match = answer.text
        by_choice[match] = math.fsum(answer.log_p)
    return confidences(answer.log_p, answer.top, choices=by_choice, answer=match)
