"""`limbeck push`, asked about and private, and `limbeck export`."""

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


@pytest.mark.parametrize("words", ["", "--public", "--yes", "--yes --public"])
@pytest.mark.parametrize("typed", ["y\n", "n\n", "\n", ""])
def test_an_upload_is_listed_and_confirmed(*, words, typed, limbeck, run, uploads):
    code, out, _ = limbeck("push", run, "me/mine", *words.split(), stdin=typed)
    kind, sent = "public" if "--public" in words else "private", "--yes" in words or typed == "y\n"
    assert ("model.safetensors" in out) == (f"to the Hub as me/mine ({kind})?" in out) == ("--yes" not in words)
    assert uploads == ([("me/mine", kind == "private")] if sent else [])
    assert (code == 0) == ("https://hub/me/mine" in out) == sent


def test_an_export_needs_no_hub_and_no_confirmation(limbeck, run, uploads, tmp_path):
    code, out, err = limbeck("export", run, "--to", "hf", "--output", "exported", "--license", "mit")
    assert (code, out) == (0, "exported: 100.0% of 6 test answers are the run's\n"), err
    assert "license: mit" in (tmp_path / "exported" / "README.md").read_text()
    assert limbeck("export", run, "--to", "hf", "--output", "exported")[0] == 2
    assert not uploads
