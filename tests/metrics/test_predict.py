"""Predictions of a student and their confidence, against the whole model's own probabilities."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from limbeck import tasks
from limbeck.data import View, source, split_target
from limbeck.errors import DataError, LimbeckError
from limbeck.metrics.predict import confidences, predict
from limbeck.models import Card, StudentSettings
from limbeck.models.loading import load
from limbeck.models.settings import AnswerSettings
from limbeck.models.student import Student
from limbeck.schema import Example
from tests.helpers import builders

CUSTOM = tasks.get("custom")
EXAMPLES = [Example("1", ("yes",), "Yes."), Example("2", ("no",), "no"), Example("3", ("maybe",), "")]


def ask(student: Student, examples, answer_view=View.PREDICT, rationale_view=None, task=CUSTOM, **options):
    """Ask for an answer in one view, and in the other for a rationale."""
    views = {"answer_view": answer_view, "rationale_view": rationale_view}
    settings = {name: options.pop(name) for name in AnswerSettings.model_fields if name in options}
    card = Card(task=task.name, objective="dss", max_source_length=64, max_target_length=12, **settings, **views)
    return predict(student, card, examples, task, rationales=rationale_view is not None, **options)


def bart(folder, length: int, words=(), always: str | None = None) -> Student:
    """Make a BART that may write `always` over and over."""
    return load(StudentSettings(name=str(builders.bart(folder, words, always)), max_target_length=length), (), CUSTOM)


def log_probability(student: Student, text: str, answer: str) -> float:
    ids = torch.tensor(student.source_ids(["predict: " + text])[0])
    labels = torch.tensor(student.target_ids([answer]))
    with torch.no_grad():
        return -student.model(input_ids=ids, labels=labels).loss.item() * labels.shape[1]


def test_predictions_keep_order_and_are_graded_by_the_rule_of_the_task(tmp_path):
    student = bart(tmp_path, 1, always="yes")
    predictions = ask(student, EXAMPLES, View.PREDICT, View.EXPLAIN, batch_size=2)
    grades = [(prediction.id, prediction.correct, prediction.exact) for prediction in predictions]
    assert grades == [("1", True, False), ("2", False, False), ("3", None, None)]
    assert {(prediction.prediction, prediction.rationale) for prediction in predictions} == {("yes", "yes")}
    assert ask(student, EXAMPLES[:1])[0].rationale is None
    # a rationale that was asked for and not written is blank
    joint = ask(student, EXAMPLES[:1], View.ANSWER_FIRST, View.ANSWER_FIRST)
    assert (joint[0].prediction, joint[0].rationale) == ("yes", "")


def test_answering_first_stops_at_the_rationale_unless_that_is_asked_for(tmp_path):
    student = bart(tmp_path, 20, ["Rationale:"], always="Rationale:")  # it never ends
    (alone,) = ask(student, EXAMPLES[:1], View.ANSWER_FIRST)
    (joint,) = ask(student, EXAMPLES[:1], View.ANSWER_FIRST, View.ANSWER_FIRST)
    assert (alone.prediction, joint.prediction, alone.rationale) == ("", "", None)
    assert joint.rationale.count("Rationale:") == 19


CHOICES = [
    Example("1", ("How many?",), "yes", choices=("no", "maybe", "yes")),
    Example("2", ("scored 84 points " * 5,), "84", choices=("The answer is 84", "84", "84")),
    Example("3", ("entailment",), "", choices=("yes", "no " * 40)),
    Example("4", ("no",), "4"),
]


@pytest.mark.parametrize("answers", ["choices", "generate"])
def test_probabilities_are_those_of_the_model(answers, student):
    task = tasks.get("custom", ["entailment", "no"]) if answers == "choices" else CUSTOM
    examples = [*CHOICES[:2], CHOICES[3]] if answers == "choices" else CHOICES
    predictions = ask(student, examples, task=task, batch_size=2, answers=answers)
    for example, prediction in zip(examples, predictions, strict=True):
        names = list(dict.fromkeys(example.choices or task.choices))
        sums = [log_probability(student, example.input, choice) for choice in names]
        if answers == "choices":
            assert prediction.prediction == names[sums.index(max(sums))]
            assert prediction.confidences["sequence"] == pytest.approx(math.exp(max(sums)), rel=1e-4)
        elif example.id in "34":  # a choice that is too long to be written; no choices
            assert prediction.confidence == prediction.confidences["sequence"]
            assert set(prediction.confidences) == {"sequence", "normalised", "first-token"}
            assert prediction.probabilities is None
            continue
        else:  # a random student's answer is no choice, and is cut off
            assert prediction.prediction not in names
            names.append(prediction.prediction)
            sums.append(math.log(prediction.confidences["sequence"]))
        assert list(prediction.probabilities) == names
        assert list(prediction.probabilities.values()) == pytest.approx(softmax(sums).tolist(), rel=1e-4)
        assert prediction.confidence == prediction.confidences["choices"]


@pytest.mark.parametrize("view", [View.RATIONALE_FIRST, View.ANSWER_FIRST])
def test_choices_are_refused_in_joint_views_and_where_there_are_none(view, student):
    with pytest.raises(LimbeckError):
        ask(student, CHOICES[:2], view, answers="choices")
    with pytest.raises(LimbeckError, match="'4'"):
        ask(student, CHOICES, answers="choices")
    with pytest.raises(DataError, match="example '3': the choice 'no no"):
        ask(student, CHOICES[:3], answers="choices")


def taught(folder, *texts: str) -> tuple[Student, torch.Tensor, list[int]]:
    """Train a BART to write one of the texts when asked "yes"; return it, the question's ids and the last text's."""
    student = bart(folder, 12, ["so"])
    ids = torch.tensor(student.source_ids(["predict: yes"])[0])
    optimiser = torch.optim.Adam(student.parameters(), 0.02)
    for _ in range(25):
        for target in student.target_ids(texts):
            student.model(input_ids=ids, labels=torch.tensor([target])).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return student.eval(), ids, target


@pytest.mark.parametrize(
    ("view", "text"), [(View.RATIONALE_FIRST, "so Answer: yes"), (View.ANSWER_FIRST, "yes Rationale: so")]
)
def test_in_a_joint_view_confidence_is_of_the_label(view, text, tmp_path):
    student, ids, target = taught(tmp_path, text)
    example = Example("1", ("yes",), "yes", choices=("yes", "no"))
    (prediction,) = ask(student, [example], view, view)
    assert (prediction.prediction, prediction.rationale) == ("yes", "so")
    with torch.no_grad():
        log_p = student.model(input_ids=ids, labels=torch.tensor([target])).logits[0].log_softmax(1)
    tokens = [log_p[t, id].item() for t, id in enumerate(target)]
    start = target.index(student.target_ids(["yes"])[0][1])
    label = tokens[start:] if view is View.RATIONALE_FIRST else tokens[: start + 2]
    if view is View.ANSWER_FIRST and start == 1:  # BART's own start is written before the label
        label = tokens[:3]
    assert prediction.confidence == prediction.confidences["sequence"] == pytest.approx(math.exp(sum(label)), rel=1e-4)
    assert prediction.confidences["normalised"] == pytest.approx(math.exp(sum(label) / len(label)), rel=1e-4)
    assert prediction.confidences["first-token"] == pytest.approx(math.exp(label[0]), rel=1e-4)
    assert prediction.probabilities is None


def counted(labels: list[str], equal) -> tuple[int, float] | None:
    """Return by loops the number of the first sample with the label of most, and its share of the labels."""
    best, most, votes = None, 0, [label for label in labels if label != ""]
    for number, label in enumerate(labels):
        count = sum(1 for other in votes if equal(label, other))
        if label != "" and count > most:
            best, most = number, count
    return None if best is None else (best, most / len(votes))


@pytest.mark.parametrize("task", [CUSTOM, tasks.get("custom", answer="equation")])
def test_the_answer_by_votes_is_the_one_counted_by_loops(task, tmp_path):
    """Equal values count together, blank labels do not; the rationale is the first winner's."""
    student, _, _ = taught(tmp_path, "so Answer: 2", "no Answer: 1 + 1", "yes Answer: 4", "so yes")
    view, questions = View.RATIONALE_FIRST, ["yes", "no", "maybe", "How many?"]
    examples = [Example(text, (text,), "2.0") for text in questions]
    votes = {"votes": 7, "temperature": 1.3, "task": task}
    predictions = ask(student, examples, view, view, **votes)
    answers = [(p.prediction, p.rationale, p.confidence) for p in predictions]
    for size, order in ((1, 1), (4, -1)):
        again = ask(student, examples[::order], view, view, batch_size=size, **votes)[::order]
        assert [(p.prediction, p.rationale, p.confidence) for p in again] == answers
    sources = [source(example, view) for example in examples]
    samples = student.sample(sources, 7, temperature=1.3, seed=42, batch_size=64)
    shares = set()
    for prediction, row in zip(predictions, samples, strict=True):
        pairs = [split_target(sample.text, view) for sample in row]
        best, share = counted([label for label, _ in pairs], task.equal)
        assert (prediction.prediction, prediction.rationale) == (pairs[best][0], pairs[best][1] or "")
        assert prediction.confidence == prediction.confidences["votes"] == pytest.approx(share)
        assert prediction.correct == task.equal(prediction.prediction, "2.0")
        assert prediction.confidences["sequence"] < 1
        shares.add(share)
    assert len(shares) > 1


