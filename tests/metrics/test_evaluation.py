"""Predictions and their accuracy, against hand-computed cases and an independent formula."""

import math
from dataclasses import replace

import pytest
import torch

from limbeck import tasks
from limbeck.data import View
from limbeck.errors import LimbeckError
from limbeck.metrics import accuracy, predict
from limbeck.models import StudentSettings
from limbeck.models.loading import load
from limbeck.schema import Example, Prediction
from tests import builders


def graded(right: int, wrong: int, exact: int = 0) -> list[Prediction]:
    return [Prediction(str(i), "", "a", "a", i < right, i < exact) for i in range(right + wrong)]


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (10, 10), (730, 1000)])
def test_interval_is_wilsons(right, n):
    measured = accuracy(graded(right, n - right, exact=right // 2))
    z, p = 1.959963984540054, right / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert measured["accuracy"] == p
    assert measured["interval"] == pytest.approx([max(middle - half, 0), min(middle + half, 1)], abs=1e-9)
    assert measured["exact"] == (right // 2) / n
    assert measured["n"] == n


def test_nothing_graded_is_no_accuracy():
    assert accuracy([Prediction("a", "", None, "x", None, None)]) == {
        "accuracy": None,
        "interval": None,
        "exact": None,
        "n": 0,
        "sources_cut": 0,
        "unanswered": 0,
        "without_confidence": 0,
        "by_label": None,
    }


EXAMPLES = [Example("1", ("yes",), "Yes."), Example("2", ("no",), "no"), Example("3", ("maybe",), "")]


def test_predictions_keep_order_and_are_graded_by_the_tasks_rule(tmp_path):
    student = load(StudentSettings(name=str(builders.bart(tmp_path, always="yes")), max_target_length=1), ())
    answers = predict(student, EXAMPLES, tasks.get("custom"), View.PREDICT, View.EXPLAIN, batch_size=2)
    assert [one.id for one in answers] == ["1", "2", "3"]
    assert {one.prediction for one in answers} == {"yes"}
    assert [one.correct for one in answers] == [True, False, None]
    assert [one.exact for one in answers] == [False, False, None]
    assert {one.rationale for one in answers} == {"yes"}
    assert all(one.rationale is None for one in predict(student, EXAMPLES, tasks.get("custom"), View.PREDICT))


def test_every_example_gets_its_own_answer_whatever_shares_its_batch(tmp_path):
    student = load(StudentSettings(name=str(builders.t5(tmp_path)), max_target_length=8), ())
    torch.manual_seed(2)
    for weight in student.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    examples = [Example(str(i), (text,), "x") for i, text in enumerate(["84 points", "no", "entailment " * 9, "?"])]
    together = predict(student, examples, tasks.get("custom"), View.PREDICT, View.EXPLAIN, batch_size=3)
    alone = [predict(student, [one], tasks.get("custom"), View.PREDICT, View.EXPLAIN)[0] for one in examples]
    for one, other in zip(together, alone, strict=True):
        assert one.confidences == pytest.approx(other.confidences, rel=1e-4)
        assert replace(one, confidence=None, confidences=None) == replace(other, confidence=None, confidences=None)
    assert len({one.prediction for one in together}) > 1


@pytest.mark.parametrize(
    ("view", "said", "label", "rationale"),
    [
        (View.RATIONALE_FIRST, "2_is_even Answer: yes", "yes", "2_is_even"),
        (View.ANSWER_FIRST, "yes Rationale: 2_is_even", "yes", "2_is_even"),
    ],
)
def test_a_joint_view_gives_label_and_rationale_at_once(view, said, label, rationale, tmp_path):
    student = load(StudentSettings(name=str(builders.bart(tmp_path, [said], always=said)), max_target_length=1), ())
    student.tokenizer.add_tokens([said])  # the word tokenizer would split it at its blanks
    (answer,) = predict(student, EXAMPLES[:1], tasks.get("custom"), view, view)
    assert (answer.prediction, answer.rationale, answer.correct) == (label, rationale, True)


def test_who_answers_first_stops_there_unless_reasons_are_asked(tmp_path):
    """A student that never ends: asked for the answer alone, it is stopped at the mark."""
    folder = builders.bart(tmp_path, ["Rationale:"], always="Rationale:")
    student = load(StudentSettings(name=str(folder), max_target_length=20), ())
    task = tasks.get("custom")
    (alone,) = predict(student, EXAMPLES[:1], task, View.ANSWER_FIRST)
    (both,) = predict(student, EXAMPLES[:1], task, View.ANSWER_FIRST, View.ANSWER_FIRST)
    assert (alone.prediction, both.prediction) == ("", "")
    assert both.rationale.count("Rationale:") == 19
    assert student.generate(["yes"], max_new_tokens=20, batch_size=1, stop="Rationale:") == ["Rationale:"]
    assert student.generate(["yes"], max_new_tokens=20, batch_size=1)[0].count("Rationale:") == 20


def test_reasons_asked_for_and_not_given_are_blank_ones(tmp_path):
    """So that who reads the predictions sees that they were asked for."""
    student = load(StudentSettings(name=str(builders.bart(tmp_path, always="yes")), max_target_length=1), ())
    (answer,) = predict(student, EXAMPLES[:1], tasks.get("custom"), View.ANSWER_FIRST, View.ANSWER_FIRST)
    assert (answer.prediction, answer.rationale) == ("yes", "")


CHOOSABLE = [
    Example("1", ("How many?",), "yes", choices=("no", "maybe", "yes")),
    Example("2", ("scored 84 points " * 5,), "84", choices=("The answer is 84", "84")),
    Example("3", ("entailment",), "", choices=()),  # the task's own
]


def test_the_likeliest_choice_is_the_answer(tmp_path):
    """Against the model's loss on every pair, one at a time."""
    student = load(StudentSettings(name=str(builders.t5(tmp_path)), max_target_length=20), ())
    torch.manual_seed(3)
    for weight in student.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    student.eval()
    task = tasks.get("custom", ["entailment", "contradiction"])
    answers = predict(student, CHOOSABLE, task, View.PREDICT, View.EXPLAIN, batch_size=2, answers="choices")
    for example, answer in zip(CHOOSABLE, answers, strict=True):
        among = example.choices or task.choices
        ids = torch.tensor(student.source_ids(["predict: " + example.input])[0])
        losses = []
        for choice in among:
            labels = torch.tensor(student.target_ids([choice])[0])
            losses.append(student.model(input_ids=ids, labels=labels).loss.item() * labels.shape[1])
        assert answer.prediction == among[losses.index(min(losses))]
        assert answer.rationale is not None
    assert [one.correct for one in answers] == [answers[0].prediction == "yes", answers[1].prediction == "84", None]
    assert [one.rationale for one in answers] == [
        one.rationale for one in predict(student, CHOOSABLE, task, View.PREDICT, View.EXPLAIN)
    ]


@pytest.mark.parametrize("view", [View.RATIONALE_FIRST, View.ANSWER_FIRST])
def test_choices_are_refused_where_the_answer_is_not_alone_or_there_are_none(view, tmp_path):
    student = load(StudentSettings(name=str(builders.t5(tmp_path))), ())
    with pytest.raises(LimbeckError, match=f"not in the {view.value} view") as caught:
        predict(student, CHOOSABLE[:2], tasks.get("custom"), view, answers="choices")
    assert "\n" not in str(caught.value)
    with pytest.raises(LimbeckError, match="example '3' has no choices") as caught:
        predict(student, CHOOSABLE, tasks.get("custom"), View.PREDICT, answers="choices")
    assert "\n" not in str(caught.value)


HOSTILE = ['__import__("os").system("touch_hacked")', "9**9**9**9", "(" * 5000, "-" * 5000 + "1", "1e999999999", "\x00"]


@pytest.mark.parametrize("said", HOSTILE)
def test_hostile_answers_are_wrong_and_nothing_else(said, tmp_path, monkeypatch):
    """A student that writes the very thing, 256 times over: up to 1.3 MB of parentheses."""
    monkeypatch.chdir(tmp_path)
    student = load(StudentSettings(name=str(builders.bart(tmp_path / "bart", [said], always=said))), ())
    example = Example("1", ("How many points a round?",), "( 84.0 / 2.0 )")
    (answer,) = predict(student, [example], tasks.get("svamp"), View.PREDICT, View.EXPLAIN)
    assert answer.correct is False
    assert said.strip() in answer.prediction
    assert [path.name for path in tmp_path.iterdir()] == ["bart"]
