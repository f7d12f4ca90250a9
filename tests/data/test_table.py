"""A user's own files: JSON lines, CSV and Parquet, read alike, and errors that name file, line and field."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from limbeck.data import DataSettings, load, read, read_rows
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import get

ROWS: list[dict[str, Any]] = [
    {
        "id": "a",
        "input": 'Is it, "so"?\nReally?',
        "label": "yes",
        "rationale": "Because.",
        "teacher_label": "no",
        "choices": ["yes", "no"],
    },
    {"id": "b", "input": "And?", "label": "no", "rationale": None, "teacher_label": None, "choices": ["yes", "no"]},
]
EXAMPLES = [
    Example("a", ('Is it, "so"?\nReally?',), "yes", "Because.", "no", ("yes", "no"), own_choices=True),
    Example("b", ("And?",), "no", None, None, ("yes", "no"), own_choices=True),
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        cells = [{k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows]
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(cells)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet", ".CSV"])
def test_the_three_formats_read_alike(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"rows{suffix.lower()}", ROWS).rename(tmp_path / f"rows{suffix}")
    assert read_rows(path) == EXAMPLES


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_columns_are_renamed_and_unknown_ones_ignored(tmp_path: Path, suffix: str) -> None:
    rows = [{"question": "Why?", "gold": "so", "why": "Because.", "label": "not this", "x": "1"}]
    examples = read_rows(
        write(tmp_path / f"r{suffix}", rows), {"input": "question", "label": "gold", "rationale": "why"}
    )
    assert examples == [Example("r-0", ("Why?",), "so", "Because.")]


def test_a_renamed_column_is_never_taken_from_its_old_name(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [{"input": "x", "gold": "y"}, {"input": "x", "label": "z"}])
    with pytest.raises(LimbeckError, match=r"r.jsonl:2: field 'label': missing"):
        read_rows(path, {"label": "gold"})


def test_segments_numbers_and_blanks(tmp_path: Path) -> None:
    rows = [
        {"input": ["first", "second"], "label": 3, "rationale": "  ", "teacher_label": 3.5},
        {"input": "x", "label": 0, "id": 7},
    ]
    assert read_rows(write(tmp_path / "r.jsonl", rows)) == [
        Example("r-0", ("first", "second"), "3", None, "3.5"),
        Example("7", ("x",), "0"),
    ]


def test_the_fields_of_a_task(tmp_path: Path) -> None:
    rows = [{"premise": "p", "hypothesis": "h", "label": 1, "rationale": "why"}]
    (example,) = read_rows(write(tmp_path / "r.jsonl", rows), task=get("esnli"))
    assert (example.segments, example.label, example.rationale) == (("p", "h"), "neutral", "why")
    rows = [{"question": "q", "choices": ["a", "b"], "answer": "b"}]
    for suffix in (".jsonl", ".csv", ".parquet"):
        (example,) = read_rows(write(tmp_path / f"r{suffix}", rows), task=get("cqa"))
        assert (example.label, example.choices, example.input) == ("b", ("a", "b"), "q\nAnswer Choices:\n(a) a\n(b) b")


def test_unlabelled_rows(tmp_path: Path) -> None:
    rows = [{"input": "x"}, {"input": "y", "label": None}, {"input": "z", "label": "known"}]
    path = write(tmp_path / "r.jsonl", rows)
    assert [row.label for row in read_rows(path, labelled=False)] == ["", "", "known"]
    with pytest.raises(LimbeckError, match=r"r.jsonl:1: field 'label': missing"):
        read_rows(path)
    path = write(tmp_path / "n.jsonl", [{"premise": "p", "hypothesis": "h"}])
    assert read_rows(path, labelled=False, task=get("anli1"))[0].label == ""


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (['{"input": "x", "label": "y"}', '{"label": "y"}'], "r.jsonl:2: field 'input': missing"),
        (["", '{"input": "x"}'], "r.jsonl: field 'label': missing"),
        (["", '{"input": "x", "label": null}'], "r.jsonl:2: field 'label': missing"),
        (['{"input": " ", "label": "y"}'], "r.jsonl:1: field 'input': it is blank"),
        (['{"input": "x", "label": " "}'], "r.jsonl:1: field 'label'"),
        (['{"input": "x", "label": Infinity}'], "r.jsonl:1: field 'label'"),
        (['{"input": "x", "label": [["y"]]}'], "r.jsonl:1: field 'label'"),
        (['{"input": "x", "label": {"y": 1}}'], "r.jsonl:1: field 'label'"),
        (['{"input": 3, "label": "y"}'], "r.jsonl:1: field 'input'"),
        (['{"input": [], "label": "y"}'], "r.jsonl:1: field 'input'"),
        (['{"input": ["x", 3], "label": "y"}'], "r.jsonl:1: field 'input'"),
        (['{"input": "x", "label": "y", "rationale": 3}'], "r.jsonl:1: field 'rationale'"),
        (['{"input": "x", "label": "y", "choices": "y"}'], "r.jsonl:1: field 'choices'"),
        (['{"input": "x", "label": "y", "choices": ["a", "b"]}'], "r.jsonl:1: field 'label': 'y' is none of the"),
        (['{"input": "x\\ud800", "label": "y"}'], "r.jsonl:1: field 'input': not valid Unicode"),
        (
            ['{"input": "x", "label": "y", "id": 1}', '{"input": "x", "label": "y", "id": "1"}'],
            "r.jsonl:2: .*r.jsonl:1",
        ),
        (['{"input": "x", "label": "y"', ""], "r.jsonl:1: not JSON"),
        (["[[]]"], "r.jsonl: item 1: a JSON object"),
        (["3"], "r.jsonl:1: a JSON object"),
        ([], "r.jsonl: no rows"),
    ],
)
def test_bad_rows(tmp_path: Path, lines: list[str], says: str) -> None:
    (tmp_path / "r.jsonl").write_text("\n".join(lines))
    with pytest.raises(LimbeckError, match=says):
        read_rows(tmp_path / "r.jsonl")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("input,label\nx,y\nz\n", r"r.csv:3: 1 cells, but the header has 2"),
        ('input,label\n"two\nlines",y\nx,\n', r"r.csv:4: field 'label'"),
        ("input,label,input\nx,y,z\n", r"r.csv:1: a column name stands twice"),
        ('input,label\n"x"y,z\n', r"r.csv:2: not CSV"),
        ("input,label,choices\nx,y,nope\n", r"r.csv:2: field 'choices'"),
        ("", r"r.csv: no rows"),
        ("input,label\n", r"r.csv: no rows"),
        ('input,label\nx,y\n"z,y\nu,v\n', r"r.csv:3: not CSV"),
    ],
)
def test_bad_csv(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "r.csv").write_text(content)
    with pytest.raises(LimbeckError, match=says):
        read_rows(tmp_path / "r.csv")


def test_bad_parquet_and_other_files(tmp_path: Path) -> None:
    write(tmp_path / "r.parquet", [{"input": "x", "label": "y"}, {"input": "", "label": "y"}])
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing PAR1")
    (tmp_path / "latin.jsonl").write_bytes(b'{"input": "\xe9"}')
    for name, says in {
        "r.parquet": "r.parquet: row 2: field 'input'",
        "bad.parquet": "bad.parquet: cannot be read as Parquet",
        "none.parquet": "none.parquet: no such file",
        "none.csv": "none.csv: no such file",
        "r.xlsx": "suffix '.xlsx'",
        "latin.jsonl": "latin.jsonl:1: not UTF-8 text, but ISO-8859-1",
    }.items():
        with pytest.raises(LimbeckError, match=says):
            read_rows(tmp_path / name)


def test_a_mistyped_column(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [{"input": "x", "label": "y"}])
    with pytest.raises(LimbeckError, match="no column 'why', named for 'rationale'"):
        read_rows(path, {"rationale": "why"})


def test_an_error_in_a_renamed_column_says_which(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [{"input": "x", "gold": "y"}, {"input": "x", "gold": ""}])
    with pytest.raises(LimbeckError, match=r"r.jsonl:2: field 'label'.*'label' is the column 'gold'"):
        read_rows(path, {"label": "gold"})


def test_packed_files_are_known_by_their_content(tmp_path: Path) -> None:
    plain = write(tmp_path / "rows.jsonl", ROWS).read_bytes()
    stream = pa.BufferOutputStream()
    with pa.CompressedOutputStream(stream, "zstd") as packed:
        packed.write(plain)
    zstd = stream.getvalue().to_pybytes()
    parquet = gzip.compress(write(tmp_path / "p.parquet", ROWS).read_bytes())
    for name, content in {
        "r.jsonl.gz": gzip.compress(plain),
        "r.JSONL.GZ": gzip.compress(plain),
        "r.jsonl": gzip.compress(plain),
        "r.ndjson.zst": zstd,
        "r.json.gz": plain,
        "r.parquet.gz": parquet,
        "r.txt": plain,
        "r": plain,
    }.items():
        (tmp_path / name).write_bytes(content)
        assert read_rows(tmp_path / name) == EXAMPLES, name
    for name, content in {"a.jsonl.gz": gzip.compress(plain)[:-9], "a.jsonl.zst": zstd[:-9]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LimbeckError, match=name):
            read_rows(tmp_path / name)
    (tmp_path / "r.csv.gz").write_bytes(gzip.compress(b"input,label\nx,y\n"))
    assert read_rows(tmp_path / "r.csv.gz") == [Example("r-0", ("x",), "y")]


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("utf-16", "1: .*UTF-16"),
        ("utf-16-le", "1: .*UTF-16"),
        ("utf-16-be", "1: .*UTF-16"),
        ("utf-32", "1: .*UTF-32"),
        ("cp1252", "2: .*WINDOWS-1252"),
        ("latin-1", "2: .*ISO-8859-1"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, encoding: str, named: str) -> None:
    quoted = "\u201cx\u201d" if encoding == "cp1252" else "caf\u00e9"
    texts = {"r.csv": f"input,label\n{quoted},y\n", "r.jsonl": f'\n{{"input": "{quoted}", "label": "y"}}'}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.encode(encoding))
        with pytest.raises(LimbeckError, match=f"{name}:{named}"):
            read_rows(tmp_path / name)
    (tmp_path / "r.csv").write_text(texts["r.csv"], encoding="utf-8-sig")
    assert read_rows(tmp_path / "r.csv")[0].input == quoted


def test_nul(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"input": "a\\u0000b", "label": "\\u0000y"}\n')
    assert read_rows(tmp_path / "r.jsonl") == [Example("r-0", ("ab",), "y")]
    (tmp_path / "r.jsonl").write_bytes(b'{"input": "a", "label": "y"}\n\0\0\0\0')
    with pytest.raises(LimbeckError, match=r"r.jsonl:2: NUL"):
        read_rows(tmp_path / "r.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("r.jsonl", b'{"input": "a", "label": "y"}\n{"input": "%b", "label": "y"}\n', ":2"),
        ("r.json", b'[{"input": "a", "label": "y"},\n{"input": "%b", "label": "y"}]\n', ": item 2"),
        ("r.csv", b'input,label\na,y\n"%b",y\n', ":3"),
        ("r.tsv", b"input\tlabel\na\ty\n%b\ty\n", ":3"),
    ],
)
def test_a_row_of_fifty_megabytes_is_refused(tmp_path: Path, name: str, content: bytes, line: str) -> None:
    for pad in (b"x" * 50_000_000, b"x" * 2_000):
        (tmp_path / name).write_bytes(content % pad)
        with pytest.raises(LimbeckError, match=f"{name}{line}: .*max_row_bytes"):
            read_rows(tmp_path / name, max_row_bytes=len(pad) // 2)
    assert len(read_rows(tmp_path / name, max_row_bytes=3_000)) == 2


def test_the_limit_of_a_row_is_a_setting_and_parquet_has_it_too(tmp_path: Path) -> None:
    path = write(tmp_path / "r.parquet", [{"input": "x", "label": "y"}, {"input": "x" * 2_000, "label": "y"}])
    with pytest.raises(LimbeckError, match=r"r.parquet: row 2: .*max_row_bytes"):
        read_rows(path, max_row_bytes=1_000)
    settings = DataSettings.parse(
        {"task": "custom", "source": {"kind": "files", "train_file": str(path), "max_row_bytes": 1_000}}, "x"
    )
    with pytest.raises(LimbeckError, match=r"r.parquet: row 2"):
        read(settings)


def source(folder: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "files", "train_file": str(folder / "train.jsonl"), "test_file": str(folder / "test.csv"), **more}


def test_a_source_of_files(tmp_path: Path) -> None:
    rows = [{"input": f"q{i}", "label": "yes"} for i in range(20)]
    write(tmp_path / "train.jsonl", rows)
    write(tmp_path / "test.csv", rows[:5])
    splits = load(DataSettings.parse({"task": "custom", "source": source(tmp_path), "choices": ["yes", "no"]}, "x"))
    assert (len(splits.train), len(splits.valid), len(splits.test)) == (18, 2, 5)
    assert splits.train[0].choices == ("yes", "no")
    assert splits.notes["rows_without_rationale"] == 18
    assert splits.notes["test_in_train"] + splits.notes["test_in_valid"] == 5
    write(tmp_path / "valid.parquet", rows[:3])
    with_valid = source(tmp_path, valid=str(tmp_path / "valid.parquet"))
    splits = load(DataSettings.parse({"task": "custom", "source": with_valid}, "x"))
    assert (len(splits.train), len(splits.valid)) == (20, 3)


def test_a_label_outside_the_settings_choices(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [{"input": "q", "label": "maybe"}])
    settings = DataSettings.parse({"task": "custom", "source": source(tmp_path), "choices": ["yes", "no"]}, "x")
    write(tmp_path / "test.csv", [{"input": "q", "label": "yes"}])
    with pytest.raises(LimbeckError, match=r"train.jsonl:1: field 'label': 'maybe'"):
        read(settings)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(["input", "label", "rationale", "id", "teacher_label", "choices", "premise", "hypothesis"])
objects = st.dictionaries(fields | st.text(max_size=3), json_values, max_size=6).map(json.dumps)


@hypothesis_settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(objects | st.text(max_size=20), max_size=3), st.booleans(), st.sampled_from(["custom", "anli1", "cqa"]))
def test_any_file_gives_examples_or_one_clear_line(tmp_path: Path, lines: list[str], labelled: bool, task: str) -> None:
    path = tmp_path / "fuzz.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    try:
        examples = read_rows(path, labelled=labelled, task=get(task))
    except LimbeckError as error:
        assert str(error).startswith(f"{path}:")
        str(error).encode()
    else:
        assert all(row.segments and all(segment.strip() for segment in row.segments) for row in examples)
        assert not labelled or all(row.label.strip() for row in examples)
        assert all(row.rationale is None or row.rationale.strip() for row in examples)
