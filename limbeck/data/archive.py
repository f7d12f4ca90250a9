"""The authors' released data: input files beside a folder of the teacher's raw outputs in shards."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import model_validator

from limbeck.data.rows import located, not_a_choice
from limbeck.errors import DataError
from limbeck.files import read_json, read_jsonl
from limbeck.llm import parse
from limbeck.schema import Example
from limbeck.settings import Settings
from limbeck.tasks import Split, Task


class ArchiveSource(Settings):
    """`root/{task}/{task}_{split}.json`, with the teacher's outputs in `root/{task}/llm/{split}_CoT_{number}.json`.

    `splits` maps roles to the archive's splits, `{train: valid, test: test}` where it has no train; by default each
    split plays its own role.
    """

    kind: Literal["archive"] = "archive"
    root: Path
    splits: dict[Split, Split] | None = None

    @model_validator(mode="after")
    def _check_splits(self) -> Self:
        splits = list((self.splits or {}).values())
        for split in splits:
            if splits.count(split) > 1:
                raise ValueError(f"splits: {split!r} has two roles, so that a student would be measured on what it saw")
        return self

    def read(self, task: Task) -> dict[str, list[Example]]:
        """Return the splits whose input files exist, by role.

        Raises:
            LimbeckError: a file is missing or damaged, or outputs and rows differ in number; names the files.
        """
        folder = self.root / task.name
        paths = {split: folder / f"{task.name}_{split}.json" for split in get_args(Split)}
        present = {split for split, path in paths.items() if path.name in file_names(folder)}
        if not present:
            names = ", ".join(path.name for path in paths.values())
            raise DataError(f"no input files; looked for {names}", path=folder)
        splits: dict[str, list[Example]] = {}
        for role, split in (self.splits or {split: split for split in paths if split in present}).items():
            if split not in present:
                raise DataError(f"no such file, and it is to be the source's {role!r}", path=paths[split])
            rows = read_inputs(paths[split], split, task)
            splits[role] = add_outputs(rows, task, folder / "llm", split=split, inputs=str(paths[split]))
        return splits


def read_inputs(path: Path, split: str, task: Task) -> list[Example]:
    """Return the rows of an input file, without the teacher's outputs.

    Raises LimbeckError: the file is missing, or a row is wrong; names file, line and field.
    """
    examples = []
    for index, (line, row) in enumerate(read_jsonl(path)):
        with located(f"{path}:{line}"):
            example = task.read(row, f"{split}-{index}")
            example = example if example.choices else replace(example, choices=task.choices)
            if not example.label:
                raise DataError("missing, and without a label the row cannot be used", field=task.label_field)
            if example.choices and example.label not in example.choices:
                raise not_a_choice(task.label_field, example.label, example.choices)
        examples.append(example)
    return examples


def add_outputs(examples: Sequence[Example], task: Task, folder: Path, *, split: str, inputs: str) -> list[Example]:
    """Return the examples with the teacher's outputs, read in order from `folder/{split}_CoT_{number}.json`.

    Raises:
        DataError: a shard is missing or no list of texts, or there are more or fewer outputs than rows in `inputs`, the
            name of the examples' file.
    """
    outputs = [output for shard in _shards(folder, split) for output in _read_shard(shard)]
    if len(outputs) != len(examples):
        raise DataError(
            f"{inputs} has {len(examples)} rows, but {folder} has {len(outputs)} outputs of the teacher to its {split} "
            "split: they belong together by position, so make the counts equal"
        )
    replies = (parse(output, task, example) for output, example in zip(outputs, examples, strict=True))
    return [
        replace(example, rationale=reply.rationale, teacher_label=reply.label)
        for example, reply in zip(examples, replies, strict=True)
    ]


def file_names(folder: Path) -> set[str]:
    """Return the names in a folder; none where it cannot be read."""
    try:
        return {path.name for path in folder.iterdir()}
    except (OSError, ValueError):  # ValueError: a null character in the name
        return set()


def _shards(folder: Path, split: str) -> list[Path]:
    """Return the split's shards in the order of their numbers: 10 comes after 9."""
    pattern = re.compile(rf"{split}_CoT_(0|[1-9][0-9]{{0,5}})\.json")
    numbers = sorted(int(match[1]) for match in map(pattern.fullmatch, file_names(folder)) if match)
    if not numbers:
        raise DataError(f"no outputs of the teacher; looked for {split}_CoT_0.json and on", path=folder)
    if gaps := set(range(numbers[-1])) - set(numbers):
        raise DataError(f"{split}_CoT_{min(gaps)}.json is missing, but {numbers[-1]} is there", path=folder)
    return [folder / f"{split}_CoT_{number}.json" for number in numbers]


def _read_shard(path: Path) -> list[str]:
    outputs = read_json(path)
    if not isinstance(outputs, list) or not all(isinstance(output, str) for output in outputs):
        raise DataError("a JSON list of texts was expected", path=path)
    return outputs
