"""Case `annotation`: requests a second to a server that takes its time, and memory over many of them.

The server is `tests.helpers.servers` in a process of its own, and so is each side:
`python -m benchmarks.annotation ARGUMENT`.
The baseline is the openai client with a semaphore, which stores nothing.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.memory import in_fresh_process, resident_bytes
from benchmarks.rows import value_row, yes
from benchmarks.settings import Settings

LATENCY, CONCURRENCY = 0.2, 64  # seconds, requests in flight
LEAST, GROWTH = 120.0, 8.0  # requests a second; MiB of resident memory from a quarter of the requests to the last


def annotation(settings: Settings) -> Iterator[dict[str, Any]]:
    """Throughput beside the openai client's, and resident memory on the way."""
    requests, fewer = (200, 100) if settings.tiny else (20_000, 3_000)
    with _server() as url:
        naive = in_fresh_process("benchmarks.annotation", {"side": "openai", "requests": fewer, "url": url})
        ours = in_fresh_process("benchmarks.annotation", {"side": "limbeck", "requests": requests, "url": url})
    case = f"annotation: {requests} requests, {CONCURRENCY} at a time, {1000 * LATENCY:.0f} ms each"
    rate, other = ours["seconds"] / requests, naive["seconds"] / fewer
    yield value_row(
        case,
        "time a request",
        "ms",
        ("openai client, nothing stored", 1e3 * other),
        ("limbeck, every reply on the disk", 1e3 * rate),
        f"at least {LEAST:.0f} requests a second",
        yes(1 / rate >= LEAST),
        f"{1 / rate:.0f} requests a second against {1 / other:.0f}; at most {CONCURRENCY / LATENCY:.0f}",
    )
    early, late = ours["resident"]
    yield value_row(
        case,
        "resident memory",
        "MiB",
        ("limbeck, after a quarter", early),
        ("limbeck, at the end", late),
        f"grows by at most {GROWTH:.0f} MiB",
        yes(late - early <= GROWTH),
    )


@contextmanager
def _server() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.helpers.servers", str(LATENCY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.communicate()


def _limbeck(url: str, requests: int) -> dict[str, Any]:
    from limbeck.annotation.job import Job, annotate
    from limbeck.llm.runner import Tally

    resident: list[float] = []

    def watch(tally: Tally, _cost: float | None) -> None:
        if tally.stored in (requests // 4, requests):
            resident.append(resident_bytes() / 2**20)

    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        questions = [f"Luke has {i} pears and gets {i + 3} more. How many has he now?" for i in range(requests)]
        rows.write_text("".join(json.dumps({"input": question}) + "\n" for question in questions))
        job = {
            "rows": rows,
            "task": "svamp",
            "teacher": {"name": "m", "base_url": url},
            "limits": {"concurrency": CONCURRENCY},
            "store": Path(folder) / "annotations.sqlite",
        }
        begun = time.perf_counter()
        done = annotate(Job.parse(job, "benchmark"), watch)
        seconds = time.perf_counter() - begun
    assert done["stored"] == requests
    return {"seconds": seconds, "resident": resident}


async def _openai(url: str, requests: int) -> dict[str, Any]:
    import openai

    from limbeck.annotation.prompts import load_prompt
    from limbeck.schema import Example
    from limbeck.tasks import get

    prompt, places = load_prompt(get("svamp")), asyncio.Semaphore(CONCURRENCY)
    begun = time.perf_counter()
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

        async def one(number: int) -> None:
            messages: Any = prompt.messages(Example(str(number), (f"Luke has {number} pears.",), ""))
            async with places:
                await client.chat.completions.create(model="m", messages=messages, temperature=0, max_tokens=1024)

        await asyncio.gather(*(one(number) for number in range(requests)))
    return {"seconds": time.perf_counter() - begun}


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    url, requests = given["url"], given["requests"]
    print(json.dumps(_limbeck(url, requests) if given["side"] == "limbeck" else asyncio.run(_openai(url, requests))))
