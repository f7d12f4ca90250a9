"""Rows of JSON, delimited text and Parquet as programs write them, and the errors that name a location."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from limbeck.data.tables import csv_rows, json_rows, read_table
from limbeck.errors import DataError, FileError, LimbeckError

A, B = {"input": "a", "label": "x"}, {"input": "b]}", "label": "[{"}
LINE_A, LINE_B = json.dumps(A), json.dumps(B)


def from_json(text: str, name: str = "r.json", limit: int = 10**6) -> list[dict[str, Any]]:
    return [row for _, row in json_rows(text, Path(name), limit)]


def from_csv(text: str, name: str = "r.csv", limit: int = 10**6) -> list[dict[str, Any]]:
    return [row for _, row in csv_rows(text, Path(name), limit)]


@pytest.mark.parametrize(
    "text",
    [
        f"{LINE_A}\n{LINE_B}\n",
        f"{LINE_A}\r\n\r\n{LINE_B}",
        f"{LINE_A}{LINE_B}",
        f"{LINE_A},\n{LINE_B},\n",
        f"[\n{LINE_A},\n{LINE_B},\n]\n",
        f"// by hand\n{LINE_A}\n# and again\n{LINE_B}",
        json.dumps([A, B], indent=2),
        json.dumps({"version": "2.0", "data": [A, B]}, indent=1),
        json.dumps({"train": [A, B]}),
        json.dumps({"whatever": [A, B]}),
        json.dumps({"q7": A, "q3": B}),
        *(pd.DataFrame([A, B]).to_json(orient=form) for form in ("records", "index", "columns", "split")),  # type: ignore[call-overload]
        json.dumps(pd.DataFrame([A, B]).to_dict("list")),
    ],
)
def test_json_in_every_form(text: str) -> None:
    assert from_json(text) == [A, B]


@pytest.mark.parametrize(
    "row",
    [
        A,
        {"messages": [A, B]},
        {"prompt": [{"a": 1}]},
        {"input": "q", "choices": [A, B]},
        {"question": {"stem": "q"}},
    ],
)
def test_a_single_json_row(row: dict[str, object]) -> None:
    assert from_json(json.dumps(row)) == from_json(json.dumps(row, indent=1), "r.jsonl") == [row]


def test_the_only_row_of_a_file_of_lines_keeps_its_turns() -> None:
    row = {"prompt": {"a": 1}, "completion": {"a": 2}}
    assert from_json(json.dumps(row), "r.jsonl") == [row]
    assert from_json(json.dumps({"completion": [{"a": 1}]}), "r.jsonl") == [{"completion": [{"a": 1}]}]


def test_places_in_json() -> None:
    text = f"\n{LINE_A}\n\n{json.dumps(B, indent=1)}\n{LINE_A}"
    assert [location for location, _ in json_rows(text, Path("r.jsonl"))] == ["r.jsonl:2", "r.jsonl:4", "r.jsonl:8"]
    items = [location for location, _ in json_rows(f"[{LINE_A}, {LINE_A}]", Path("r.json"))]
    assert items == ["r.json: item 1", "r.json: item 2"]


@pytest.mark.parametrize(
    ("text", "location"),
    [
        (f'{LINE_A}\n{{"input": "x\n{LINE_B}', "r.jsonl:2: "),
        (f'{LINE_A}\n{{"input": "x", "label":', "r.jsonl:2: "),
        (f"{LINE_A}\nnonsense\n{LINE_B}", "r.jsonl:2: "),
        (f"[{LINE_A},\n{LINE_B}\n", "r.jsonl:3: "),
        (f"{LINE_A}]", "r.jsonl:1: "),
        (f"{LINE_A}\n3", "r.jsonl:2: "),
        ('{"a": ' + "[" * 100_000, "r.jsonl:1: "),
        ('{"a": ' + "9" * 5_000 + "}", "r.jsonl:1: "),
        (json.dumps({"train": [A], "test": [B]}), "r.jsonl: "),
        (f"{LINE_A}\n{json.dumps({'input': 'x' * 20_000})}", "r.jsonl:2: "),
    ],
)
def test_bad_json_names_its_line(text: str, location: str) -> None:
    with pytest.raises(DataError) as caught:
        from_json(text, "r.jsonl", limit=10_000)
    assert str(caught.value).startswith(location)


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=4), st.lists, max_leaves=3)
objects = st.dictionaries(st.sampled_from(["input", "label", "x", "\u2028"]), values, min_size=1)


@hypothesis_settings(max_examples=50, deadline=None)
@given(st.lists(objects, min_size=2, max_size=4), st.sampled_from([None, 1]))
def test_json_rows_come_back(table: list[dict[str, Any]], indent: int | None) -> None:
    lines = [json.dumps(row, indent=indent, ensure_ascii=False) for row in table]
    for text in ("\n".join(lines), "[" + ",".join(lines) + "]", json.dumps({"data": table})):
        assert from_json(text) == table


TABLE = [{"input": 'Is it, "so"; or\nnot?', "label": "x"}, {"input": "b | c\td", "label": "y"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_delimiter_and_line_end(delimiter: str, end: str) -> None:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, ["input", "label"], delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(TABLE)
    for name in ("r.csv", "r.tsv", "r.txt"):
        assert from_csv(stream.getvalue(), name) == TABLE


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\ninput;label\r\na;x\r\n",
        "# by hand\ninput,label\na,x\n",
        "input,label\n# a comment\na,x\n",
        "\ninput,label\n\n,\na,x\n",
        "input,label,\na,x,\n",
        "input,label\na,x,,\n",
        'input, label\n"a", "x"\n',
        pd.DataFrame([{"input": "a", "label": "x"}]).to_csv(),
    ],
)
def test_csv_with_extras(text: str) -> None:
    assert [(row["input"], row["label"]) for row in from_csv(text)] == [("a", "x")]


def test_the_delimiter_is_that_of_the_header() -> None:
    rows = from_csv("question;answer\nWell, then?;1,5\nNo, no;2,5\n")
    assert rows[0] == {"question": "Well, then?", "answer": "1,5"}
    assert from_csv("input\tlabel\na, b, c\tx\n", "r.csv") == [{"input": "a, b, c", "label": "x"}]
    assert from_csv("input,label\na; b; c,x; y\n", "r.tsv") == [{"input": "a; b; c", "label": "x; y"}]
    assert from_csv("input\nhello\n") == [{"input": "hello"}]


def test_two_delimiters_that_fit_are_an_error_unless_one_is_declared() -> None:
    text, row = "a, in short;b\nx, y;1\nz, w;2\n", {"a, in short": "x, y", "b": "1"}
    with pytest.raises(DataError, match=r"r.csv:1"):
        from_csv(text)
    assert from_csv(f"sep=;\n{text}")[0] == from_csv(text.replace(";", "\t"), "r.tsv")[0] == row


def test_quotes_as_characters_between_tabs() -> None:
    rows = from_csv('input\tlabel\n"Go," he said.\tx\nb "c"\ty\n', "r.tsv")
    assert rows[0] == {"input": '"Go," he said.', "label": "x"}


def test_integers_beside_nulls_as_pandas_writes_them() -> None:
    table = pd.DataFrame({"input": ["a", "b", "c"], "label": [1, None, -20], "size": [0.5, 2.0, None]})
    cells = [(row["label"], row["size"]) for row in from_csv(table.to_csv(index=False))]
    assert cells == [("1", "0.5"), ("", "2"), ("-20", "")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("input,label\na,x\nb\n", 3),
        ("input,label\na,x\nb,y,z\n", 3),
        ('input,label\n"two\nlines",x\nb\n', 4),
        ("input,label,label\na,x,y\n", 1),
        ('input,label\n"a"b,x\n', 2),
        ('input,label\na,x\n"b,y\nc,z\n', 3),
        ("input,label\na,x\n" + "b" * 2_000 + ",y\n", 3),
        ('input,label\na,x\n"' + "b\n" * 1_000 + '",y\n', 3),
    ],
)
def test_bad_csv_names_its_line(text: str, line: int) -> None:
    with pytest.raises(DataError) as caught:
        from_csv(text, limit=1_000)
    assert str(caught.value).startswith(f"r.csv:{line}: ")


def test_the_process_keeps_its_own_limit_of_a_cell() -> None:
    before, text = csv.field_size_limit(), 'input,label\n"' + "a" * 200_000 + '",x\n'
    assert from_csv(text)[0]["input"] == "a" * 200_000
    with pytest.raises(DataError):
        from_csv(text, limit=1_000)
    assert csv.field_size_limit() == before


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=8).filter(
    lambda text: text.strip() and not text.startswith(("#", "/")) and not text.endswith(".0")
)


@hypothesis_settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=5), st.sampled_from(",;\t|"))
def test_csv_rows_come_back(table: list[tuple[str, str]], delimiter: str) -> None:
    expected = [{"input": a, "label": b} for a, b in table]
    assert from_csv(pd.DataFrame(expected).to_csv(index=False, sep=delimiter)) == expected


def test_compression_is_known_by_content(tmp_path: Path) -> None:
    table = [A, B]
    plain = f"{LINE_A}\n{LINE_B}\n".encode()
    stream, parquet = pa.BufferOutputStream(), pa.BufferOutputStream()
    with pa.CompressedOutputStream(stream, "zstd") as compressed:
        compressed.write(plain)
    zstd = stream.getvalue().to_pybytes()
    pq.write_table(pa.Table.from_pylist(table), parquet)
    for name, content in {
        "r.JSONL.GZ": gzip.compress(plain),
        "r.jsonl": gzip.compress(plain),
        "r.ndjson.zst": zstd,
        "r.json.gz": plain,
        "r.parquet.gz": gzip.compress(parquet.getvalue().to_pybytes()),
        "r.txt": plain,
        "r": plain,
        "r.csv.gz": gzip.compress(pd.DataFrame(table).to_csv(index=False).encode()),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert [row for _, row in read_table(tmp_path / name)] == table, name
    for name, content in {"a.jsonl.gz": gzip.compress(plain)[:-9], "a.jsonl.zst": zstd[:-9]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError, match=name):
            read_table(tmp_path / name)


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("utf-16", "1: .*UTF-16"),
        ("utf-16-le", "1: .*UTF-16"),
        ("utf-32", "1: .*UTF-32"),
        ("cp1252", "2: .*WINDOWS-1252"),
        ("latin-1", "2: .*ISO-8859-1"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, encoding: str, named: str) -> None:
    quoted = "\u201cx\u201d" if encoding == "cp1252" else "caf\u00e9"
    for name, text in {"r.csv": f"input,label\n{quoted},y\n", "r.jsonl": f'\n{{"input": "{quoted}"}}'}.items():
        (tmp_path / name).write_bytes(text.encode(encoding))
        with pytest.raises(DataError, match=f"{name}:{named}"):
            read_table(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("r.csv", b"", "r.csv: no rows"),
        ("r.csv", b"input,label\n", "r.csv: no rows"),
        ("r.jsonl", b'{"input": "a"}\n\0\0\0\0', "r.jsonl:2: NUL"),
        ("r.parquet", b"PAR1 nothing PAR1", "r.parquet: cannot be read as Parquet"),
        ("r.xlsx", b"x", "suffix '.xlsx'"),
        ("none.csv", None, "none.csv: no such file"),
        ("none.parquet", None, "none.parquet: no such file"),
        ("a\0b.csv", None, "cannot be read"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LimbeckError, match=says):
        read_table(tmp_path / name)


def test_a_long_row_is_refused_in_every_format(tmp_path: Path) -> None:
    table = [{"input": "a"}, {"input": "b" * 2_000}]
    frame = pd.DataFrame(table)
    frame.to_json(tmp_path / "r.jsonl", orient="records", lines=True)
    frame.to_json(tmp_path / "r.json", orient="records")
    frame.to_csv(tmp_path / "r.csv")
    frame.to_parquet(tmp_path / "r.parquet")
    for name, location in {"r.jsonl": ":2", "r.json": ": item 2", "r.csv": ":3", "r.parquet": ": row 2"}.items():
        with pytest.raises(DataError, match=f"{name}{location}: .*max_row_bytes"):
            read_table(tmp_path / name, 1_000)
        assert len(read_table(tmp_path / name, 3_000)) == 2
