"""One run in several processes, started by `torchrun` or `accelerate launch`, each with its share of the work.

The launcher's environment says which process this is. In a single process every function is the plain operation.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

from limbeck.errors import LimbeckError

Item = TypeVar("Item")
_FAILURES = "limbeck/failures"  # a counter in the launcher's store


def process_count() -> int:
    """Return the number of processes of the run."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def process_index() -> int:
    """Return this process's number, from 0."""
    return int(os.environ.get("RANK") or 0)


def is_main_process() -> bool:
    """Return True for the process that writes files and speaks to the user."""
    return process_index() == 0


def on_main_process(action: Callable[[], Item]) -> Item:
    """Return the result of an action of the main process in all; raise its exception in all."""
    if process_count() == 1:
        return action()
    from accelerate.utils import broadcast_object_list  # type: ignore[import-untyped]

    outcome: list[Any] = [None, None]
    if is_main_process():
        try:
            outcome[0] = action()
        except Exception as error:
            outcome[1] = error
    result, error = broadcast_object_list(outcome)
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def gather(items: Sequence[Item]) -> list[Item]:
    """Return the items of all processes, in the processes' order."""
    if process_count() == 1:
        return list(items)
    from accelerate.utils import gather_object

    return list(gather_object(list(items)))


@contextmanager
def one_error() -> Iterator[None]:
    """Let the error of the first process that fails pass, and end the others, which fail for lack of it, silently.

    Raises LimbeckError in place of a lost connection.
    """
    try:
        yield
    except Exception as error:
        if process_count() == 1:
            raise
        if not _fails_first():
            os._exit(1)  # without waiting for the others
        if isinstance(error, RuntimeError) and re.search("gloo|NCCL", str(error)):
            reason = "another process of the run has ended; --resume goes on from the last checkpoint"
            raise LimbeckError(reason) from error
        raise


def _fails_first() -> bool:
    from torch.distributed import TCPStore

    with suppress(RuntimeError, KeyError):  # the store may have ended with its process
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        wait = timedelta(seconds=5)
        store = TCPStore(host, port, is_master=False, timeout=wait, wait_for_workers=False)
        return bool(store.add(_FAILURES, 1) == 1)
    return True
