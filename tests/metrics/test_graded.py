"""Accuracy, also by label, against scikit-learn's report and counting by hand; predictions as arrays."""

import numpy as np
import pytest
from sklearn.metrics import classification_report

from limbeck.metrics.graded import accuracy, as_arrays, by_label, with_choices
from limbeck.schema import Prediction
from limbeck.stats.intervals import wilson


def answers(*rows: tuple[str, str, bool]) -> list[Prediction]:
    return [Prediction("", "", label, text, bool(correct), None) for label, text, correct in rows]


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (10, 10)])
def test_accuracy_counts(right, n):
    rows = [Prediction(str(i), "", "a", "a" if i else " ", i < right, i < right // 2, input_cut=True) for i in range(n)]
    ungraded = Prediction("a", "", None, "x", None, None)
    metrics, nothing = accuracy([*rows, ungraded]), accuracy([ungraded])
    counts = {"n": n, "sources_cut": n, "unanswered": 1, "without_confidence": n - 1}
    shares = {"accuracy": right / n, "exact": (right // 2) / n, "interval": list(wilson(right, n))}
    assert metrics == {**counts, **shares, "by_label": metrics["by_label"]}
    assert nothing == {**dict.fromkeys(counts, 0), **dict.fromkeys([*shares, "by_label"])}


def test_by_label_is_the_report_of_scikit_learn():
    rng = np.random.default_rng(0)
    gold, predicted = rng.choice(["a", "b", "c"], 200, p=[0.7, 0.2, 0.1]), rng.choice(["a", "b", "c", "d"], 200)
    metrics = by_label(answers(*((g, p, g == p) for g, p in zip(gold, predicted, strict=True))))
    report = classification_report(gold, predicted, output_dict=True, labels=["a", "b", "c"], zero_division=0)
    assert metrics["macro_f1"] == pytest.approx(report["macro avg"]["f1-score"])
    for label, name in zip(metrics["labels"], "abc", strict=True):
        counts = [name, report[name]["support"], (predicted == name).sum()]
        assert [label["label"], label["n"], label["predicted"]] == counts
        assert (label["accuracy"], label["f1"]) == pytest.approx((report[name]["recall"], report[name]["f1-score"]))
        assert label["interval"][0] < label["accuracy"] < label["interval"][1]
    assert metrics["majority"] == {"label": "a", "accuracy": pytest.approx((gold == "a").mean())}
    assert metrics["other"] == (predicted == "d").sum()


def test_answers_beyond_the_labels_and_labels_without_examples():
    rows = answers(("yes", "Yes.", True), ("yes", "maybe", False), ("no", "", False), ("no", "YES", False))
    metrics = by_label(rows, ["yes", "no", "unknown"])
    rows = [(label["n"], label["accuracy"], label["predicted"], label["f1"]) for label in metrics["labels"]]
    assert rows == [(2, 0.5, 2, 0.5), (2, 0.0, 0, 0.0), (0, None, 0, 0.0)]
    assert metrics["labels"][2]["interval"] is None
    assert (metrics["macro_f1"], metrics["other"]) == (0.25, 2)  # the mean over the two labels that occur
    wrong = by_label(answers(("yes", "yes", False), ("yes", "yes", True)))["labels"][0]
    assert (wrong["predicted"], wrong["accuracy"]) == (1, 0.5)  # wrong by the task's rule it is not the label


def test_free_text_has_no_labels():
    many = answers(*((str(i % 21), "1", False) for i in range(200)))
    assert by_label([]) is by_label(many) is None
    assert by_label(answers(*((str(i), str(i), True) for i in range(30)))) is None
    assert by_label(many, [str(i) for i in range(21)])
    assert by_label([*many, Prediction("", "", "1", None, True, None)], [str(i) for i in range(21)]) is None


def test_choices_are_a_table_of_the_predictions_that_have_them():
    def answer(label: str, probabilities: dict[str, float] | None) -> Prediction:
        return Prediction("", "", label, "yes", label == "yes", None, confidence=0.5, probabilities=probabilities)

    predictions = [
        answer("yes", {"yes": 0.75, "no": 0.25}),
        answer("no", {"no": 0.5, "yes": 0.25, "perhaps": 0.25}),
        answer("yes", None),
        answer("yes", {"no": 1.0}),  # without its label
    ]
    complete = with_choices(predictions)
    assert complete == predictions[:2]
    answers = as_arrays(complete, choices=True)
    np.testing.assert_array_equal(answers.probabilities, [[0.25, 0, 0.75], [0.5, 0.25, 0.25]])  # no, perhaps, yes
    assert answers.labels.tolist() == [2, 0]
    assert with_choices([answer(f"l{i}", {f"l{i}": 1.0}) for i in range(101)]) == []
