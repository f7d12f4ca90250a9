"""The command line in a folder of its own, and the reference files."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.invariant.package import Reference


@pytest.fixture
def reference(request: pytest.FixtureRequest) -> Callable[[str], Reference]:
    """Return `reference(name)`, the file reference/NAME.json."""
    folder = Path(__file__).parent / "reference"
    update = request.config.getoption("--update-reference")
    return lambda name: Reference(folder / f"{name}.json", update=update)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Enter a new folder for the tests of one file."""
    path = tmp_path_factory.mktemp("invariant")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.setenv("OPENAI_API_KEY", "sk-0123456789")
        torch.set_num_threads(1)  # so as to add in the same order everywhere
        yield path
