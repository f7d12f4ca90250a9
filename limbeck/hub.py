"""The Hugging Face Hub: uploads, and its cache while it is out of reach."""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from limbeck.errors import EndpointError, LimbeckError

Kind = Literal["dataset", "model"]
Files = Mapping[str, bytes | Path]  # name on the Hub -> content, or its file

log = logging.getLogger(__name__)

_TIMEOUT = 5.0  # seconds for the Hub to answer
_HUB_FILES = {".gitattributes"}  # the Hub's own in a new repository


def upload(files: Files, name: str, kind: Kind, *, message: str, private: bool = True, fresh: bool = False) -> str:
    """Upload `files` as `name` (OWNER/NAME) in one commit; return its URL. Raises EndpointError.

    `private` holds for a new repository; `fresh` refuses one with files, or one that is public against `private`.
    """
    api = huggingface_hub.HfApi()
    operations = [huggingface_hub.CommitOperationAdd(path, file) for path, file in files.items()]
    try:
        url = api.create_repo(name, repo_type=kind, private=private, exist_ok=True)
        info: Any = api.repo_info(url.repo_id, repo_type=kind) if fresh else None
        if fresh and ({file.rfilename for file in info.siblings or ()} - _HUB_FILES or (private and not info.private)):
            raise EndpointError(f"{name}: this {kind} exists already; give another name")
        api.create_commit(url.repo_id, operations, commit_message=message, repo_type=kind)
    except LimbeckError:
        raise
    except Exception as error:  # the HTTP client's may hold the token
        text = str(getattr(error, "server_message", None) or error).replace(huggingface_hub.get_token() or "\0", "***")
        status = getattr(getattr(error, "response", None), "status_code", None)
        advice = "; log in with `hf auth login`, or set HF_TOKEN" if status in (401, 403) else ""
        reason = f"{status or type(error).__name__}: {text:.300}"
        raise EndpointError(f"{name:.200}: the Hub refused, or cannot be reached ({reason}){advice}") from None
    return str(url)


def where_to_load(name: str, revision: str | None = None) -> dict[str, bool]:
    """Return `local_files_only` for `from_pretrained` if the Hub is silent. Raises EndpointError if not cached."""
    if constants.HF_HUB_OFFLINE or not may_be_on_hub(name):
        return {}
    try:
        huggingface_hub.HfApi().model_info(name, timeout=_TIMEOUT)  # which loaders ask for minutes
        return {}
    except Exception as error:  # of the HTTP client, or what answers is no Hub
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is not None and status < 500:  # the loader will report what it refuses
            return {}
        reason = status or type(error).__name__
    if (revision := cached_revision(name, revision)) is None:
        raise EndpointError(f"{name}: the Hub cannot be reached ({reason}), nor is it cached; give a folder")
    log.warning("%s: the Hub cannot be reached (%s); using the cached revision %s", name, reason, revision)
    return {"local_files_only": True}


def is_decoder(name: str | None) -> bool:
    """Return True if the model, a folder or on the Hub, is known to be decoder-only."""
    if name is None:
        return False
    try:
        config = json.loads(_file(name, "config.json").read_bytes())
    except Exception:  # loading it will say what is wrong
        with suppress(Exception):
            return _file(name, "adapter_config.json").is_file()
        return False
    architectures = str(config.get("architectures"))
    multimodal = "ForConditionalGeneration" in architectures and "text_config" in config
    causal = multimodal or "ForCausalLM" in architectures or "LMHeadModel" in architectures
    return causal and not config.get("is_encoder_decoder")


def _file(name: str, file: str) -> Path:
    if may_be_on_hub(name):
        return Path(huggingface_hub.hf_hub_download(name, file, etag_timeout=_TIMEOUT))
    return Path(name) / file


def cached_revision(name: str, revision: str | None = None) -> str | None:
    """Return the cached revision of a model or an adapter, by default the newest, if any."""
    for file in ("config.json", "adapter_config.json") if may_be_on_hub(name) else ():
        path = huggingface_hub.try_to_load_from_cache(name, file, revision=revision)
        if isinstance(path, str):
            return Path(path).parent.name
    return None


def may_be_on_hub(name: str) -> bool:
    """Return whether `name` is no path here, and a repository on the Hub may have it."""
    return could_be_name(name) and not Path(name).exists()


def could_be_name(name: str) -> bool:
    with suppress(HFValidationError):
        validate_repo_id(name)
        return True
    return False
