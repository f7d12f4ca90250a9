"""`limbeck push`: asked about, private, or into a folder."""

import pytest


@pytest.fixture
def uploads(monkeypatch):
    """The uploads to the Hub: name, whether private."""
    uploads = []

    def upload(files, name, kind, *, message, private, fresh):
        assert (kind, fresh, "model.safetensors" in files) == ("model", True, True)
        uploads.append((name, private))
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
def test_an_upload_is_listed_and_confirmed(*, words, typed, private, limbeck, run, uploads):
    code, out, _ = limbeck("push", run, "me/mine", *words.split(), stdin=typed)
    kind = "public" if "--public" in words else "private"
    assert ("model.safetensors" in out) == (f"to the Hub as me/mine ({kind})?" in out) == ("--yes" not in words)
    assert (code != 0) == (private is None)
    assert uploads == ([] if private is None else [("me/mine", private)])
    assert ("https://hub/me/mine" in out) == (private is not None)


def test_a_folder_needs_no_hub_and_no_confirmation(limbeck, run, uploads, tmp_path):
    code, out, err = limbeck("push", run, "--folder", "published", "--license", "mit")
    assert (code, err) == (0, "")
    assert out.startswith("published: README.md, config.json")
    assert "license: mit" in (tmp_path / "published" / "README.md").read_text()
    assert limbeck("push", run, "--folder", "published")[0] == 2
    assert not uploads
