"""Run the benchmarks and write their table: `python -m benchmarks.run`, or `make bench`."""

import argparse
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks import machine
from benchmarks.annotation import annotation
from benchmarks.beyond_memory import beyond_memory
from benchmarks.confidence import confidence
from benchmarks.curve import curve
from benchmarks.data_path import data
from benchmarks.decoder import decoder, decoder_generation, decoder_rationales
from benchmarks.generation import generation
from benchmarks.head import head
from benchmarks.methods import methods
from benchmarks.rows import line, markdown
from benchmarks.serving import serving
from benchmarks.settings import Settings
from benchmarks.step import step
from limbeck.files import write_json, write_text

# A case gives rows as `benchmarks.rows` makes them. To add one, write it and give it a row here.
CASES: dict[str, Callable[[Settings], Iterable[dict[str, Any]]]] = {
    "head": head,
    "step": step,
    "methods": methods,
    "curve": curve,
    "data": data,
    "beyond-memory": beyond_memory,
    "generation": generation,
    "confidence": confidence,
    "annotation": annotation,
    "serving": serving,
    "decoder": decoder,
    "decoder-generation": decoder_generation,
    "decoder-rationales": decoder_rationales,
}
# left out where the released data is not there
REAL = ("data", "beyond-memory", "generation", "confidence", "serving")
REAL += ("decoder", "decoder-generation", "decoder-rationales")


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen cases; print every row as it comes, and write what is there.

    Returns 1 if a case failed; the other cases' rows are written all the same.
    """
    given = sys.argv[1:] if arguments is None else arguments
    chosen = _parser().parse_args(given)
    settings = Settings(chosen.device, chosen.root, chosen.repeats, chosen.tiny, chosen.rows, chosen.run)
    transformers.logging.set_verbosity_error()
    started = datetime.now(UTC)
    found = {
        "started": started.isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "benchmarks.run", *given]),
        **machine.describe(chosen.device),
        "rows": [],
    }
    name = f"{started:%Y-%m-%d-%H%M%S}-{_slug(found['device'])}"
    print(f"{found['device']}, {found['threads']} threads, torch {found['versions']['torch']}", flush=True)
    failed = []
    for case in chosen.only or CASES:
        if case in REAL and (chosen.tiny or not chosen.root.is_dir()):
            print(f"{case}: left out; it needs the released data, give --root", file=sys.stderr)
            continue
        try:
            for row in CASES[case](settings):
                found["rows"].append(row)
                print(line(row), flush=True)
                write_json(chosen.out / f"{name}.json", found)
                write_text(chosen.out / f"{name}.md", _page(found))
        except Exception:  # hours of other cases are not lost with it
            traceback.print_exc()
            failed.append(case)
        torch.set_num_threads(found["threads"])  # a case may have measured with one
    if found["rows"]:
        print(f"written: {chosen.out / name}.md and .json")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description="limbeck beside the naive way")
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="CASE", help=f"some of {', '.join(CASES)}")
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=default)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the tables")
    root = Path(os.environ.get("LIMBECK_DSS", Path(__file__).parents[2] / "shared" / "data" / "dss"))
    parser.add_argument("--root", type=Path, default=root, help="the released data: svamp, cqa, esnli")
    parser.add_argument("--repeats", type=int, default=20, help="times each side is timed")
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the file of the case beyond-memory")
    parser.add_argument(
        "--run", type=Path, help="a finished run of a decoder with a chat template, for the case serving"
    )
    parser.add_argument("--tiny", action="store_true", help="toy sizes: seconds, figures without meaning")
    return parser


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def _page(found: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {value}" for name, value in found["versions"].items())
    cuda = f", CUDA {found['cuda']}" if found["cuda"] else ""
    return f"""# {found["device"]}, {found["started"][:10]}

- Hardware: {found["device"]}; processor {found["cpu"]}, {found["cores"]} cores, {found["threads"]} threads for torch
- Versions: {versions}{cuda}; revision {found["revision"] or "not known"}
- Command: `{found["command"]}`, begun {found["started"]}

Times are medians with quartiles, of sides measured in turns in one process. A ratio is baseline over limbeck, above 1
limbeck is better, with the 95 % bootstrap interval of the ratio of medians; "within noise" says that the target lies in
that interval. A batch is examples, then the width of sources/labels/rationales in tokens.

{markdown(found["rows"])}"""


if __name__ == "__main__":
    sys.exit(main())
