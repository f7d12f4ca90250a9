"""Accuracy by label, against scikit-learn's report and counting by hand."""

import numpy as np
import pytest
from sklearn.metrics import classification_report

from limbeck.metrics.labels import LabelledAnswer, by_label


def test_it_is_what_scikit_learn_reports() -> None:
    rng = np.random.default_rng(0)
    gold, said = rng.choice(["a", "b", "c"], 200, p=[0.7, 0.2, 0.1]), rng.choice(["a", "b", "c"], 200)
    found = by_label([LabelledAnswer(g, s, g == s) for g, s in zip(gold, said, strict=True)])
    report = classification_report(gold, said, output_dict=True)
    assert found["macro_f1"] == pytest.approx(report["macro avg"]["f1-score"])
    assert [one["label"] for one in found["labels"]] == ["a", "b", "c"]
    for one in found["labels"]:
        assert one["accuracy"] == pytest.approx(report[one["label"]]["recall"])
        assert one["n"] == report[one["label"]]["support"]
        assert one["predicted"] == (said == one["label"]).sum()
        assert one["interval"][0] < one["accuracy"] < one["interval"][1]
    assert found["majority"] == {"label": "a", "accuracy": pytest.approx((gold == "a").mean())}
    assert found["other"] == 0


def test_answers_beyond_the_labels_and_labels_that_nobody_has() -> None:
    rows = [("yes", "Yes.", True), ("yes", "maybe", False), ("no", "", False), ("no", "YES", False)]
    found = by_label([LabelledAnswer(*row) for row in rows], ["yes", "no", "unknown"])
    yes, no, unknown = found["labels"]
    assert (yes["n"], yes["accuracy"], yes["predicted"], yes["f1"]) == (2, 0.5, 2, 0.5)
    assert (no["accuracy"], no["predicted"], no["f1"]) == (0.0, 0, 0.0)
    assert (unknown["n"], unknown["accuracy"], unknown["interval"]) == (0, None, None)
    assert found["macro_f1"] == 0.25  # over the two that occur
    assert found["other"] == 2


def test_free_text_has_no_labels() -> None:
    assert by_label([LabelledAnswer(str(i), str(i), True) for i in range(30)]) is None
    assert by_label([LabelledAnswer(str(i % 21), "1", False) for i in range(200)]) is None
    assert by_label([LabelledAnswer(str(i % 21), "1", False) for i in range(200)], [str(i) for i in range(21)])
    assert by_label([]) is None
