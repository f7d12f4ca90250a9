"""Copies of this process that run beside it: a new one would import torch for seconds."""

import os
import pty
import re
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver

import pytest

from limbeck import cli


class Forked:
    """`limbeck WORDS`, or another function, in a fork of this process with a terminal of its own."""

    def __init__(self, *words: str, run: Callable[[], object] = cli.main) -> None:
        self.output = b""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            code = 99
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
                sys.argv = ["limbeck", *words]
                sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
                forkserver._forkserver._forkserver_pid = None  # that of the process that was forked
                run()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)

    @classmethod
    def several(cls, count: int, *words: str, run: Callable[[], object] = cli.main) -> "list[Forked]":
        """Start the processes of one run, as a launcher would."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        names = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        processes = []
        with pytest.MonkeyPatch.context() as patch:
            for rank in range(count):
                for name, value in {**names, "RANK": rank, "LOCAL_RANK": rank}.items():
                    patch.setenv(name, str(value))
                processes.append(cls(*words, run=run))
        return processes

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Read its terminal until the condition holds. Raises AssertionError if it ends first, or in 5 minutes."""
        for _ in range(30000):
            if condition():
                return
            assert self._read(0.01), self.text
        raise AssertionError(self.text)

    def type(self, keys: bytes) -> None:
        os.write(self._terminal, keys)

    def kill(self) -> None:
        """Kill it, unless it was killed before."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def wait(self) -> int:
        """Read its terminal to the end, and return its exit code."""
        while self._read(300):  # a compiler says nothing for minutes
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    @property
    def text(self) -> str:
        """Its output so far, without the terminal's escape sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output.decode(errors="replace"))

    def _read(self, seconds: float) -> bool:
        """Read what there is, and return whether there may be more."""
        if not select.select([self._terminal], [], [], seconds)[0]:
            return seconds < 1
        with suppress(OSError):  # it has closed its end
            output = os.read(self._terminal, 4096)
            self.output += output
            return bool(output)
        return False
