"""The Hugging Face Hub: uploads in one commit, and models from its cache where it cannot be reached."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from limbeck.errors import LimbeckError, first_line

Kind = Literal["dataset", "model"]
Files = Mapping[str, bytes | Path]  # name there -> its content, or the file here that has it

log = logging.getLogger(__name__)

_SECONDS = 5.0  # that the Hub has to say whether it is there
_CALLED: dict[Kind, str] = {"dataset": "data set", "model": "model"}
_ADVICE = {
    401: "log in with `hf auth login`, or set HF_TOKEN to a token that may write",
    403: "the token may not write there; look at its permissions, and at the name's owner",
}
_OF_ITS_OWN = {".gitattributes"}  # what the Hub itself puts into a new repository


def upload(files: Files, name: str, kind: Kind, message: str, private: bool = True, fresh: bool = False) -> str:
    """Upload `files` as `name` (OWNER/NAME) in one commit, `message` its words; returns its URL.

    `private` is how a new one is made; one that is there stays as public as it is, and gets the files as a further
    commit. If `fresh`, one that is there is refused, unless it is empty (an upload broke off) and no more public.

    Raises:
        LimbeckError: the name cannot be one, the Hub refuses, or it cannot be reached.
    """
    operations = [
        huggingface_hub.CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
        for path, content in files.items()
    ]
    with _in_one_line(name, kind):
        api = huggingface_hub.HfApi()
        url = api.create_repo(name, repo_type=kind, private=private, exist_ok=True)
        if fresh:
            _check_fresh(api.repo_info(url.repo_id, repo_type=kind), name, kind, private)
        api.create_commit(url.repo_id, operations, commit_message=message, repo_type=kind)
        return str(url)


def where_to_load(name: str) -> dict[str, bool]:
    """Return `local_files_only` for `from_pretrained`, where `name` is no folder and the Hub cannot be reached.

    Left alone, the libraries try again for minutes with each of a model's files before they look into the cache.

    Raises:
        LimbeckError: the cache does not hold it either.
    """
    if huggingface_hub.constants.HF_HUB_OFFLINE or Path(name).exists() or not could_be_name(name):
        return {}
    try:
        huggingface_hub.HfApi().model_info(name, timeout=_SECONDS)
    except HfHubHTTPError as error:
        if error.response.status_code < 500:  # it is there, and what it refuses the loader will say
            return {}
        reason = f"HTTP {error.response.status_code}"
    except Exception as error:  # its HTTP client's, or what answers is no Hub
        reason = type(error).__name__
    else:
        return {}
    revision = cached_revision(name)
    if revision is None:
        raise LimbeckError(
            f"{name}: the Hub cannot be reached ({reason}), and its cache does not hold this model; "
            "download it where there is a network, or give a folder"
        )
    log.warning("%s: the Hub cannot be reached (%s); revision %s is taken from its cache", name, reason, revision)
    return {"local_files_only": True}


def cached_revision(name: str) -> str | None:
    """Return the revision of a model that the Hub's cache holds as the newest; None: it holds none, or is a folder."""
    if Path(name).exists() or not could_be_name(name):
        return None
    path = huggingface_hub.try_to_load_from_cache(name, "config.json")
    return Path(path).parent.name if isinstance(path, str) else None


def could_be_name(name: str) -> bool:
    """Whether a repository on the Hub may have this name."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def no_name(name: str, kind: Kind) -> LimbeckError:
    """The error for what can be no repository's name."""
    expected = "OWNER/NAME of letters, digits, '-', '_' and '.' was expected"
    return LimbeckError(f"{name!r:.200} is no name of a {_CALLED[kind]} on the Hub: {expected}")


def _check_fresh(found: Any, name: str, kind: Kind, private: bool) -> None:
    if {file.rfilename for file in found.siblings or ()} - _OF_ITS_OWN:
        raise LimbeckError(f"{name}: a {_CALLED[kind]} of this name is on the Hub already; give another name")
    if private and not found.private:
        raise LimbeckError(f"{name}: is on the Hub already, and public; say --public, or give another name")


@contextmanager
def _in_one_line(name: str, kind: Kind) -> Iterator[None]:
    try:
        yield
    except LimbeckError:
        raise
    except HFValidationError:
        raise no_name(name, kind) from None
    except OfflineModeIsEnabled:
        raise LimbeckError(f"{name}: the Hub is switched off by HF_HUB_OFFLINE; unset it to upload") from None
    except HfHubHTTPError as error:
        raise LimbeckError(f"{name}: the Hub refused ({_refusal(error, huggingface_hub.get_token())})") from None
    except Exception as error:  # the errors of its HTTP client come as they are; their words may hold the token
        if isinstance(error.__cause__, HfHubHTTPError):  # a card that the Hub finds fault with
            said = str(error).partition("\n")[2].strip() or first_line(error)
            raise LimbeckError(f"{name}: the Hub refused the card in README.md: {said:.300}") from None
        raise LimbeckError(
            f"{name}: the Hub cannot be reached, or is none ({type(error).__name__}); try again"
        ) from None


def _refusal(error: HfHubHTTPError, token: str | None) -> str:
    """The status and what the Hub says to it, without the token, should it say it back."""
    status = error.response.status_code
    said = "; ".join(filter(None, (_ADVICE.get(status), error.server_message))) or "it does not say why"
    return f"{status}: {said.replace(token, '***') if token else said:.300}"
