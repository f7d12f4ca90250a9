"""Rows of JSON, delimited text and Parquet as programs write them, and the errors that name a location."""

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from limbeck.data import read, tables
from limbeck.data.tables import csv_rows, json_rows, read_table
from limbeck.errors import DataError, LimbeckError
from tests.helpers.archives import file_settings

A, B = {"input": "a", "label": "x"}, {"input": "b]}", "label": "[{"}
LINE_A, LINE_B = json.dumps(A), json.dumps(B)


def rows_in(text: str, name: str = "r.json") -> list[dict[str, Any]]:
    return [row for _, row in (csv_rows if name == "r.csv" else json_rows)([text], Path(name))]


@pytest.mark.parametrize(
    "text",
    [
        f"{LINE_A}\r\n\r\n{LINE_B}",
        f"{LINE_A}{LINE_B}",
        f"[\n{LINE_A},\n{LINE_B},\n]\n",
        f"// by hand\n{LINE_A}\n# and again\n{LINE_B}",
        json.dumps({"version": "2.0", "data": [A, B]}, indent=1),
        json.dumps({"q7": A, "q3": B}),
    ],
)
def test_json_in_every_form(text: str) -> None:
    assert rows_in(text) == [A, B]


def test_locations_of_json_rows() -> None:
    text = f"\n{LINE_A}\n\n{json.dumps(B, indent=1)}\n{LINE_A}"
    assert [location for location, _ in json_rows([text], Path("r.jsonl"))] == ["r.jsonl:2", "r.jsonl:4", "r.jsonl:8"]
    assert list(json_rows([f"[{LINE_A}]"], Path("r.json"))) == [("r.json: item 1", A)]
    chat = {"messages": [A, B]}
    assert list(json_rows([json.dumps(chat)], Path("r.json"))) == [("r.json:1", chat)]


cells = st.text(
    st.sampled_from("ab\"',;|\t\n #\u00e9") | st.characters(codec="utf-8", exclude_characters="\0\r"),
    min_size=1,
    max_size=8,
).filter(str.strip)


@hypothesis_settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=5), st.sampled_from(",;\t|"), st.booleans())
def test_csv_rows_come_back(table: list[tuple[str, str]], delimiter: str, index: bool) -> None:
    expected = [{"input": a, "label": b} for a, b in table]
    assert rows_in(pd.DataFrame(expected).to_csv(index=index, sep=delimiter), "r.csv") == expected


@pytest.mark.parametrize(
    ("text", "location"),
    [
        (f'{LINE_A}\n{{"input": "x\n{LINE_B}', "r.jsonl:2"),
        (f"[{LINE_A},\n{LINE_B}\n", "r.jsonl:1"),
        (f"{LINE_A}\n3", "r.jsonl:2"),
        ('{"a": ' + "[" * 100_000, "r.jsonl:1"),
        ('{"a": ' + "9" * 5_000 + "}", "r.jsonl:1"),
        ("input,label\na,x\nb\n", "r.csv:3"),
        ('input,label\n"two\nlines",x\nb\n', "r.csv:4"),
        ("input,label,label\na,x,y\n", "r.csv:1"),
        ('input,label\n"a"b,x\n', "r.csv:2"),
        ('input,label\na,x\n"b,y\nc,z\n', "r.csv:3"),
        (f'{LINE_A}\n{{"input": "{"x" * 200}"}}', "r.jsonl:2: .*max_row_bytes"),
        ('input,label\n"' + "never closed,x\n" * 20, "r.csv:2: .*max_row_bytes"),
        (f"input,label\n{'x' * 60},{'y' * 60}\n", "r.csv:2: .*max_row_bytes"),
    ],
)
def test_rows_that_are_bad_or_too_long_name_their_line(tmp_path: Path, text: str, location: str) -> None:
    path = tmp_path / location.partition(":")[0]
    path.write_text(text)
    limits = {"max_row_bytes": 100} if "max_row_bytes" in location else {}
    with pytest.raises(DataError, match=f"{location}: " if not limits else location):
        read(file_settings({"train_file": path, **limits}))


