"""A process that attempts cells: jobs come in as lines of JSON, outcomes go out; it ends when no more can come."""

import json
import os
import queue
import sys
import threading
from dataclasses import asdict

from limbeck.grids.attempt import Job, attempt
from limbeck.grids.local import READY


def main() -> None:
    """Attempt what comes, one after the other."""
    with os.fdopen(os.dup(1), "w", buffering=1) as channel:
        os.dup2(2, 1)  # whatever else prints
        jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(jobs,), daemon=True).start()
        print(json.dumps(READY), file=channel)
        spent = False
        while not spent:
            outcome = attempt(jobs.get())
            print(json.dumps(asdict(outcome)), file=channel)
            spent = outcome.spent
    os._exit(0)  # the thread that reads cannot be woken


def _read(jobs: queue.SimpleQueue[Job]) -> None:
    for line in sys.stdin:
        jobs.put(Job(**json.loads(line)))
    os._exit(0)  # whoever gave the jobs has ended, perhaps by SIGKILL: nobody would hear of this one


if __name__ == "__main__":
    main()
