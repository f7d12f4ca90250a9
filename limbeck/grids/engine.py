"""What attempts cells, some at a time: processes of this machine, or a Ray cluster."""

from typing import Protocol

from limbeck.grids.attempt import Job, Outcome


class Engine(Protocol):
    """Started jobs come back as outcomes, each once."""

    slots: int  # how many at a time

    def start(self, job: Job) -> None:
        """Begin an attempt; the caller keeps to `slots`.

        Raises:
            LimbeckError: no process can be had for it.
        """

    def ended(self, seconds: float) -> list[tuple[str, Outcome]]:
        """What has ended, by the name of the run; waits for the first so many seconds at most.

        Raises:
            LimbeckError: as `start`.
        """

    def close(self) -> None:
        """Stop whatever still runs; its checkpoints stay."""
