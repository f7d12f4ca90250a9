"""The authors' `datasets.zip`, from a file or a URL, unpacked so that nothing lands outside its folder."""

import shutil
import stat
import tempfile
import urllib.request
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path

from limbeck.errors import DataError, EndpointError, FileError
from limbeck.files import sha256

MAX_DOWNLOAD = 2 * 1024**3  # bytes of the archive
MAX_UNPACKED = 8 * 1024**3  # bytes of all its files
MAX_FILES = 10_000
_TIMEOUT = 60  # seconds without a byte
_CHUNK = 1 << 20


def fetch(source: str, root: Path, digest: str | None = None) -> list[str]:
    """Unpack the archive at `source`, a local path or an http(s) URL, into `root`; return the folders it held.

    Only plain files are unpacked, without a leading `datasets/`. A file that is there already stays: the same content
    is skipped, other content is an error. Nothing is put in its place before all is unpacked.

    Raises:
        LimbeckError: the source cannot be had, is too large, has another SHA-256 than `digest`, is no zip, holds
            anything but plain files and folders, or would overwrite a file of other content.
    """
    # In a folder that exists, so that a failure leaves nothing behind; and on root's disk, so that moving is renaming.
    parent = next(folder for folder in root.absolute().parents if folder.is_dir())
    try:
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=parent) as scratch:
            archive = Path(source)
            if source.startswith(("http://", "https://")):
                archive = Path(scratch) / "archive.zip"
                _download(source, archive)
            if digest is not None and sha256(archive) != digest.strip().lower():
                actual = sha256(archive)
                raise DataError(f"its SHA-256 is {actual}, not {digest}; damaged, or another version", path=source)
            unpacked = Path(scratch) / "unpacked"
            with zipfile.ZipFile(archive) as zipped:
                names = _unpack(zipped, unpacked)
            _move(unpacked, root, names)
    except (OSError, HTTPException, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{source}: cannot be unpacked into {root} ({error})") from None
    return sorted({name.partition("/")[0] for name in names if "/" in name})


def _download(url: str, path: Path) -> None:
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as response, path.open("wb") as stream:  # noqa: S310
        expected = int(response.headers.get("Content-Length") or 0)
        size = 0
        while chunk := response.read(_CHUNK):
            size += len(chunk)
            if size > MAX_DOWNLOAD:
                raise EndpointError(f"{url}: larger than {MAX_DOWNLOAD} bytes, the most that is downloaded")
            stream.write(chunk)
    if size < expected:
        raise EndpointError(f"{url}: the connection ended after {size} of {expected} bytes; try again")


def _unpack(zipped: zipfile.ZipFile, folder: Path) -> list[str]:
    """Unpack into `folder` and return the names of the files in it. Raises ValueError: the content is no data."""
    infos = zipped.infolist()
    if len(infos) > MAX_FILES or sum(info.file_size for info in infos) > MAX_UNPACKED:
        raise ValueError(f"more than {MAX_FILES} files or {MAX_UNPACKED} bytes when unpacked")
    names: list[str] = []
    for info in infos:
        name = _safe_name(info)
        if info.is_dir() or name.startswith("__MACOSX/") or name.endswith(".DS_Store"):
            continue  # the latter two are in every archive made on a Mac
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # "x" refuses a name that stands twice; a member never gives more than the size it declares
        with zipped.open(info) as packed, path.open("xb") as stream:
            shutil.copyfileobj(packed, stream, _CHUNK)
        names.append(name)
    if not any("/" in name for name in names):
        raise ValueError("it holds no folder of a task")
    return names


def _safe_name(info: zipfile.ZipInfo) -> str:
    """Return the member's name below the root."""
    name = info.orig_filename  # as it stands in the archive: `filename` is cut at a null character
    folders = name.removesuffix("/").split("/")
    if (
        any(folder in ("", ".", "..") for folder in folders)
        or any(sign in name for sign in "\\:")
        or not name.isprintable()
    ):
        raise ValueError(f"it holds the unsafe name {name!r}")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name!r} is packed otherwise than by deflate")
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ValueError(f"{name!r} is a link or a device")
    return "/".join(folders[1:] if folders[0] == "datasets" and len(folders) > 1 else folders)


def _move(unpacked: Path, root: Path, names: list[str]) -> None:
    """Put the files in their places, once all are known to be free or to hold the same."""
    for name in names:
        target = root / name
        same = target.is_file() and sha256(target) == sha256(unpacked / name)
        if target.is_symlink() or (target.exists() and not same):
            raise FileError("is there already with other content; move it away, or choose another root", path=target)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (unpacked / name).replace(root / name)
