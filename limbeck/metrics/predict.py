"""Predictions of a student for examples: answers, the confidence in them, and rationales if wanted.

With p_t the probability of an answer's t-th token given the text and the tokens before it, the end token included, the
definitions of confidence, from 0 to 1, are

- `sequence`: prod_t p_t; `normalised`: (prod_t p_t)^(1/T); `first-token`: max_v p(v) where the first token is written;
- `choices`: P(answer) / sum_c P(c), with P as in `sequence` and c over the choices, and over the answer itself where it
  counts as none of them.

In a joint view they are of the label's tokens, and there is no `choices`: each would need a pass of its own.
"""

import math
from collections.abc import Mapping, Sequence

from scipy.special import softmax

from limbeck.data import RATIONALE_MARK, View, source, split_target
from limbeck.errors import RecipeError
from limbeck.models import Answers, Definition, EngineName
from limbeck.models.generation import Answer
from limbeck.models.student import Student
from limbeck.schema import Example, Prediction
from limbeck.tasks import Task, is_right

Confidences = tuple[dict[str, float], dict[str, float] | None]
"""Confidences by definition, and the probabilities of the choices, which sum to 1; None without choices."""

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

    Examples with an empty label are not graded. `rationale_view` is the view that writes the rationale, None for none;
    `engine`, `answers` and `definition` are as in `EvaluationSettings`, and `title` is that of a progress bar.

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


def confidences(
    log_p: Sequence[float], first: float, *, choices: Mapping[str, float] | None = None, answer: str = ""
) -> Confidences | None:
    """Compute every defined confidence of an answer; None where the student's probabilities are NaN.

    Args:
        log_p: log-probabilities of the answer's tokens, one at least.
        first: the highest log-probability over the vocabulary where the first token is written.
        choices: log-probabilities of whole answers: the choices, and an answer that is none of them.
        answer: the one of `choices` that the answer counts as.
    """
    total = math.fsum(log_p)
    logs = {"sequence": total, "normalised": total / len(log_p), "first-token": first}
    by_definition = {name: math.exp(value) for name, value in logs.items()}
    shares = dict(zip(choices, softmax(list(choices.values())).tolist(), strict=True)) if choices else {}
    if shares:
        by_definition["choices"] = shares[answer]
    if any(map(math.isnan, (*by_definition.values(), *shares.values()))):
        return None
    return _rounded(by_definition), _rounded(shares) or None


def _rounded(probabilities: Mapping[str, float]) -> dict[str, float]:
    """Return probabilities with the digits that float32 computes."""
    return {name: float(f"{p:.7g}") for name, p in probabilities.items()}
