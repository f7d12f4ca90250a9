"""Files of predictions: limbeck's own, and other tools' column names and forms of values."""

import math

import pytest

from limbeck.errors import LimbeckError
from limbeck.metrics.predictions import predictions_by_id, read_predictions
from tests.helpers.archives import write_rows


def row(**fields):
    return {"label": "yes", "prediction": "yes", "confidence": 0.5} | fields


@pytest.fixture
def read(tmp_path):
    return lambda *rows, needs=(): read_predictions(write_rows(tmp_path / "p.jsonl", rows), needs)


def test_an_answer_with_a_label_is_right_by_its_own_flag_or_by_its_text(read):
    flagged = [row(prediction="no", correct=True), row(correct=False)]
    unlabelled = [{"prediction": "x"}, {"label": None, "prediction": "x"}]
    predictions = read(row(), row(prediction=" YES. "), row(prediction="no"), *flagged, *unlabelled)
    assert [prediction.correct for prediction in predictions] == [True, True, False, True, False]
    for label, text in (("007", "7"), ("2020-10-12", "2021-11-12"), ("3-2", "4-3"), ("1.0", "10")):
        assert not read({"label": label, "prediction": text})[0].correct  # they only look like an equal number


WRONG = {
    "label": [{"a": 1}],
    "prediction": [["a", "b"]],
    "correct": ["perhaps", 0.5],
    "confidence": ["high", 1.01, -0.1, True, 70],  # the last beside 0.5: which of the two scales is meant?
    "probabilities": [[0.5], {"yes": 0.5, "no": 0.4}],
    "id": ["a"],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_an_error_names_line_and_field(field, value, tmp_path):
    path = write_rows(tmp_path / "p.jsonl", [row(id="a"), row(id="b") | {field: value}])
    with pytest.raises(LimbeckError) as raised:
        read_predictions(path)
    assert str(raised.value).startswith(f"{path}:2: ")
    assert raised.value.field == repr(field)


def test_an_unanswered_question_is_wrong_with_a_confidence_of_0(read):
    unknown = [row(confidence=None), row(confidence=math.nan)]
    predictions = read(row(), row(prediction=""), row(prediction=None, confidence=0.9), *unknown)
    assert [prediction.correct for prediction in predictions] == [True, False, False, True, True]
    assert [prediction.confidence for prediction in predictions] == [0.5, 0.0, 0.0, None, None]
    bare = row(prediction="", confidence=None), row(confidence=None)
    assert [prediction.confidence for prediction in read(*bare)] == [None, None]  # a file without any has no 0
    with pytest.raises(LimbeckError):
        read(*bare, needs=["confidence"])


def test_probabilities_are_read_with_the_confidence_that_is_taken_from_them(read):
    p = {"yes": 0.75, "no": 0.25}
    by_definition = {"choices": 0.75, "sequence": 0.5}
    definitions = ((0.75, by_definition), (0.5, by_definition), (0.75, None), (0.5, {"choices": None, "sequence": 0.5}))
    predictions = read(*(row(confidence=c, probabilities=p, confidences=names) for c, names in definitions))
    assert [prediction.probabilities for prediction in predictions] == [p, None, p, None]
    assert predictions[-1].confidences == {"sequence": 0.5}


@pytest.mark.parametrize(
    "fields",
    [
        {"ID": 7, "Gold": "a", "Pred": "a", "Conf": 80},
        {"question_id": 7, "target": "a", "response": "a", "probability": 0.8},
        {"idx": 7, "label": "a", "answer": "a", "confidence": 0.8},
        {"id": "7", "reference": "1,080", "response": "1080.0", "confidence": 0.8},
        {"id": "7", "label": 3, "prediction": 3.0, "confidence": 0.8},
        {"id": "7", "label": True, "prediction": "TRUE", "confidence": 0.8},
        {"doc_id": 7, "acc": 1.0, "confidence": 0.8, "target": "x", "filtered_resps": ["y"]},
        {"doc_id": 7, "acc": 1.0, "confidence": 0.8, "target": "x", "filtered_resps": 5},
    ],
)
def test_a_right_answer_under_other_names(fields, read):
    (prediction,) = read(fields)
    assert (prediction.id, prediction.correct, prediction.confidence) == ("7", True, 0.8)


def test_the_cells_of_a_table_are_texts(tmp_path):
    path = tmp_path / "p.csv"
    cells = """yes,1.0,0.75,"{""yes"": 0.75, ""no"": 0.25}"\nno,,,\nyes,Wrong,0.93,\n"""
    path.write_text(f"label,correct,confidence,probabilities\n{cells}")
    rows = [(row.correct, row.confidence, row.probabilities) for row in read_predictions(path)]
    assert rows == [(True, 0.75, {"yes": 0.75, "no": 0.25}), (False, 0.93, None)]


def test_log_likelihoods_of_choices_are_an_answer_with_its_confidence(read):
    scores = [[-1.0, False], ["-0.5", "True"], [-3.0, False]]
    (prediction,) = read({"doc_id": 0, "target": 1, "filtered_resps": scores, "acc": 1.0})
    weights = [math.exp(float(score)) for score, _ in scores]
    assert (prediction.label, prediction.prediction, prediction.correct) == ("1", "1", True)
    assert prediction.confidence == prediction.probabilities["1"]
    assert prediction.probabilities == pytest.approx({str(i): w / sum(weights) for i, w in enumerate(weights)})
    (single,) = read({"doc_id": 0, "target": "a", "filtered_resps": [["-3.2", "True"]], "acc": 1.0})
    assert (single.correct, single.prediction, single.confidence) == (True, None, None)


RESPONSES = [[["a", "b"], ["c", "d"]], [[-math.inf, "x"]] * 2, [[1], [2]], {"a": 1}, []]  # no answer, no likelihoods


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"doc_id": 0, "target": "a", "filtered_resps": ["dog"], "bleu": ["cat", "dog"]}], "'correct'"),
        ([{"filter": f, "filtered_resps": ["1"], "acc": 1, "target": "1"} for f in ("strict", "flexible")], "filters"),
        ([{"label": "a", "colour": "red"}], r"'prediction'.*'colour', 'label'"),
        ([{"label": " ", "prediction": "a"}], "no row with a label"),
        *(([{"label": "a", "filtered_resps": responses, "acc": 1}], "'filtered_resps'") for responses in RESPONSES),
    ],
)
def test_files_that_do_not_say_what_is_right_are_refused(rows, message, read):
    with pytest.raises(LimbeckError, match=message):
        read(*rows)


def test_predictions_are_matched_by_id(tmp_path):
    assert list(predictions_by_id(write_rows(tmp_path / "p.jsonl", [row(id=2), row(id=1)]))) == ["2", "1"]
    with pytest.raises(LimbeckError):
        predictions_by_id(write_rows(tmp_path / "q.jsonl", [row(id=2), row()]))
