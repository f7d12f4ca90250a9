"""The store as tasks use it: behind a thread of its own, so that the disk holds nobody up."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from limbeck.llm.store import Busy, Record, Store

log = logging.getLogger(__name__)

T = TypeVar("T")


class Journal:
    """A store in a thread. Records that come in while it writes go into its next transaction together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="limbeck-store")
        self._waiting: list[tuple[Record, asyncio.Future[None]]] = []
        self._unwritten: list[Record] = []  # being written
        self._refused: list[Record] = []  # that could not be
        self._writing: asyncio.Task[None] | None = None

    async def do(self, what: Callable[[Store], T]) -> T:
        """`what` of the store, in its thread; where another process holds the file, that is waited for."""
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, what, self._store)
            except Busy as busy:
                log.warning("%s; waiting for it", busy)

    async def put(self, record: Record) -> None:
        """Return once the record is on the disk. Raises LimbeckError where it cannot be written."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((record, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await written

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            self._unwritten = [record for record, _ in batch]
            error: Exception | None = None
            try:
                await self.do(partial(_put, self._unwritten))
            except Exception as raised:
                error = raised
                self._refused += self._unwritten
                self._unwritten = []
            for _, written in batch:
                if not written.cancelled():
                    written.set_result(None) if error is None else written.set_exception(error)

    def close(self) -> None:
        """Wait for the thread to end, and write what a second Ctrl-C or an error has left unwritten.

        Raises:
            LimbeckError: that cannot be written.
        """
        self._thread.shutdown()
        waiting = [record for record, _ in self._waiting]
        if left := self._refused + self._unwritten + waiting:
            _put(left, self._store)


def _put(records: list[Record], store: Store) -> None:
    """Write the records, and empty the list once they are written, in whichever thread that is."""
    store.put(records)
    records.clear()
