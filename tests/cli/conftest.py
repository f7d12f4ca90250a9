"""The command line as a stranger meets it, in a folder of its own."""

import sys
from collections.abc import Callable

import pytest

from limbeck import cli


@pytest.fixture
def limbeck(monkeypatch, capsys, tmp_path) -> Callable[..., tuple[int, str, str]]:
    """`limbeck(*words)`: exit code, standard output and standard error of `limbeck WORDS`."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["limbeck", *words])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run