def test_answers_without_a_label_elect_none(tmp_path):
    student = bart(tmp_path, 3, always="yes")
    (prediction,) = ask(student, EXAMPLES[:1], View.RATIONALE_FIRST, votes=3, temperature=0.7)
    assert (prediction.prediction, prediction.confidence, prediction.confidences) == ("", None, None)
    for view in (View.PREDICT, View.ANSWER_FIRST):
        (prediction,) = ask(student, EXAMPLES[:1], view, votes=3, temperature=0.01)
        assert (prediction.prediction, prediction.confidence) == (ask(student, EXAMPLES[:1], view)[0].prediction, 1)


LOG_P = st.floats(-2000, 0)


@settings(max_examples=40)
@given(st.lists(LOG_P, min_size=1, max_size=100), LOG_P, st.lists(LOG_P, max_size=6))
def test_definitions_are_their_equations(log_p, first, alternatives):
    choices = {str(i): value for i, value in enumerate([math.fsum(log_p), *alternatives])}
    by_definition, probabilities = confidences(log_p, first, choices=choices, answer="0")
    assert by_definition["sequence"] == pytest.approx(math.prod(map(math.exp, log_p)), rel=1e-6, abs=1e-300)
    assert by_definition["normalised"] == pytest.approx(math.exp(sum(log_p) / len(log_p)), rel=1e-6)
    assert by_definition["first-token"] == pytest.approx(math.exp(first), rel=1e-6)
    expected = softmax(list(choices.values())).tolist()
    assert list(probabilities.values()) == pytest.approx(expected, rel=1e-6)
    assert by_definition["choices"] == probabilities["0"]
    assert all(0 <= p <= 1 for p in [*by_definition.values(), *probabilities.values()])


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_broken_student_has_no_confidence(index):
    numbers = [-1.0, -1.0, -1.0]
    numbers[index] = math.nan
    assert confidences([numbers[0]], numbers[1], choices={"a": -1.0, "b": numbers[2]}, answer="a") == ({}, None)
