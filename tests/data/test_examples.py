"""Examples in a file against lists of them."""

import hashlib
import json
from dataclasses import MISSING, asdict, fields
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limbeck.data.examples import ExampleTable, digest, has, question_of, questions, take
from limbeck.schema import Example

text = st.text(min_size=1, max_size=8)  # lone surrogates too
texts = st.lists(text, max_size=3).map(tuple)
examples = st.builds(
    Example,
    text,
    st.lists(text, min_size=1, max_size=2).map(tuple),
    st.one_of(st.just(""), text),
    rationale=st.none() | text,
    teacher_label=st.none() | text,
    choices=texts,
    answers=texts,
    own_choices=st.booleans(),
    rationales=texts,
    rectified=st.booleans(),
    wrong_rationales=texts,
    reverse=st.none() | st.tuples(text, text),
    votes=st.lists(st.tuples(text, st.floats(0, 1, exclude_min=True)), max_size=2).map(tuple),
)
numbers = count()


def plain_digest(rows: list[Example]) -> str:
    """Return the digest as the first release had it: the hash of one JSON text."""
    optional = {field.name for field in fields(Example) if field.default is not MISSING}
    optional -= {"rationale", "teacher_label", "choices"}
    values = [{key: value for key, value in asdict(row).items() if value or key not in optional} for row in rows]
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(examples, max_size=6), st.data())
def test_a_table_is_like_a_list(assets: Path, rows: list[Example], data: st.DataObject) -> None:
    table = ExampleTable.cached(next(numbers), iter(rows))
    picks = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6)) if rows else [], np.int64)
    start = data.draw(st.integers(0, 6))
    pairs = [(table, rows), (table[start:], rows[start:]), (take(table, picks), [rows[i] for i in picks])]
    for part, expected in pairs:
        assert list(part) == expected
        assert [part[i] for i in range(len(part))] == expected
        assert digest(part) == digest(expected) == plain_digest(expected)
        for field in fields(Example):
            assert has(part, field.name).tolist() == [bool(getattr(row, field.name)) for row in expected]
        keys = questions(part).tolist()
        assert keys == questions(expected).tolist()
        same = [[question_of(a) == question_of(b) for a in expected] for b in expected]
        assert [[a == b for a in keys] for b in keys] == same


def test_a_table_is_written_once(assets: Path) -> None:
    row = Example("a", ("q",), "x")
    assert list(ExampleTable.cached("key", [row])) == [row]
    assert list(ExampleTable.cached("key", map(pytest.fail, ["read again"]))) == [row]
