"""Files of predictions, ours or anybody's, and what is measured on them."""

import json
import math

import numpy as np
import pytest

from limbeck.errors import LimbeckError
from limbeck.metrics.answered import choices, known, of_choices, read_answers


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(**more):
    return {"label": "yes", "prediction": "yes", "confidence": 0.5} | more


def test_an_answer_is_right_by_its_own_word_or_by_the_text(tmp_path):
    rows = [
        row(),
        row(prediction=" YES. "),
        row(prediction="no"),
        row(prediction="no", correct=True),
        row(correct=False),
    ]
    assert [one.correct for one in read_answers(write(tmp_path / "p.jsonl", rows))] == [True, True, False, True, False]


def test_rows_without_a_label_are_passed_over(tmp_path):
    path = write(tmp_path / "p.jsonl", [{"prediction": "x"}, row(), {"label": None, "prediction": "x"}])
    assert [one.where for one in read_answers(path)] == [f"{path}:2"]
    with pytest.raises(LimbeckError, match="no column 'label'"):
        read_answers(write(tmp_path / "q.jsonl", [{"prediction": "x"}]))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"label": {"a": 1}}, "'label'"),
        ({"prediction": ["a", "b"]}, "'prediction'"),
        ({"correct": "perhaps"}, "'correct'"),
        ({"correct": 0.5}, "'correct'"),
        ({"confidence": "high"}, "'confidence'"),
        ({"confidence": True}, "'confidence'"),
        ({"confidence": 1.01}, "'confidence'"),
        ({"confidence": 70}, "'confidence'"),  # beside 0.5: which of the two scales is meant?
        ({"confidence": -0.1}, "'confidence'"),
        ({"confidence": math.inf}, "'confidence'"),
        ({"probabilities": [0.5]}, "'probabilities'"),
        ({"probabilities": {"yes": 2}}, "'probabilities'"),
        ({"id": "a"}, "'id': 'a' stands already at"),
    ],
)
def test_a_wrong_row_is_one_line_that_names_it(wrong, field, tmp_path):
    path = write(tmp_path / "p.jsonl", [row(id="a"), row(id="b") | wrong])
    with pytest.raises(LimbeckError) as raised:
        read_answers(path)
    assert str(raised.value).startswith(f"{path}:2: ")
    assert field in str(raised.value)


def test_a_question_without_an_answer_is_wrong_and_of_no_confidence(tmp_path):
    rows = [
        row(),
        row(prediction=""),
        row(prediction=None, confidence=0.9),
        row(confidence=None),
        row(confidence=math.nan),
    ]
    read = read_answers(write(tmp_path / "p.jsonl", rows))
    assert [one.correct for one in read] == [True, False, False, True, True]
    assert [one.confidence for one in read] == [0.5, 0.0, 0.0, None, None]
    assert known(read) == read[:3]
    bare = read_answers(write(tmp_path / "q.jsonl", [row(prediction="", confidence=None), row(confidence=None)]))
    assert [one.confidence for one in bare] == [None, None]  # a file without any has none to count as 0
    with pytest.raises(LimbeckError):
        known(bare)


def test_choices_are_a_table_of_the_rows_that_have_them(tmp_path):
    rows = [
        row(probabilities={"yes": 0.75, "no": 0.25}),
        row(label="no", probabilities={"no": 0.5, "yes": 0.25, "perhaps": 0.25}),
        row(),
        row(probabilities={"no": 1.0}),  # its label is not among them
    ]
    read = read_answers(write(tmp_path / "p.jsonl", rows))
    having = of_choices(read)
    assert having == read[:2]
    table, labels = choices(having)
    np.testing.assert_array_equal(table, [[0.25, 0, 0.75], [0.5, 0.25, 0.25]])  # no, perhaps, yes
    assert labels.tolist() == [2, 0]
    many = [row(label=f"l{i}", probabilities={f"l{i}": 1.0}) for i in range(101)]
    assert of_choices(read_answers(write(tmp_path / "q.jsonl", many))) == []  # no fixed set


def test_probabilities_are_read_with_the_confidence_that_is_taken_from_them(tmp_path):
    p = {"yes": 0.75, "no": 0.25}
    own, other = {"choices": 0.75, "sequence": 0.5}, {"choices": 0.75, "sequence": 0.5, "normalised": 0.6}
    rows = [
        row(confidence=0.75, probabilities=p, confidences=own),
        row(confidence=0.5, probabilities=p, confidences=own),
        row(confidence=0.6, probabilities=p, confidences=other),
        row(confidence=0.75, probabilities=p),
    ]
    read = read_answers(write(tmp_path / "p.jsonl", rows))
    assert [one.probabilities for one in read] == [p, None, None, p]
