"""From raw rows to examples: labels of every type, accepted answers, solutions, usual names of columns."""

import json
import logging
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from limbeck.data import DataSettings, load, read_conversations, read_rows
from limbeck.data.cells import cell_text, is_missing
from limbeck.errors import LimbeckError
from limbeck.llm import read_reply
from limbeck.schema import Example
from limbeck.tasks import get


def written(folder: Path, rows: Iterable[dict[str, Any]], name: str = "r.jsonl") -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"), (1.0, "1"), (-3.0, "-3"), (0.1, "0.1"), (3.50, "3.5"), (1e20, "1e+20"), (True, "true"),
        (False, "false"), (Decimal("1.00"), "1"), (Decimal("2.50"), "2.5"), (" x ", "x"), ("cafe\u0301 ", "caf\u00e9"),
        ("\u00a0x\u2003", "x"), ("a\0b", "ab"), ("1.0", "1.0"), ("None of these", "None of these"),
    ],
)  # fmt: skip
def test_the_text_of_a_cell(value: Any, text: str) -> None:
    assert cell_text(value) == text


@pytest.mark.parametrize(
    "value", [None, "", " \n", "nan", "NaN", "null", "NULL", "None", "NA", "N/A", float("nan"), "\0"]
)
def test_what_stands_for_nothing(value: Any) -> None:
    assert is_missing(value)


@pytest.mark.parametrize("value", ["none", "na", "None of the above", "no", "0", 0, False, "nancy", "-"])
def test_what_does_not(value: Any) -> None:
    assert not is_missing(value)


def test_words_for_nothing_are_no_labels_and_no_rationales_but_may_be_choices(tmp_path: Path) -> None:
    cells = "input,label,rationale,teacher_label,id\na,nan,None,null,NA\nb,x,nan,NaN,7.0\n"
    (tmp_path / "r.csv").write_text(cells)
    assert read_rows(tmp_path / "r.csv", labelled=False) == [Example("r-0", ("a",), ""), Example("7", ("b",), "x")]
    (tmp_path / "r.csv").write_text("input,label,choices\na,None,None|x\nb,x,None|x\n")
    assert [row.label for row in read_rows(tmp_path / "r.csv")] == ["None", "x"]
    task = get("custom", ["NA", "EU"])
    (tmp_path / "r.csv").write_text("input,label,teacher_label\na,NA,NA\n")
    assert read_rows(tmp_path / "r.csv", task=task) == [Example("r-0", ("a",), "NA", None, "NA", ("NA", "EU"))]


def test_integers_beside_nulls_and_short_floats(tmp_path: Path) -> None:
    table = pd.DataFrame({"input": ["a", "b", "c"], "label": [1, None, 3], "small": np.float32([0.1, 2, 0.3])})
    table["half"] = table["small"].astype("float16")
    table.to_parquet(tmp_path / "r.parquet")
    table.to_json(tmp_path / "r.json", orient="records")
    table.to_csv(tmp_path / "r.csv")
    for name in ("r.parquet", "r.json", "r.csv"):
        assert [row.label for row in read_rows(tmp_path / name, labelled=False)] == ["1", "", "3"]
    assert [row.label for row in read_rows(tmp_path / "r.parquet", {"label": "small"})] == ["0.1", "2", "0.3"]
    assert [row.label for row in read_rows(tmp_path / "r.parquet", {"label": "half"})] == ["0.1", "2", "0.3"]
    lists = pa.table({"input": ["a"], "choices": pa.array([[0.1, 0.2]], pa.list_(pa.float32())), "label": [0.2]})
    pq.write_table(lists, tmp_path / "l.parquet")
    assert read_rows(tmp_path / "l.parquet")[0].choices == ("0.1", "0.2")


def test_labels_without_an_answer_in_data_for_inference(tmp_path: Path) -> None:
    cells: list[Any] = [-1, "-", 1.0, None, "2"]
    rows = [{"premise": "p", "hypothesis": f"h{i}", "label": label} for i, label in enumerate(cells)]
    labels = [row.label for row in read_rows(written(tmp_path, rows), labelled=False, task=get("esnli"))]
    assert labels == ["", "", "neutral", "", "contradiction"]
    pairs = [{"a": "p", "b": f"h{i}", "gold": label} for i, label in enumerate(cells)]
    columns: Any = {"input": ["a", "b"], "label": "gold"}
    mapped = read_rows(written(tmp_path, pairs), columns, labelled=False, task=get("esnli"))
    assert [row.label for row in mapped] == labels
    assert {row.segments for row in mapped} == {("p", f"h{i}") for i in range(5)}
    numbers = [{"input": "q", "label": -1}, {"input": "r", "label": "-1"}]
    assert {row.label for row in read_rows(written(tmp_path, numbers))} == {"-1"}  # elsewhere it is an answer