@hypothesis_settings(max_examples=100, deadline=None)
@given(st.data())
def test_rows_in_pieces_are_those_of_the_whole_text(data: st.DataObject) -> None:
    name, text = data.draw(
        st.sampled_from(
            [
                ("r.jsonl", f"\n{LINE_A}\n\n// by hand\n{json.dumps(B, indent=1)}\n{LINE_A},\n{LINE_B}{LINE_A}\n\n"),
                ("r.json", f"[\n{LINE_A},\n{LINE_B},\n]\n"),
                ("r.json", json.dumps({"version": "2.0", "data": [A, B]}, indent=1)),
                ("r.csv", 'input;label\n\n"two\n\nlines";x\r\nb;"y\r\n"\n'),
            ]
        )
    )
    read = csv_rows if name == "r.csv" else json_rows
    pieces, start = [], 0
    for end in [i + 1 for i, character in enumerate(text) if character == "\n" and data.draw(st.booleans())]:
        pieces, start = [*pieces, text[start:end]], end
    assert list(read([*pieces, text[start:]], Path(name))) == list(read([text], Path(name)))


def test_a_bad_row_is_found_without_reading_on(tmp_path: Path) -> None:
    def pieces() -> Iterator[str]:
        yield f'{LINE_A}\n{{"input": nothing}}\n'
        yield from (LINE_A for _ in range(3))
        raise AssertionError("all was read")

    with pytest.raises(DataError, match=r"r\.jsonl:2"):
        list(json_rows(pieces(), Path("r.jsonl")))


def test_files_larger_than_a_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"input": f"caf\u00e9 {i}", "label": "\U0001f600" * (i % 7)} for i in range(99)]
    monkeypatch.setattr(tables, "_PIECE", 50)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    for name, content in {
        "r.jsonl": text.encode("utf-8-sig"),
        "r.jsonl.gz": gzip.compress(text.encode()),
        "r.jsonl.zst": pa.compress(text.encode(), codec="zstd", asbytes=True),
        "r.csv": pd.DataFrame(rows).to_csv(index=False).encode(),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert read_table(tmp_path / name)[-1] == (f"{tmp_path / name}:{99 + name.endswith('csv')}", rows[-1])
        assert [row for _, row in read_table(tmp_path / name)] == rows
    (tmp_path / "r.jsonl").write_bytes(text.encode() + b'{"input": "\xe9"}\n')
    with pytest.raises(DataError, match=r"r\.jsonl:100: not UTF-8"):
        read_table(tmp_path / "r.jsonl")
    table = pa.Table.from_pylist(rows)
    with pq.ParquetWriter(tmp_path / "r.parquet", table.schema) as writer:
        for start in (0, 40):
            writer.write_table(table[start : start + 40 + 19 * (start > 0)])
    assert [row for _, row in read_table(tmp_path / "r.parquet")] == rows
    assert read_table(tmp_path / "r.parquet")[-1][0].endswith("row 99")


def test_files_by_suffix_and_compression(tmp_path: Path) -> None:
    plain = f"{LINE_A}\n{LINE_B}\n".encode()
    parquet = io.BytesIO()
    pd.DataFrame([A, B]).to_parquet(parquet)
    for name, content in {
        "r.JSONL.GZ": gzip.compress(plain),
        "r.json.gz": plain,
        "r.jsonl.zst": pa.compress(plain, codec="zstd", asbytes=True),
        "r.parquet": parquet.getvalue(),
        "r.txt": plain,
        "r": plain,
        "r.csv.gz": gzip.compress(pd.DataFrame([A, B]).to_csv(index=False).encode()),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert [row for _, row in read_table(tmp_path / name)] == [A, B], name


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("r.csv", b"input,label\n", "r.csv: no rows"),
        ("r.csv", "input,label\ncaf\u00e9,y\n".encode("latin-1"), "r.csv:2: not UTF-8"),
        ("r.jsonl", b'{"input": "a"}\n\0\0\0\0', "r.jsonl:2: not JSON"),
        ("r.jsonl.gz", gzip.compress(LINE_A.encode(), mtime=0)[:-9], "r.jsonl.gz"),
        ("r.parquet", b"PAR1 nothing PAR1", "r.parquet.*cannot be read"),
        ("none.csv", None, "none.csv: no such file"),
        ("a\0b.csv", None, "cannot be read"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LimbeckError, match=reason):
        read_table(tmp_path / name)
