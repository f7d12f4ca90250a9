"""A Ray cluster (docs.ray.io), the `[ray]` extra: connecting to one, or starting one on this machine."""

import logging
import os
import socket

from limbeck.errors import LimbeckError

OBJECT_STORE = 100 * 2**20  # bytes; what is sent about is small, and Ray would take a third of the memory


def connect() -> bool:
    """Make sure that Ray runs: the cluster that RAY_ADDRESS names, or one started here; whether this call did it.

    Raises:
        LimbeckError: no cluster answers at RAY_ADDRESS, or none starts.
    """
    import ray

    if ray.is_initialized():
        return False
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            _knock(address)
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or Ray would report to its makers
            ray.init(
                "local", log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False,
                object_store_memory=OBJECT_STORE,
            )  # fmt: skip
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = f"RAY_ADDRESS={address}: no Ray cluster answers there" if address else "Ray does not start here"
        raise LimbeckError(f"{where}: {last_line(error)}") from None
    return True


def _knock(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT: Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def last_line(error: Exception) -> str:
    """What an error of Ray's comes down to: it ends in it, after a traceback."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
