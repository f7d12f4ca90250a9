"""The command line in a folder of its own, and a run that tests share."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from limbeck import cli
from limbeck.runs import train
from tests.runs.recipes import tiny


@pytest.fixture
def limbeck(monkeypatch, capfd, tmp_path) -> Callable[..., tuple[int, str, str]]:
    """`limbeck(*words, stdin=TEXT)`: exit code, standard output and standard error of a command."""
    monkeypatch.chdir(tmp_path)
    standard_input = os.dup(0)

    def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["limbeck", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with TemporaryFile() as file:
            file.write(stdin.encode())
            file.seek(0)
            os.dup2(file.fileno(), 0)
            with pytest.raises(SystemExit) as end:
                sys.exit(cli.main())
        return int(end.value.code or 0), *capfd.readouterr()

    yield run
    os.dup2(standard_input, 0)
    os.close(standard_input)


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """A finished run, which no test changes."""
    return train(tiny(), tmp_path_factory.mktemp("runs") / "dss").path
