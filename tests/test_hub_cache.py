"""Models in the Hub's cache where the Hub does not answer."""

from contextlib import nullcontext
from unittest.mock import Mock

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError

from limbeck.errors import EndpointError
from limbeck.hub import cached_revision, where_to_load

REVISION = "c0ffee" + "0" * 34


@pytest.mark.parametrize(("status", "answers"), [(None, False), (503, False), (404, True)])
def test_a_cached_model_is_loaded_where_the_hub_does_not_answer(status, answers, monkeypatch, tmp_path):
    response = httpx2.Response(status or 500, request=httpx2.Request("GET", "http://hub"))
    error = HfHubHTTPError("no", response=response) if status else httpx2.ConnectError("refused")
    for name, text in (("refs/main", REVISION), (f"snapshots/{REVISION}/config.json", "{}")):
        path = tmp_path / "models--me--tiny" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", Mock(side_effect=error))
    assert where_to_load(str(tmp_path)) == {}
    assert [cached_revision(name) for name in ("me/tiny", "me/other")] == [REVISION, None]
    assert where_to_load("me/tiny") == ({} if answers else {"local_files_only": True})
    with nullcontext() if answers else pytest.raises(EndpointError):  # a refusal is the loader's to report
        where_to_load("me/other")
