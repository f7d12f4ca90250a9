"""What tests of several floors share."""

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

# Two workers on two cores: a thread each, also for the processes that tests start. Nothing may reach for the network.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import pytest
from huggingface_hub import constants


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-reference", action="store_true", help="Write the files of tests/invariant anew.")


LONG = ("test_docs", "test_trainer", "test_smollm2", "test_generation", "test_app", "test_evaluation", "test_training")
LONG += ("test_server", "test_cascade", "test_export", "test_fuzz")
LONG += ("test_annotate", "test_decoders", "test_scheduler", "test_publication", "test_sections")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, so that all workers end at about the same time."""
    items.sort(key=lambda item: item.path.stem not in LONG and item.path.parent.name != "invariant")


def pytest_collection_finish() -> None:
    """Leave what was imported out of all garbage collections: every training ends with one, of 0.3 s otherwise."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Hear SIGINT also in a shell's background, where it is ignored and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the cache, at first not there, that the test has for itself."""
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    return tmp_path / "assets"


@pytest.fixture(scope="session")
def dss() -> Path:
    """The released data: LIMBECK_DSS, or `../shared/data/dss` from the project's root."""
    beside = Path(__file__).parents[1].parent / "shared" / "data" / "dss"
    path = Path(os.environ.get("LIMBECK_DSS") or beside)
    if not path.is_dir():
        pytest.skip(f"the released data are not at {path}; set LIMBECK_DSS to where they are")
    return path


@pytest.fixture(scope="module")  # while playwright is open, no other test of this process can run an event loop
def chromium():
    """The machine's Chromium: $LIMBECK_CHROMIUM, one on the path, or /usr/bin/chromium."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = os.environ.get("LIMBECK_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    if not Path(path).is_file():
        pytest.skip(f"no Chromium at {path}: install it, or set LIMBECK_CHROMIUM to where it is")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
