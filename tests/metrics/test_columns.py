"""Other tools' names of columns and forms of values."""

import json
import math

import pytest

from limbeck.errors import LimbeckError
from limbeck.metrics.answered import read_answers
from limbeck.runs.measures import calibrate_file, compare_runs


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"ID": 7, "Gold": "a", "Pred": "a", "Conf": "80%"},
        {"question_id": 7, "target": "a", "model answer": "a", "probability": 0.8},
        {"idx": 7.0, "answer": "a", "prediction": "A.", "confidence": "0.8"},
        {"idx": 7, "label": "a", "answer": "a", "confidence": 0.8},
        {"id": "7", "reference": "1,080", "response": "1080.0", "confidence": 0.8},
        {"id": "7", "label": 3, "prediction": 3.0, "confidence": 0.8},
        {"id": "7", "label": True, "prediction": "TRUE", "confidence": 0.8},
        {"doc_id": 7, "is_correct": "True", "confidence": 0.8},
        {"doc_id": 7, "acc": 1.0, "confidence": 0.8, "target": "x", "filtered_resps": ["y"]},
    ],
)
def test_a_right_answer_under_other_names(row, tmp_path):
    (one,) = read_answers(write(tmp_path / "p.jsonl", [row]))
    assert (one.id, one.correct, one.confidence) == ("7", True, 0.8)


@pytest.mark.parametrize(
    ("label", "said"), [("007", "7"), ("2020-10-12", "2021-11-12"), ("3-2", "4-3"), ("5", "5 apples"), ("1.0", "10")]
)
def test_what_only_looks_like_an_equal_number_is_wrong(label, said, tmp_path):
    (one,) = read_answers(write(tmp_path / "p.jsonl", [{"label": label, "prediction": said}]))
    assert not one.correct


@pytest.mark.parametrize(("value", "right"), [(0, False), ("1", True), ("false", False), ("Yes", True), (1.0, True)])
def test_what_is_right_is_said_in_many_ways(value, right, tmp_path):
    (one,) = read_answers(write(tmp_path / "p.jsonl", [{"correct": value}]))
    assert one.correct is right


def test_log_likelihoods_of_choices_are_an_answer_with_its_confidence(tmp_path):
    scores = [[-1.0, False], ["-0.5", "True"], [-3.0, False]]
    row = {"doc_id": 0, "target": 1, "filtered_resps": scores, "acc": 1.0}
    (one,) = read_answers(write(tmp_path / "p.jsonl", [row]))
    total = sum(math.exp(float(score)) for score, _ in scores)
    assert (one.label, one.prediction, one.correct) == ("1", "1", True)
    assert one.confidence == pytest.approx(math.exp(-0.5) / total)
    assert one.probabilities == pytest.approx({str(i): math.exp(float(s)) / total for i, (s, _) in enumerate(scores)})


def test_samples_of_several_filters_are_not_mixed(tmp_path):
    rows = [{"doc_id": 0, "filter": f, "filtered_resps": ["1"], "target": "1"} for f in ("strict-match", "flexible")]
    with pytest.raises(LimbeckError, match="'filter'"):
        read_answers(write(tmp_path / "p.jsonl", rows))


LOGGED = {"doc_id": 0, "doc": {"q": "?"}, "target": "a", "resps": [["a"]], "filter": "none", "metrics": ["f1"]}


@pytest.mark.parametrize(
    "row",
    [
        {"filtered_resps": ["the dog"], "metrics": ["bleu"], "bleu": ["the hound", "the dog"]},  # a translation
        {"filtered_resps": [-123.4], "word_perplexity": [-123.4, 20]},
        {"filtered_resps": [["-1.0", "False"], ["-2.0", "False"]], "target": "alpha", "brier_score": 0.3},
    ],
)
def test_samples_whose_metrics_do_not_say_what_is_right_are_refused(row, tmp_path):
    with pytest.raises(LimbeckError) as raised:
        read_answers(write(tmp_path / "p.jsonl", [LOGGED | row]))
    assert "'correct'" in str(raised.value)
    assert (set(row) - {"filtered_resps", "target", "metrics"}).pop() in str(raised.value)


def test_the_likelihood_of_a_single_text_is_no_confidence(tmp_path):
    row = LOGGED | {"filtered_resps": [["-3.2", "True"]], "acc": 1.0}
    (one,) = read_answers(write(tmp_path / "p.jsonl", [row]))
    assert (one.correct, one.prediction, one.confidence) == (True, None, None)


def test_numbers_of_any_length_are_texts(tmp_path):
    (one,) = read_answers(write(tmp_path / "p.jsonl", [{"label": 10**400, "prediction": 10**400}]))
    assert one.correct


@pytest.mark.parametrize("row", [{"text": "a"}, {"label": "a"}, {"prediction": "a"}, {"id": 1, "score": 0.5}])
def test_a_missing_column_is_named_with_those_there_are(row, tmp_path):
    with pytest.raises(LimbeckError) as raised:
        read_answers(write(tmp_path / "p.jsonl", [row]))
    assert all(name in str(raised.value) for name in row)
    assert "no column" in str(raised.value)


def test_what_is_not_known_is_left_out_and_counted(tmp_path):
    sure = [0.9, 0.8, None, 0.6, 0.7]
    rows = [{"id": i, "label": "a", "prediction": "ab"[i % 2], "confidence": p} for i, p in enumerate(sure)]
    rows.append({"id": 5, "label": "a", "prediction": "", "confidence": None})
    found = calibrate_file(write(tmp_path / "p.jsonl", rows))
    assert (found["n"], found["without_confidence"], found["unanswered"]) == (5, 1, 1)
    assert found["average_confidence"] == pytest.approx((0.9 + 0.8 + 0.6 + 0.7 + 0) / 5)
    assert found["brier"] == pytest.approx((0.1**2 + 0.8**2 + 0.6**2 + 0.3**2 + 0) / 5)
    assert compare_runs([tmp_path / "p.jsonl"], [write(tmp_path / "q.jsonl", rows)])["n"] == 6


def test_one_row_without_probabilities_leaves_the_others_theirs(tmp_path):
    p = {"a": 0.75, "b": 0.25}
    rows = [{"label": "ab"[i % 3 == 0], "prediction": "a", "confidence": 0.75, "probabilities": p} for i in range(30)]
    whole = calibrate_file(write(tmp_path / "p.jsonl", rows))
    bare = {key: value for key, value in rows[0].items() if key != "probabilities"}
    part = calibrate_file(write(tmp_path / "q.jsonl", [*rows, bare]))
    assert (whole["n_choices"], part["n_choices"], part["n"]) == (30, 30, 31)
    assert part["brier_choices"] == whole["brier_choices"]
