"""Models in the Hub's cache where the Hub does not answer."""

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError

from limbeck.errors import EndpointError
from limbeck.hub import cached_revision, where_to_load

REVISION = "c0ffee" + "0" * 34


@pytest.fixture
def answers(monkeypatch, tmp_path):
    """A cache that holds me/tiny; `answers(error)` lets the Hub fail."""
    for name, text in (("refs/main", REVISION), (f"snapshots/{REVISION}/config.json", "{}")):
        path = tmp_path / "models--me--tiny" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)

    def answer(error: Exception) -> None:
        def model_info(*_, **__):
            raise error

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)

    return answer


def http_error(status: int) -> HfHubHTTPError:
    return HfHubHTTPError("no", response=httpx2.Response(status, request=httpx2.Request("GET", "http://hub")))


def test_a_cached_model_is_loaded_where_the_hub_does_not_answer(answers, tmp_path):
    for error in (httpx2.ConnectError("refused"), http_error(503)):
        answers(error)
        assert where_to_load("me/tiny") == {"local_files_only": True}
        with pytest.raises(EndpointError):
            where_to_load("me/other")
        assert where_to_load(str(tmp_path)) == {}
    assert [cached_revision(name) for name in ("me/tiny", "me/other")] == [REVISION, None]
    answers(http_error(404))  # a refusal is the loader's to report
    assert where_to_load("me/tiny") == {}
