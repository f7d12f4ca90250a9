"""Rows in JSON text, in the forms that programs write it."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.json_table import json_rows
from limbeck.errors import LimbeckError

A, B = {"input": "a", "label": "x"}, {"input": "b]}", "label": "[{"}


def rows(text: str, name: str = "r.json", limit: int = 10**6) -> list[dict[str, object]]:
    return [row for _, row in json_rows(text, Path(name), limit)]


ONE, OTHER = json.dumps(A), json.dumps(B)


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE}\n{OTHER}\n",
        f"{ONE}\r\n\r\n{OTHER}",
        f"{ONE}{OTHER}",
        f"{ONE},\n{OTHER},\n",
        f"[{ONE}, {OTHER}]",
        f"[\n{ONE},\n{OTHER},\n]\n",
        f"// by hand\n{ONE}\n# and again\n{OTHER}",
        json.dumps([A, B], indent=2),
        json.dumps(A, indent=1) + "\n" + json.dumps(B, indent=1),
        json.dumps({"data": [A, B]}),
        json.dumps({"version": "2.0", "data": [A, B]}, indent=1),
        json.dumps({"train": [A, B]}),
        json.dumps({"whatever": [A, B]}),
        json.dumps({"0": A, "1": B}),
        json.dumps({"q7": A, "q3": B}),
        *(pd.DataFrame([A, B]).to_json(orient=form) for form in ("records", "index", "columns", "split")),  # type: ignore[call-overload]
        json.dumps(pd.DataFrame([A, B]).to_dict("list")),
    ],
)
def test_the_same_rows_in_every_form(text: str) -> None:
    assert rows(text) == [A, B]


@pytest.mark.parametrize(
    "row", [A, {"messages": [A, B]}, {"input": "q", "choices": [A, B]}, {"question": {"stem": "q"}}]
)
def test_one_row_is_a_row(row: dict[str, object]) -> None:
    assert rows(json.dumps(row)) == [row]
    assert rows(json.dumps(row, indent=1), "r.jsonl") == [row]


def test_places() -> None:
    text = f"\n{ONE}\n\n{json.dumps(B, indent=1)}\n{ONE}"
    assert [where for where, _ in json_rows(text, Path("r.jsonl"), 99)] == ["r.jsonl:2", "r.jsonl:4", "r.jsonl:8"]
    assert [where for where, _ in json_rows(f"[{ONE}, {ONE}]", Path("r.json"), 99)] == [
        "r.json: item 1",
        "r.json: item 2",
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (f'{ONE}\n{{"input": "x\n{OTHER}', "r.jsonl:2: "),
        (f'{ONE}\n{{"input": "x", "label":', "r.jsonl:2: "),
        (f"{ONE}\nnonsense\n{OTHER}", "r.jsonl:2: "),
        (f"[{ONE},\n{OTHER}\n", "r.jsonl:3: "),
        (f"{ONE}]", "r.jsonl:1: "),
        (f"{ONE}\n3", "r.jsonl:2: "),
        ('{"a": ' + "[" * 100_000, "r.jsonl:1: "),
        ('{"a": ' + "9" * 5_000 + "}", "r.jsonl:1: "),
        (json.dumps({"train": [A], "test": [B]}), "r.jsonl: "),
        (f"{ONE}\n{json.dumps({'input': 'x' * 300})}", "r.jsonl:2: "),
    ],
)
def test_what_is_refused_names_its_line(text: str, where: str) -> None:
    with pytest.raises(LimbeckError) as caught:
        rows(text, "r.jsonl", limit=200 if "x" * 300 in text else 10**7)
    assert str(caught.value).startswith(where)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
objects = st.dictionaries(st.sampled_from(["input", "label", "x", "\u2028"]), values, min_size=1)


@given(st.lists(objects, min_size=2, max_size=4), st.sampled_from([None, 1]))
def test_rows_come_back(table: list[dict[str, object]], indent: int | None) -> None:
    lines = [json.dumps(row, indent=indent, ensure_ascii=False) for row in table]
    for text in ("\n".join(lines), "[" + ",".join(lines) + "]", json.dumps({"data": table})):
        assert rows(text) == table


def test_the_only_row_of_a_file_of_lines_keeps_its_turns() -> None:
    for row in ({"completion": [{"a": 1}, {"a": 2}]}, {"prompt": [{"a": 1}]}):
        assert [value for _, value in json_rows(json.dumps(row), Path("r.jsonl"), 1000)] == [row]
