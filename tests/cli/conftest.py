"""The command line as a stranger meets it, in a folder of its own, and a run that tests share."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from limbeck import cli
from limbeck.runs import train
from tests.runs.recipes import tiny


@pytest.fixture
def limbeck(monkeypatch, capsys, tmp_path) -> Callable[..., tuple[int, str, str]]:
    """`limbeck(*words)`: exit code, standard output and standard error of `limbeck WORDS`."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["limbeck", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """The folder of a finished run, which no test changes."""
    return train(tiny(), tmp_path_factory.mktemp("runs") / "dss").path
