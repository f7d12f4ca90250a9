"""`limbeck push`: asked about, private, or into a folder."""

import io
import sys

import pytest

from limbeck.runs import Recipe, train
from tests.hub import CONSENT
from tests.runs.recipes import TINY


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return str(train(Recipe.parse(TINY, "test"), tmp_path_factory.mktemp("runs") / "dss").path)


@pytest.fixture
def uploads(monkeypatch):
    """What would have gone to the Hub: name, whether private, files."""
    pushed = []

    def upload(files, name, kind, message, private, fresh):
        assert (kind, fresh) == ("model", True)
        pushed.append((name, private, set(files)))
        return f"https://hub/{name}"

    monkeypatch.setattr("limbeck.runs.push.upload", upload)
    return pushed


@pytest.mark.parametrize(("words", "typed", "private"), CONSENT)
def test_an_upload_says_what_goes_where_and_is_asked_about(words, typed, private, limbeck, run, uploads, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    code, out, _ = limbeck("push", run, "me/mine", *words)
    asked = "--yes" not in words
    kind = "public" if "--public" in words else "private"
    assert (f"Upload these to the Hub as me/mine ({kind})?" in out) == asked
    assert ("bytes  model.safetensors" in out) == ("bytes  README.md" in out) == asked
    assert (code != 0) == (private is None)
    assert [one[:2] for one in uploads] == ([] if private is None else [("me/mine", private)])
    assert ("https://hub/me/mine" in out) == (private is not None)


def test_a_folder_needs_no_hub_and_no_word(limbeck, run, uploads, tmp_path):
    code, out, err = limbeck("push", run, "--folder", "given", "--license", "mit")
    assert (code, err) == (0, "")
    assert out.startswith("given: README.md, config.json")
    assert "license: mit" in (tmp_path / "given" / "README.md").read_text()
    assert not uploads
    before = {path: path.read_bytes() for path in (tmp_path / "given").iterdir()}
    code, out, err = limbeck("push", run, "--folder", "given")
    assert (code, out) == (2, "")
    assert err == "limbeck: error: given: already there; give another --folder\n"
    assert {path: path.read_bytes() for path in (tmp_path / "given").iterdir()} == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give either OWNER/NAME or --folder"),
        (["me/mine", "--folder", "x"], "give either OWNER/NAME or --folder"),
        (["--folder", "x", "--public"], "--public is about the model on the Hub"),
        (["mine", "--yes"], "is no name of a model on the Hub"),
        (["--folder", "."], "give a path with a name of its own"),
        (["me/mine", "--license", "My Own"], "an identifier of the Hub was expected"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_sent(words, says, limbeck, run, uploads, tmp_path):
    code, out, err = limbeck("push", run, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert not uploads
    assert not (tmp_path / "x").exists()
