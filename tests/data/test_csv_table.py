"""Rows in delimited text, whichever program wrote it."""

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.csv_table import csv_rows
from limbeck.errors import LimbeckError

TABLE = [{"input": 'Is it, "so"; or\nnot?', "label": "x"}, {"input": "b | c\td", "label": "y"}]


def rows(text: str, name: str = "r.csv", limit: int = 10**6) -> list[dict[str, str]]:
    return [row for _, row in csv_rows(text, Path(name), limit)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_delimiter_and_line_end(delimiter: str, end: str) -> None:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, ["input", "label"], delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(TABLE)
    for name in ("r.csv", "r.tsv", "r.txt"):
        assert rows(stream.getvalue(), name) == TABLE


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
        ",input,label\n0,a,x\n",
        pd.DataFrame([{"input": "a", "label": "x"}]).to_csv(),
    ],
)
def test_what_programs_add(text: str) -> None:
    assert [(row["input"], row["label"]) for row in rows(text)] == [("a", "x")]


def test_the_delimiter_is_the_headers() -> None:
    assert rows("question;answer\nWell, then?;1,5\nNo, no;2,5\n")[0] == {"question": "Well, then?", "answer": "1,5"}
    assert rows("input\tlabel\na, b, c\tx\n", "r.csv") == [{"input": "a, b, c", "label": "x"}]
    assert rows("input,label\na; b; c,x; y\n", "r.tsv") == [{"input": "a; b; c", "label": "x; y"}]
    assert rows("input\nhello\n") == [{"input": "hello"}]


def test_quotes_in_cells_between_tabs() -> None:
    assert rows('input\tlabel\n"Go," he said.\tx\nb "c"\ty\n', "r.tsv")[0] == {"input": '"Go," he said.', "label": "x"}


def test_integers_beside_nulls_as_pandas_writes_them() -> None:
    table = pd.DataFrame({"input": ["a", "b", "c"], "label": [1, None, -20], "size": [0.5, 2.0, None]})
    assert [(row["label"], row["size"]) for row in rows(table.to_csv(index=False))] == [
        ("1", "0.5"),
        ("", "2"),
        ("-20", ""),
    ]


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
def test_what_is_refused_names_its_line(text: str, line: int) -> None:
    with pytest.raises(LimbeckError) as caught:
        rows(text, limit=1_000)
    assert str(caught.value).startswith(f"r.csv:{line}: ")


def test_the_processs_own_limit_of_a_cell_stays_as_it_was() -> None:
    before = csv.field_size_limit()
    assert rows('input,label\n"' + "a" * 200_000 + '",x\n')[0]["input"] == "a" * 200_000
    with pytest.raises(LimbeckError):
        rows('input,label\n"' + "a" * 200_000 + '",x\n', limit=1_000)
    assert csv.field_size_limit() == before


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=8).filter(
    lambda text: text.strip() and not text.startswith(("#", "/")) and not text.endswith(".0")
)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=5), st.sampled_from(",;\t|"))
def test_rows_come_back(table: list[tuple[str, str]], delimiter: str) -> None:
    expected = [{"input": a, "label": b} for a, b in table]
    text = pd.DataFrame(expected).to_csv(index=False, sep=delimiter)
    assert rows(text) == expected


def test_a_delimiter_is_not_guessed_where_two_part_all_rows() -> None:
    text, row = "a, in short;b\nx, y;1\nz, w;2\n", {"a, in short": "x, y", "b": "1"}
    with pytest.raises(LimbeckError, match=r"r.csv:1"):
        csv_rows(text, Path("r.csv"), 1000)
    assert csv_rows(f"sep=;\n{text}", Path("r.csv"), 1000)[0][1] == row
    assert csv_rows(text.replace(";", "\t"), Path("r.tsv"), 1000)[0][1] == row
