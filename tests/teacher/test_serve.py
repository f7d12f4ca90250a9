"""A real OpenAI-compatible server, `transformers serve`, in front of a small model on disk."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.chat_models import scripted_model, serving

REPLY = "He scored 84 points in 2 rounds, so that each had 84 / 2 = 42 points. The answer is ( 84.0 / 2.0 )."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scripted_model(tmp_path_factory.mktemp("serve") / "teacher", REPLY)


@pytest.fixture(scope="module")
def base_url(model: Path) -> Iterator[str]:
    for package in ("fastapi", "uvicorn", "openai"):
        pytest.importorskip(package, reason="transformers[serving] is not installed")
    with serving(model) as url:
        yield url


def test_the_server_answers(base_url, model):
    body = {
        "model": str(model),
        "messages": [{"role": "user", "content": "How many points a round?"}],
        "max_tokens": 64,
    }
    reply = httpx2.post(f"{base_url}/chat/completions", json=body, timeout=60).json()
    assert reply["choices"][0]["message"]["content"] == REPLY
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert reply["usage"]["completion_tokens"] < 64
    body["max_tokens"] = 4
    assert httpx2.post(f"{base_url}/chat/completions", json=body).json()["choices"][0]["finish_reason"] == "length"
