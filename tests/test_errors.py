"""Errors that say where a mistake is."""

from limbeck.errors import DataError, LimbeckError, unknown


def test_an_error_names_its_place_on_one_line():
    error = DataError("not\nJSON \udc80", path="rows.jsonl", line=3, field="label")
    assert isinstance(error, LimbeckError)
    assert str(error) == "rows.jsonl:3: label: not JSON \\udc80"
    assert (str(error.path), error.line, error.field) == ("rows.jsonl", 3, "label")
    assert str(DataError("gone", path="a")) == "a: gone"
    assert str(unknown("task", "svmap", ["svamp"])) == "unknown task 'svmap': did you mean 'svamp'? Known: svamp"
    assert str(unknown("task", "zzz", ["cqa"])) == "unknown task 'zzz'; Known: cqa"


def test_a_message_is_never_endless():
    error = LimbeckError("x" * 10_000 + "the end", path="rows.jsonl")
    assert len(str(error)) < 1300 and str(error).startswith("rows.jsonl: xxx") and str(error).endswith("the end")