@pytest.mark.parametrize(
    ("row", "label", "others"),
    [
        ({"answers": ["a", "b"]}, "a", ("b",)),
        ({"label": "b", "answers": ["a", "b", "c "]}, "b", ("a", "c")),
        ({"label": ["a", " a", "b"]}, "a", ("b",)),
        ({"answers": {"text": ["a", "b"], "answer_start": [1, 2]}}, "a", ("b",)),
        ({"answer": {"value": "a", "aliases": ["b"]}}, "a", ("b",)),
        ({"answers": "['a' 'b']"}, "a", ("b",)),
        ({"answers": '["a"]'}, "a", ()),
        ({"answers": [1.0, 2]}, "1", ("2",)),
    ],
)
def test_several_accepted_answers(tmp_path: Path, row: dict[str, Any], label: str, others: tuple[str, ...]) -> None:
    (example,) = read_rows(written(tmp_path, [{"input": "q", **row}]))
    assert (example.label, example.answers) == (label, others)


def test_a_teacher_is_right_by_any_accepted_answer(tmp_path: Path) -> None:
    rows = [
        {"input": f"q{i}", "answers": ["one", "1"], "rationale": "r", "teacher_label": "1" if i % 2 else "2"}
        for i in range(20)
    ]
    source = {"kind": "files", "train_file": str(written(tmp_path, rows)), "test_file": str(tmp_path / "r.jsonl")}
    splits = load(DataSettings.parse({"task": "custom", "source": source, "keep": "correct"}, "x"))
    assert splits.notes["rationales_not_kept"] == sum(row.teacher_label == "2" for row in splits.train)


def test_solutions_with_their_answer_after_a_mark(tmp_path: Path) -> None:
    rows = [
        {"question": "q0", "answer": "3*4 = <<3*4=12>>12.\n#### 1,200"},
        {"question": "q1", "answer": "#### -5"},
        {"question": "q2", "answer": "a #### b #### c"},
        {"question": "q3", "answer": "x\n#### y", "rationale": "Its own."},
    ]
    path = written(tmp_path, rows)
    assert [(row.label, row.rationale) for row in read_rows(path)] == [
        ("1,200", "3*4 = 12."),
        ("-5", None),
        ("c", "a #### b"),
        ("y", "Its own."),
    ]
    numbers = written(tmp_path, rows[:2])
    assert [row.label for row in read_rows(numbers, task=get("custom", answer="number"))] == ["1200", "-5"]
    with pytest.raises(LimbeckError, match=r"r.jsonl:1: field 'label'"):
        read_rows(written(tmp_path, [{"question": "q", "answer": "nothing after it ####"}]))


def test_labels_that_are_no_numbers_are_left_out_and_counted(tmp_path: Path) -> None:
    labels = ["$5", "12,000", "50%", "many", "#### 42", "about a dozen"] * 4
    path = written(tmp_path, [{"input": f"q{i}", "label": label} for i, label in enumerate(labels)])
    source = {"kind": "files", "train_file": str(path)}
    splits = load(DataSettings.parse({"task": "custom", "answer": "number", "source": source}, "x"))
    parts = [*splits.train, *splits.valid, *splits.test]
    assert splits.notes["rows_without_label"] == 8
    assert {row.label for row in parts} <= {"5", "12000", "50", "50%", "42"}
    assert len(parts) == 16


@pytest.mark.parametrize("answer", ["text", "number"])
def test_a_task_whose_labels_are_all_numbers_is_told_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    path = written(tmp_path, [{"input": f"q{i}", "label": i} for i in range(20)])
    source = {"kind": "files", "train_file": str(path)}
    with caplog.at_level(logging.WARNING, "limbeck"):
        load(DataSettings.parse({"task": "custom", "answer": answer, "source": source}, "x"))
    assert ("answer: number" in caplog.text) == (answer == "text")


def test_rationales_of_several_sentences(tmp_path: Path) -> None:
    cells: list[Any] = [["a", None, "b"], "['a' 'b']", '["a", "b"]', "[1] a citation", [], "[1, 2]"]
    rows = [{"input": f"q{i}", "label": "x", "rationale": cell} for i, cell in enumerate(cells)]
    assert [row.rationale for row in read_rows(written(tmp_path, rows))] == [
        "a\nb", "a\nb", "a\nb", "[1] a citation", None, "[1, 2]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"question": "q", "answer": "a"}, ("q", "a", None)),
        ({"Question": "q", "Answer": "a"}, ("q", "a", None)),
        ({"prompt": "q", "completion": "a"}, ("q", "a", None)),
        ({"prompt": "q", "response": "a"}, ("q", "a", None)),
        ({"instruction": "q", "output": "a"}, ("q", "a", None)),
        ({"instruction": "q", "input": "", "output": "a"}, ("q", "a", None)),
        ({"instruction": "q", "input": "r", "output": "a"}, ("q\nr", "a", None)),
        ({"problem": "q", "solution": "because", "answer": "a"}, ("q", "a", "because")),
        ({"problem": "q", "solution": "a"}, ("q", "a", None)),
        ({"input": "q", "target": "a", "question": "no"}, ("q", "a", None)),
        ({"question": "q", "options": ["x", "a"], "correct": "B"}, ("q\nAnswer Choices:\n(a) x\n(b) a", "a", None)),
    ],
)
def test_usual_names_of_columns(tmp_path: Path, row: dict[str, Any], expected: tuple[str, str, str | None]) -> None:
    (example,) = read_rows(written(tmp_path, [row]))
    assert (example.input, example.label, example.rationale) == expected


