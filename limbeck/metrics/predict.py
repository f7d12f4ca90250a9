"""A student's predictions: answers, confidences, and rationales if wanted.

With p_t the probability of an answer's t-th token, the end token included, confidence is defined as

- `sequence`: prod_t p_t; `normalised`: (prod_t p_t)^(1/T); `first-token`: max_v p(v) where the first token is written;
- `choices`: P(answer) / sum_c P(c), P as in `sequence`, over the choices c, and the answer if it is none;
- `votes`: the share of the samples with a label whose label is the answer (self-consistency, Wang et al. 2022, arXiv
  2203.11171); the other definitions are then of the first of these samples, at temperature 1.

In a joint view they are of the label's tokens, without `choices`: each would need a pass of its own.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial

from scipy.special import softmax

from limbeck.data import RATIONALE_MARK, View, source, split_target
from limbeck.errors import DataError, RecipeError
from limbeck.models import Card
from limbeck.models.generation import Answer, Scores
from limbeck.models.student import Student
from limbeck.schema import Example, Prediction
from limbeck.tasks import Task, is_right, vote_shares

# by definition, empty where probabilities are NaN; and the choices' probabilities, None without choices
Confidences = tuple[Mapping[str, float], Mapping[str, float] | None]


def predict(
    student: Student,
    card: Card,
    examples: Sequence[Example],
    task: Task,
    *,
    rationales: bool = False,
    batch_size: int = 64,
    title: str | None = None,
) -> list[Prediction]:
    """Ask the student about each example as its card says, greedily unless by votes; return predictions in order.

    Examples with an empty label are not graded. Raises ModelError if the engine cannot run this student, RecipeError if
    there are no choices to answer by, DataError for a choice that is too long to write.
    """
    view = card.answer_view
    rationale_view = card.rationale_view if rationales else None
    # no rationale was asked for
    stop = RATIONALE_MARK if view is View.ANSWER_FIRST and rationale_view is None else None
    written, choices, votes = _answers(student, card, examples, task, stop=stop, batch_size=batch_size, title=title)
    reasons: Sequence[str | None] = [None] * len(examples)
    if rationale_view is view:
        reasons = [split_target(answer.text, view)[1] or "" for answer in written]
    elif rationale_view is not None:
        questions = [source(example, rationale_view) for example in examples]
        bar = title and f"{title}, rationales"
        reasons = student.generate(questions, batch_size=batch_size, title=bar, engine=card.engine)
    cut = set(student.source_ids([source(example, view) for example in examples])[1])
    predictions = []
    rows = zip(examples, written, choices, votes, reasons, strict=True)
    for row, (example, answer, names, share, reason) in enumerate(rows):
        label, _ = split_target(answer.text, view)
        by_definition, shares = _label_confidences(student, answer, label, choices=names, task=task, view=view)
        if share is not None:
            by_definition = {**by_definition, **_rounded({"votes": share})}
        default = "votes" if card.votes else "sequence" if shares is None else "choices"
        prediction = Prediction(
            example.id,
            example.input,
            example.label or None,
            label,
            correct=is_right(task, label, example) if example.label else None,
            exact=label == example.label if example.label else None,
            rationale=reason,
            confidence=by_definition.get(card.confidence or default),
            confidences=by_definition or None,
            probabilities=shares,
            input_cut=row in cut or None,
        )
        predictions.append(prediction)
    return predictions


def _answers(
    student: Student,
    card: Card,
    examples: Sequence[Example],
    task: Task,
    *,
    stop: str | None,
    batch_size: int,
    title: str | None,
) -> tuple[list[Answer], Sequence[Sequence[str]], Sequence[float | None]]:
    """Return each example's answer, the choices scored with it, and its share of the votes."""
    view, no_votes = card.answer_view, (None,) * len(examples)
    texts = [source(example, view) for example in examples]
    if card.answers == "choices":
        choices = choices_of(student, examples, task, answer_view=view)
        scored = student.score(texts, choices, batch_size=batch_size, title=title)
        return [_likeliest(names, row) for names, row in zip(choices, scored, strict=True)], choices, no_votes
    if card.votes and card.temperature:
        sample = partial(student.sample, temperature=card.temperature, seed=card.seed, stop=stop)
        samples = sample(texts, card.votes, batch_size=batch_size, title=title)
        elected = [elect(answers, task, view) for answers in samples]
        return [answer for answer, _ in elected], [()] * len(examples), [share for _, share in elected]
    choices = [(example.choices or task.choices) if view is View.PREDICT else () for example in examples]
    answers = student.answer(texts, choices, batch_size=batch_size, title=title, stop=stop, engine=card.engine)
    return answers, choices, no_votes


