"""The four definitions, against plain arithmetic and the whole model's own probabilities."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from limbeck import tasks
from limbeck.data import View
from limbeck.metrics import EvaluationSettings, predict
from limbeck.metrics.confidence import choice_meant, confidence, label_first, label_last, over_choices
from limbeck.models import StudentSettings
from limbeck.models.loading import load
from limbeck.models.student import Student
from limbeck.schema import Example
from limbeck.tasks.answers import same_text
from tests import builders

LOG_P = st.floats(-2000, 0)


@given(st.lists(LOG_P, min_size=1, max_size=300), LOG_P, st.lists(LOG_P, max_size=6))
def test_definitions_are_their_equations(log_p, first, others):
    among = {str(i): one for i, one in enumerate([math.fsum(log_p), *others])}
    sure = confidence(log_p, first, among, "0")
    assert sure.get("sequence") == pytest.approx(math.prod(map(math.exp, log_p)), rel=1e-6, abs=1e-300)
    assert sure.get("normalised") == pytest.approx(math.exp(sum(log_p) / len(log_p)), rel=1e-6)
    assert sure.get("first-token") == pytest.approx(math.exp(first), rel=1e-6)
    assert list(sure.probabilities.values()) == pytest.approx(softmax(list(among.values())).tolist(), rel=1e-6)
    assert sure.get("choices") == sure.get(None) == sure.probabilities["0"]
    assert all(0 <= one <= 1 for one in [*sure.by_definition.values(), *sure.probabilities.values()])


def test_the_default_is_choices_where_there_are_any_and_else_sequence():
    log_p, among = [-0.5, -1.0], {"yes": -1.5, "no": -3.0}
    alone = confidence(log_p, -0.25)
    assert alone.get(None) == alone.get("sequence") == pytest.approx(math.exp(-1.5))
    assert alone.get("choices") is None
    assert alone.probabilities is None
    chosen = confidence(log_p, -0.25, among, "yes")
    assert chosen.get(None) == pytest.approx(1 / (1 + math.exp(-1.5)))
    assert chosen.get("normalised") == pytest.approx(math.exp(-0.75))


@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_broken_students_confidence_is_none(where):
    numbers = [-1.0, -1.0, -1.0]
    numbers[where] = math.nan
    assert confidence([numbers[0]], numbers[1], {"a": -1.0, "b": numbers[2]}, "a") is None


def test_hopeless_choices_share_what_there_is():
    assert over_choices({"a": -5000.0, "b": -5000.0}) == {"a": 0.5, "b": 0.5}


def test_an_answer_is_the_same_choice_or_one_that_counts_as_it():
    assert choice_meant("Yes", ["yes", "Yes"], same_text) == "Yes"
    assert choice_meant("YES.", ["no", "yes", "Yes"], same_text) == "yes"
    assert choice_meant("yes no", ["no", "yes"], same_text) is None


WORDS = ["", "yes", "sir", "Rationale:", "so", "Answer:", "yes", ""]


def words(ids):
    return " ".join(WORDS[i] for i in ids).strip()


def test_the_label_is_found_in_a_joint_answer():
    assert label_first([1, 3, 4, 1], "yes", words) == slice(0, 2)  # with what ends it
    assert label_first([0, 1, 2, 3, 4], "yes sir", words) == slice(0, 4)
    assert label_first([1], "yes", words) == slice(0, 2)
    assert label_first([4, 1], "yes", words) is None
    assert label_last([4, 1, 5, 1, 2, 7], "yes sir", words) == slice(3, None)
    assert label_last([4, 5, 1], "yes", words) == slice(2, None)
    assert label_last([4, 1, 4], "yes", words) is None


def random_student(folder, seed: int, length: int = 12) -> Student:
    student = load(StudentSettings(name=str(builders.t5(folder)), max_target_length=length), ())
    torch.manual_seed(seed)
    for weight in student.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    return student.eval()


def log_probability(student: Student, text: str, answer: str) -> float:
    ids = torch.tensor(student.source_ids(["predict: " + text])[0])
    labels = torch.tensor(student.target_ids([answer])[0])
    with torch.no_grad():
        return -student.model(input_ids=ids, labels=labels).loss.item() * labels.shape[1]


EXAMPLES = [
    Example("1", ("How many?",), "yes", choices=("no", "maybe", "yes")),
    Example("2", ("scored 84 points " * 5,), "84", choices=("The answer is 84", "84", "84")),
    Example("3", ("entailment",), "", choices=("yes", "no " * 40)),
    Example("4", ("no",), "4"),
]


@pytest.mark.parametrize("answers", ["choices", "generate"])
def test_predictions_bring_their_confidence(answers, tmp_path):
    student = random_student(tmp_path, 3)
    examples = EXAMPLES[:2] if answers == "choices" else EXAMPLES
    given = predict(student, examples, tasks.get("custom"), View.PREDICT, batch_size=2, answers=answers)
    for example, one in zip(examples[:2], given, strict=False):
        among = list(dict.fromkeys(example.choices))
        sums = [log_probability(student, example.input, choice) for choice in among]
        if answers == "choices":
            assert one.confidences["sequence"] == pytest.approx(math.exp(max(sums)), rel=1e-4)
        else:  # a random student's answer is none of them, and is cut off
            assert one.prediction not in among
            among.append(one.prediction)
            sums.append(math.log(one.confidences["sequence"]))
        assert list(one.probabilities) == among
        assert list(one.probabilities.values()) == pytest.approx(softmax(sums).tolist(), rel=1e-4)
        assert one.confidence == one.confidences["choices"] == one.probabilities[one.prediction]
    for one in given[2:]:  # a choice that is too long to be written; no choices
        assert one.confidence == one.confidences["sequence"]
        assert set(one.confidences) == {"sequence", "normalised", "first-token"}
        assert one.probabilities is None


def test_the_definition_asked_for_is_the_confidence(tmp_path):
    student = random_student(tmp_path, 3)
    task = tasks.get("custom")
    for definition in ("sequence", "normalised", "first-token", "choices"):
        given = predict(student, EXAMPLES, task, View.PREDICT, definition=definition)
        assert [one.confidence for one in given] == [one.confidences.get(definition) for one in given]
        assert EvaluationSettings(confidence=definition).confidence == definition
    assert given[-1].confidence is None


def taught(folder, said: str) -> tuple[Student, torch.Tensor, list[int]]:
    """A BART taught to write `said` when asked "yes"; the ids of both."""
    student = load(StudentSettings(name=str(builders.bart(folder, ["so"])), max_target_length=12), ())
    ids = torch.tensor(student.source_ids(["predict: yes"])[0])
    target = student.target_ids([said])[0][0]
    optimiser = torch.optim.Adam(student.parameters(), 0.02)
    for _ in range(25):
        student.model(input_ids=ids, labels=torch.tensor([target])).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return student, ids, target


@pytest.mark.parametrize(
    ("view", "said"), [(View.RATIONALE_FIRST, "so Answer: yes"), (View.ANSWER_FIRST, "yes Rationale: so")]
)
def test_in_a_joint_view_it_is_the_labels(view, said, tmp_path):
    student, ids, target = taught(tmp_path, said)
    (one,) = predict(student, [Example("1", ("yes",), "yes", choices=("yes", "no"))], tasks.get("custom"), view, view)
    assert (one.prediction, one.rationale) == ("yes", "so")
    student.eval()
    with torch.no_grad():
        log_p = student.model(input_ids=ids, labels=torch.tensor([target])).logits[0].log_softmax(1)
    tokens = [log_p[t, id].item() for t, id in enumerate(target)]
    where = target.index(student.target_ids(["yes"])[0][0][1])
    part = tokens[where:] if view is View.RATIONALE_FIRST else tokens[: where + 2]
    if view is View.ANSWER_FIRST and where == 1:  # BART's own start is written before the label
        part = tokens[:3]
    assert one.confidence == one.confidences["sequence"] == pytest.approx(math.exp(sum(part)), rel=1e-4)
    assert one.confidences["normalised"] == pytest.approx(math.exp(sum(part) / len(part)), rel=1e-4)
    assert one.confidences["first-token"] == pytest.approx(math.exp(part[0]), rel=1e-4)
    assert one.probabilities is None


def test_a_joint_answer_without_a_label_has_no_confidence(tmp_path):
    student, _, _ = taught(tmp_path, "so")
    (one,) = predict(student, [Example("1", ("yes",), "yes")], tasks.get("custom"), View.RATIONALE_FIRST)
    assert one.prediction == ""
    assert (one.confidence, one.confidences) == (None, None)
