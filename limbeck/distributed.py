"""One run in several processes, started by `torchrun` or `accelerate launch`, each with its share of the work.

The launcher's environment says which process this is. In a single process every function is the plain operation.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Literal, TypeVar

from limbeck.errors import LimbeckError, first_line

Item = TypeVar("Item")
Parallelism = Literal["DDP", "FSDP", "DeepSpeed"]
_MAIN_NOTE = "raised by the main process of the run"


def process_count() -> int:
    """Return the number of processes of the run."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def process_index() -> int:
    """Return this process's number, from 0."""
    return int(os.environ.get("RANK") or 0)


def is_main_process() -> bool:
    """Return True for the process that writes files and speaks to the user."""
    return process_index() == 0


def launcher_uses(name: Literal["FSDP", "DEEPSPEED"]) -> bool:
    """Return True where `accelerate launch` asks for FSDP or DeepSpeed."""
    return os.environ.get(f"ACCELERATE_USE_{name}", "").lower() == "true"


def on_main_process(action: Callable[[], Item]) -> Item:
    """Return the result of an action of the main process in all; raise its exception in all."""
    if process_count() == 1:
        return action()
    from accelerate.utils import broadcast_object_list

    outcome: list[Any] = [None, None]
    if is_main_process():
        try:
            outcome[0] = action()
        except Exception as error:
            outcome[1] = error
    result, failure = broadcast_object_list(outcome)
    if failure is not None:
        failure.add_note(_MAIN_NOTE)
        raise failure
    return result


def gather(items: Sequence[Item]) -> list[Item]:
    """Return the items of all processes, in the processes' order."""
    if process_count() == 1:
        return list(items)
    from accelerate.utils import gather_object

    return list(gather_object(list(items)))


def disconnect() -> None:
    """End the connection to the other processes, or torch would warn, or abort at the end of this one."""
    if process_count() > 1:
        from accelerate import PartialState

        PartialState().destroy_process_group()
        time.sleep(0.5)  # gloo's thread frees the last collective's tensors, which fails once Python ends


@contextmanager
def one_error() -> Iterator[None]:
    """Let the first process that fails raise its error; end the others silently, which often fail because of it.

    The main process raises the errors of `on_main_process`. Raises LimbeckError in place of a lost connection.
    """
    try:
        yield
    except Exception as error:
        if process_count() == 1:
            raise
        if _is_repeated(error) or not _fails_first():
            time.sleep(1)  # a launcher that sees an end ends the others, and the first has to say why
            os._exit(1)  # without waiting for the others
        if is_lost_connection(error):
            reason = f"no connection to another process of the run ({first_line(error)})"
            raise LimbeckError(f"{reason}; if that was stopped, --resume goes on from the last checkpoint") from error
        raise


def is_lost_connection(error: Exception) -> bool:
    """Return True for an error of gloo or NCCL, which torch has no class of its own for."""
    return isinstance(error, RuntimeError) and re.search("gloo|NCCL", str(error)) is not None


def _is_repeated(error: Exception) -> bool:
    """Return True for an error that the main process raises too; its store may end before others can ask it."""
    notes = [*getattr(error, "__notes__", ()), *getattr(error.__cause__, "__notes__", ())]
    return not is_main_process() and _MAIN_NOTE in notes


def _fails_first() -> bool:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    with suppress(RuntimeError, KeyError):  # the store may have ended with its process
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        wait = timedelta(seconds=5)
        store = TCPStore(host, port, is_master=False, timeout=wait, wait_for_workers=False)
        start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # the launcher's store outlives a restart
        return bool(store.add(f"limbeck/failures/{start}", 1) == 1)
    return True
