"""Files are replaced whole, and what cannot be read is one line."""

from pathlib import Path

import pytest

from limbeck.errors import LimbeckError
from limbeck.files import read_json, read_jsonl, read_text, write_json, write_jsonl, write_text


def test_what_was_written_reads_back_and_leaves_no_other_file(tmp_path):
    write_json(tmp_path / "a" / "x.json", {"ü": [1, None]})
    write_jsonl(tmp_path / "a" / "y.jsonl", [{"n": 1}, {"n": "two\n"}])
    assert read_json(tmp_path / "a" / "x.json") == {"ü": [1, None]}
    assert read_jsonl(tmp_path / "a" / "y.jsonl") == [(1, {"n": 1}), (2, {"n": "two\n"})]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["x.json", "y.jsonl"]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "x.jsonl"
    write_jsonl(path, [{"n": 1}])

    def rows():
        yield {"n": 2}
        raise RuntimeError("the row after was never made")

    with pytest.raises(RuntimeError):
        write_jsonl(path, rows())
    with pytest.raises(TypeError):
        write_json(path, object())
    assert read_jsonl(path) == [(1, {"n": 1})]
    assert [inner.name for inner in tmp_path.iterdir()] == ["x.jsonl"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ":1: not JSON"),
        ('{"a": 1}\n\n[2]', ":3: a JSON object was expected"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", ":1: a number is too long"),
    ],
)
def test_lines_that_are_no_json_objects(text, words, tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(LimbeckError, match=words):
        read_jsonl(path)


@pytest.mark.parametrize("name", ["none", "null\0", "lone\ud800", "x" * 5000])
def test_paths_that_cannot_be_read_are_one_printable_line(name):
    with pytest.raises(LimbeckError) as caught:
        read_text(Path(name))
    str(caught.value).encode()


@pytest.mark.parametrize("name", [".", "..", "inner/..", "/"])
def test_a_place_without_a_name_of_its_own_is_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LimbeckError, match="give a path with a name of its own"):
        write_text(Path(name), "new")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_of_a_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(LimbeckError, match="cannot be written"):
        write_text(tmp_path / "file" / "inner" / "text", "new")
