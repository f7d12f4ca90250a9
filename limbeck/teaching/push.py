"""Rows to the Hugging Face Hub, as a data set with a card."""

import json
from collections.abc import Iterable
from typing import Any

from limbeck.errors import LimbeckError

_HEADER = """\
---
configs:
- config_name: default
  data_files:
  - split: train
    path: train.jsonl
---

"""
_ADVICE = {
    401: "log in with `hf auth login`, or set HF_TOKEN to a token that may write",
    403: "the token may not write there; look at its permissions, and at the name's owner",
}


def push(rows: Iterable[dict[str, Any]], name: str, card: str, private: bool = True) -> str:
    """Upload `rows` as the data set `name` (OWNER/NAME) in one commit; returns its URL.

    `datasets.load_dataset(name)` finds them as the split train. `card` is the Markdown below the card's YAML header:
    where the rows come from. The header names no licence, which is the owner's to choose. `private` is how a new data
    set is made; one that is there stays as public as it is, and gets the rows as a further commit.

    Raises:
        LimbeckError: the name cannot be one, the Hub refuses, or it cannot be reached.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    files = {"train.jsonl": data, "README.md": f"{_HEADER}{card.strip()}\n"}
    operations = [huggingface_hub.CommitOperationAdd(path, text.encode()) for path, text in files.items()]
    try:
        api = huggingface_hub.HfApi()
        url = api.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
        api.create_commit(url.repo_id, operations, commit_message="Rows from limbeck", repo_type="dataset")
    except HFValidationError:
        expected = "OWNER/NAME of letters, digits, '-', '_' and '.' was expected"
        raise LimbeckError(f"{name!r:.200} is no name of a data set on the Hub: {expected}") from None
    except OfflineModeIsEnabled:
        raise LimbeckError(f"{name}: the Hub is switched off by HF_HUB_OFFLINE; unset it to upload") from None
    except HfHubHTTPError as error:
        raise LimbeckError(f"{name}: the Hub refused ({_refusal(error, huggingface_hub.get_token())})") from None
    except Exception as error:  # the errors of its HTTP client come as they are; their words may hold the token
        raise LimbeckError(
            f"{name}: the Hub cannot be reached, or is none ({type(error).__name__}); try again"
        ) from None
    return str(url)


def _refusal(error: Any, token: str | None) -> str:
    """The status and what the Hub says to it, without the token, should it say it back."""
    status = error.response.status_code
    said = "; ".join(filter(None, (_ADVICE.get(status), error.server_message))) or "it does not say why"
    return f"{status}: {said.replace(token, '***') if token else said:.300}"