@pytest.mark.parametrize(
    ("row", "listed"),
    [
        ({"Frage": "q", "Antwort": "a"}, ["Frage", "Antwort", "columns: {"]),
        ({"question": "q", "prompt": "p", "answer": "a"}, ["question", "prompt", "columns: {"]),
        ({"question": "q", "answer": "a", "response": "b"}, ["answer", "response", "columns: {"]),
        ({"input": "q", "verdict": "a"}, ["verdict", "columns: {"]),
    ],
)
def test_names_that_could_be_others_are_listed(tmp_path: Path, row: dict[str, Any], listed: list[str]) -> None:
    with pytest.raises(LimbeckError) as caught:
        read_rows(written(tmp_path, [row]))
    assert all(name in str(caught.value) for name in listed)


def test_columns_within_columns_and_of_several(tmp_path: Path) -> None:
    path = written(tmp_path, [{"q": {"text": "why", "title": "t"}, "a": "b", "w1": "One.", "w2": None, "w3": "Two."}])
    columns: Any = {"input": ["q.title", "q.text"], "label": "a", "rationale": ["w1", "w2", "w3"]}
    assert read_rows(path, columns) == [Example("r-0", ("t", "why"), "b", "One.\nTwo.")]
    with pytest.raises(LimbeckError, match=r"no column 'w4'"):
        read_rows(path, {**columns, "rationale": ["w1", "w4"]})


@pytest.mark.parametrize("task", ["cqa", "custom"])
def test_columns_are_mapped_for_every_task(tmp_path: Path, task: str) -> None:
    path = written(tmp_path, [{"q": f"q{i}", "o": "['x' 'y']", "gold": i, "input": "not this"} for i in range(2)])
    rows = read_rows(path, {"input": "q", "choices": "o", "label": "gold"}, task=get(task))
    assert [(row.segments, row.label, row.choices) for row in rows] == [
        (("q0",), "x", ("x", "y")),
        (("q1",), "y", ("x", "y")),
    ]


word = st.text("abcXYZ \u00e9\u4e2d'\",;|\t\n", min_size=1, max_size=10).filter(str.strip)
label = st.one_of(st.integers(-99, 99), st.text("abcd", min_size=1, max_size=4), st.booleans())


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    kind = draw(st.sampled_from([st.integers(-99, 99), st.text("abcd", min_size=1, max_size=4), st.booleans()]))
    nulls = draw(st.booleans())
    return [
        {
            "input": draw(word),
            "label": draw(st.none() | kind if nulls else kind),
            "rationale": draw(st.none() | word),
            "choices": None,
        }
        for _ in range(draw(st.integers(1, 5)))
    ]


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tables())
def test_a_table_reads_alike_from_every_program(tmp_path: Path, table: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(table)
    frame.to_csv(tmp_path / "pandas.csv")
    frame.to_csv(tmp_path / "pandas.tsv", sep="\t", index=False)
    frame.to_csv(tmp_path / "packed.csv.gz", index=False)
    frame.to_parquet(tmp_path / "pandas.parquet")
    frame.to_json(tmp_path / "lines.jsonl", orient="records", lines=True)
    frame.to_json(tmp_path / "columns.json")
    (tmp_path / "array.json").write_text(json.dumps(table, indent=1, ensure_ascii=False))
    datasets.Dataset.from_list(table).to_parquet(tmp_path / "datasets.parquet")
    expected = [
        (row["input"], "" if row["label"] is None else str(row["label"]).lower(), row["rationale"]) for row in table
    ]
    for path in sorted(tmp_path.iterdir()):
        rows = read_rows(path, labelled=False)
        assert [(row.input, row.label.lower(), row.rationale) for row in rows] == expected, path.name


def test_a_calculators_marks_are_left_out_of_every_rationale(tmp_path: Path) -> None:
    marked, plain = "So 48/2 = <<48/2=24>>24.", "So 48/2 = 24."
    row = {"input": "q", "label": "24", "rationale": marked}
    kept = {"input": "r", "label": "x", "rationale": "cout << x; y >> z; <<a=b>>"}
    assert [row.rationale for row in read_rows(written(tmp_path, [row, kept]))] == [plain, kept["rationale"]]
    (example,) = read_rows(written(tmp_path, [{"input": "q", "label": f"{marked}\n#### <<12*2=24>>24"}]))
    assert (example.label, example.rationale) == ("24", plain)
    (imported,) = read_conversations(
        written(tmp_path, [{"prompt": "q", "completion": f"{marked}\n#### 24"}]), get("custom")
    )[0]
    assert (imported.label, imported.rationale) == ("24", plain)
    reply = read_reply(f"{marked} The answer is 24.", marked, get("custom"), Example("1", ("q",), ""), source="both")
    assert (reply.label, reply.rationale) == ("24", f"{plain}\n{plain}")