def elect(samples: Sequence[Answer], task: Task, view: View) -> tuple[Answer, float | None]:
    """Return the first sample with the label of most, and that label's share; blank labels have no vote.

    Where all are blank it is the first sample, without a share.
    """
    labels = [split_target(sample.text, view)[0] for sample in samples]
    shares = vote_shares([label for label in labels if label], task)
    winner = max(shares, key=shares.__getitem__, default=None)  # of equals the first
    return (samples[0], None) if winner is None else (samples[labels.index(winner)], shares[winner])


def choices_of(
    student: Student, examples: Sequence[Example], task: Task, *, answer_view: View
) -> list[tuple[str, ...]]:
    """Return each example's own choices or its task's.

    Raises RecipeError for none and in a joint view, DataError for one that the student cannot write.
    """
    choices = [example.choices or task.choices for example in examples]
    reason = "the student writes answer and rationale in one text" if answer_view is not View.PREDICT else None
    if not all(choices):
        reason = f"example {examples[choices.index(())].id!r} of task {task.name!r} has no choices"
    if reason:
        raise RecipeError(f"{reason}; use answers: generate", field="answers")
    for example, row, ids in zip(examples, choices, student.choice_ids(choices), strict=True):
        if not ids:
            longest = max(zip(map(len, student.target_ids(row)), row, strict=True))
            raise DataError(
                f"example {example.id!r:.60}: the choice {longest[1]!r:.80} takes {longest[0]} tokens: raise "
                f"student.max_target_length, now {student.max_target_length}, or use answers: generate"
            )
    return choices


def _likeliest(names: Sequence[str], scores: Scores) -> Answer:
    """Return the likeliest choice; of equals the first."""
    sums = [math.fsum(log_p) for log_p in scores.answers]
    best = sums.index(max(sums))
    return Answer(names[best], (), scores.top, scores.answers[best], scores.answers)


def _label_confidences(
    student: Student, answer: Answer, label: str, *, choices: Sequence[str], task: Task, view: View
) -> Confidences:
    """Return the confidences of the label in an answer; without `choices` where none was scored."""
    if view is View.PREDICT:
        if not answer.choices:
            return confidences(answer.log_p, answer.top)
        by_choice = dict(zip(choices, map(math.fsum, answer.choices), strict=True))
        equal = (choice for choice in choices if task.equal(label, choice))
        match = label if label in by_choice else next(equal, label)
        by_choice.setdefault(match, math.fsum(answer.log_p))
        return confidences(answer.log_p, answer.top, choices=by_choice, answer=match)
    count = range(len(answer.ids))
    if view is View.ANSWER_FIRST:  # the label's tokens and the one after
        slices = (slice(0, n + 2) for n in count if student.text(answer.ids[: n + 1]) == label)
    else:  # to the very end
        slices = (slice(n, None) for n in reversed(count) if student.text(answer.ids[n:]) == label)
    log_p = answer.log_p[next(slices, slice(0))] if label else []
    return confidences(log_p, log_p[0]) if log_p else ({}, None)


def confidences(
    log_p: Sequence[float], first: float, *, choices: Mapping[str, float] | None = None, answer: str = ""
) -> Confidences:
    """Compute every defined confidence of an answer, which counts as the choice `answer`.

    Log-probabilities are of its tokens (`log_p`, at least one), the likeliest `first` token, and whole `choices`.
    """
    total = math.fsum(log_p)
    logs = {"sequence": total, "normalised": total / len(log_p), "first-token": first}
    by_definition = {name: math.exp(value) for name, value in logs.items()}
    shares = dict(zip(choices, softmax(list(choices.values())).tolist(), strict=True)) if choices else {}
    if shares:
        by_definition["choices"] = shares[answer]
    if any(map(math.isnan, (*by_definition.values(), *shares.values()))):
        return {}, None
    return _rounded(by_definition), _rounded(shares) or None


def _rounded(probabilities: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{p:.7g}") for name, p in probabilities.items()}  # float32's digits
