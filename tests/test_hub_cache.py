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
    """A cache that holds me/tiny, and `answers(error)`: how the Hub answers when it is asked for a model."""
    cache = tmp_path / "models--me--tiny"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(REVISION)
    (cache / "snapshots" / REVISION).mkdir(parents=True)
    (cache / "snapshots" / REVISION / "config.json").write_text("{}")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)

    def answer(error: Exception) -> None:
        def model_info(*_, **__):
            raise error

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)

    return answer


def http_error(status: int) -> HfHubHTTPError:
    return HfHubHTTPError("no", response=httpx2.Response(status, request=httpx2.Request("GET", "http://hub")))


@pytest.mark.parametrize("error", [httpx2.ConnectError("refused"), http_error(503)])
def test_a_cached_model_is_loaded_where_the_hub_does_not_answer(error, answers, tmp_path):
    answers(error)
    assert where_to_load("me/tiny") == {"local_files_only": True}
    assert cached_revision("me/tiny") == REVISION
    with pytest.raises(EndpointError):
        where_to_load("me/other")
    assert cached_revision("me/other") is None
    assert where_to_load(str(tmp_path)) == {}


def test_a_refusal_of_the_hub_is_the_loaders_to_report(answers):
    answers(http_error(404))
    assert where_to_load("me/tiny") == {}
