"""The Hugging Face Hub: uploads in one commit, and models from its cache where it cannot be reached."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from limbeck.errors import EndpointError, LimbeckError, RecipeError, first_line

Kind = Literal["dataset", "model"]
Files = Mapping[str, bytes | Path]  # name on the Hub -> its content, or the local file that has it

log = logging.getLogger(__name__)

_TIMEOUT = 5.0  # seconds for the Hub to say whether it is there
_KIND_NAMES: dict[Kind, str] = {"dataset": "data set", "model": "model"}
_ADVICE = {
    401: "log in with `hf auth login`, or set HF_TOKEN to a token that may write",
    403: "the token may not write there; look at its permissions, and at the name's owner",
}
_HUB_FILES = {".gitattributes"}  # what the Hub itself puts into a new repository


def upload(files: Files, name: str, kind: Kind, *, message: str, private: bool = True, fresh: bool = False) -> str:
    """Upload `files` as `name` (OWNER/NAME) in one commit; return its URL.

    `private` holds for a new repository; an existing one stays as public as it is, and gets a further commit. With
    `fresh` an existing one is refused, unless it is empty (an upload broke off) and no more public.

    Raises:
        RecipeError: an impossible name.
        EndpointError: the Hub refuses, or it cannot be reached.
    """
    operations = [
        huggingface_hub.CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
        for path, content in files.items()
    ]
    with _hub_errors(name, kind):
        api = huggingface_hub.HfApi()
        url = api.create_repo(name, repo_type=kind, private=private, exist_ok=True)
        if fresh:
            info: Any = api.repo_info(url.repo_id, repo_type=kind)
            if {file.rfilename for file in info.siblings or ()} - _HUB_FILES:
                raise EndpointError(
                    f"{name}: a {_KIND_NAMES[kind]} of this name is on the Hub already; give another name"
                )
            if private and not info.private:
                raise EndpointError(f"{name}: is on the Hub already, and public; add --public, or give another name")
        api.create_commit(url.repo_id, operations, commit_message=message, repo_type=kind)
        return str(url)


def where_to_load(name: str) -> dict[str, bool]:
    """Return `local_files_only` for `from_pretrained`, where `name` is no folder and the Hub cannot be reached.

    The libraries themselves try again for minutes with each of a model's files before they look into the cache.

    Raises:
        EndpointError: the cache does not hold it either.
    """
    if huggingface_hub.constants.HF_HUB_OFFLINE or Path(name).exists() or not could_be_name(name):
        return {}
    try:
        huggingface_hub.HfApi().model_info(name, timeout=_TIMEOUT)
        return {}
    except HfHubHTTPError as error:
        if error.response.status_code < 500:  # it is there, and the loader will report what it refuses
            return {}
        reason = f"HTTP {error.response.status_code}"
    except Exception as error:  # its HTTP client's, or what answers is no Hub
        reason = type(error).__name__
    revision = cached_revision(name)
    if revision is None:
        raise EndpointError(
            f"{name}: the Hub cannot be reached ({reason}), and its cache does not hold this model; "
            "download it where there is a network, or give a folder"
        )
    log.warning("%s: the Hub cannot be reached (%s); revision %s is taken from its cache", name, reason, revision)
    return {"local_files_only": True}


def cached_revision(name: str) -> str | None:
    """Return the newest revision of a model in the Hub's cache; None: it holds none, or `name` is a folder."""
    if Path(name).exists() or not could_be_name(name):
        return None
    path = huggingface_hub.try_to_load_from_cache(name, "config.json")
    return Path(path).parent.name if isinstance(path, str) else None


def could_be_name(name: str) -> bool:
    """Return whether a repository on the Hub may have this name."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def invalid_name(name: str, kind: Kind) -> RecipeError:
    """Return the error for an impossible repository name."""
    expected = "OWNER/NAME of letters, digits, '-', '_' and '.' was expected"
    return RecipeError(f"{name!r:.200} is no name of a {_KIND_NAMES[kind]} on the Hub: {expected}")


@contextmanager
def _hub_errors(name: str, kind: Kind) -> Iterator[None]:
    try:
        yield
    except LimbeckError:
        raise
    except HFValidationError:
        raise invalid_name(name, kind) from None
    except OfflineModeIsEnabled:
        raise EndpointError(f"{name}: the Hub is switched off by HF_HUB_OFFLINE; unset it to upload") from None
    except HfHubHTTPError as error:
        status, token = error.response.status_code, huggingface_hub.get_token()
        reason = "; ".join(filter(None, (_ADVICE.get(status), error.server_message))) or "it does not say why"
        reason = reason.replace(token, "***") if token else reason  # should the Hub echo it
        raise EndpointError(f"{name}: the Hub refused ({status}: {reason:.300})") from None
    except Exception as error:  # its HTTP client's errors, whose text may hold the token
        if isinstance(error.__cause__, HfHubHTTPError):  # a card that the Hub finds fault with
            reason = str(error).partition("\n")[2].strip() or first_line(error)
            raise EndpointError(f"{name}: the Hub refused the card in README.md: {reason:.300}") from None
        raise EndpointError(
            f"{name}: the Hub cannot be reached, or is none ({type(error).__name__}); try again"
        ) from None
