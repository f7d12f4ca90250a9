"""`limbeck push`: asked about, private, or into a folder."""

import io
import sys

import pytest


@pytest.fixture
def uploads(monkeypatch):
    """The uploads to the Hub: name, whether private, files."""
    uploads = []

    def upload(files, name, kind, *, message, private, fresh):
        assert (kind, fresh) == ("model", True)
        uploads.append((name, private, set(files)))
        return f"https://hub/{name}"

    monkeypatch.setattr("limbeck.hub.upload", upload)
    return uploads


# options, what is typed when it asks, and whether what goes there is private; None: nothing does
CONSENT = [
    ("", "y\n", True),
    ("--public", "y\n", False),
    ("", "n\n", None),
    ("", "\n", None),
    ("", "", None),
    ("--yes", "", True),
    ("--yes --public", "", False),
]


@pytest.mark.parametrize(("words", "typed", "private"), CONSENT)
def test_an_upload_is_listed_and_confirmed(*, words, typed, private, limbeck, run, uploads, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    code, out, _ = limbeck("push", run, "me/mine", *words.split())
    confirmed = "--yes" not in words
    kind = "public" if "--public" in words else "private"
    assert ("model.safetensors" in out) == (f"to the Hub as me/mine ({kind})?" in out) == confirmed
    assert (code != 0) == (private is None)
    assert [upload[:2] for upload in uploads] == ([] if private is None else [("me/mine", private)])
    assert ("https://hub/me/mine" in out) == (private is not None)


def test_a_folder_needs_no_hub_and_no_confirmation(limbeck, run, uploads, tmp_path):
    code, out, err = limbeck("push", run, "--folder", "published", "--license", "mit")
    assert (code, err) == (0, "")
    assert out.startswith("published: README.md, config.json")
    assert "license: mit" in (tmp_path / "published" / "README.md").read_text()
    assert not uploads
    before = {path: path.read_bytes() for path in (tmp_path / "published").iterdir()}
    code, out, err = limbeck("push", run, "--folder", "published")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert {path: path.read_bytes() for path in (tmp_path / "published").iterdir()} == before


MISTAKES = ["", "me/mine --folder x", "--folder x --public", "--folder .", "me/mine --license My-Own", "a/b/c", "../x"]


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_sent(*, words, limbeck, run, uploads, tmp_path):
    code, out, err = limbeck("push", run, *words.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert not uploads
    assert not (tmp_path / "x").exists()
