"""The teacher's raw outputs as the authors released them: shards of a JSON list each, matched to rows by position."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from limbeck.errors import LimbeckError
from limbeck.files import read_json
from limbeck.llm import parse
from limbeck.schema import Example
from limbeck.tasks import Task


def with_outputs(examples: Sequence[Example], task: Task, folder: Path, split: str, inputs: str) -> list[Example]:
    """The examples with what the teacher said to each, read from `folder/{split}_CoT_{number}.json` in order.

    Raises:
        LimbeckError: no shard, a gap in their numbers, a shard that is no list of texts, or more or fewer outputs than
            there are rows in `inputs` (the name of the file that the examples are from).
    """
    shards = _shards(folder, split)
    outputs = [output for shard in shards for output in _read(shard)]
    if len(outputs) != len(examples):
        raise LimbeckError(
            f"{inputs} has {len(examples)} rows, but {folder} has {len(outputs)} outputs of the teacher "
            f"({shards[0].name} to {shards[-1].name}): they belong together by position, so make the counts equal"
        )
    parsed = [parse(output, task, example) for output, example in zip(outputs, examples, strict=True)]
    return [
        replace(example, rationale=part.rationale, teacher_label=part.label)
        for example, part in zip(examples, parsed, strict=True)
    ]


def listing(folder: Path) -> set[str]:
    """The names in a folder; none where it is missing or cannot be read."""
    try:
        return {path.name for path in folder.iterdir()}
    except (OSError, ValueError):  # ValueError: a null character in the name
        return set()


def _shards(folder: Path, split: str) -> list[Path]:
    """The split's shards by number, not as text: 10 comes after 9."""
    pattern = re.compile(rf"{split}_CoT_(0|[1-9][0-9]{{0,5}})\.json")
    numbers = sorted(int(match[1]) for match in map(pattern.fullmatch, listing(folder)) if match)
    if not numbers:
        raise LimbeckError(f"{folder}: no outputs of the teacher; looked for {split}_CoT_0.json and on")
    missing = set(range(numbers[-1])) - set(numbers)
    if missing:
        raise LimbeckError(f"{folder}: {split}_CoT_{min(missing)}.json is missing, but {numbers[-1]} is there")
    return [folder / f"{split}_CoT_{number}.json" for number in numbers]


def _read(shard: Path) -> list[str]:
    values = read_json(shard)
    if not isinstance(values, list):
        raise LimbeckError(f"{shard}: a JSON list of texts was expected, not {type(values).__name__}")
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise LimbeckError(f"{shard}: text was expected as item {index} of the list, not {value!r:.40}")
    return values
