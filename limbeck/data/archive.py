"""The layout of the authors' released data: input files beside a folder of the teacher's raw outputs in shards."""

from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from limbeck.data.asdiv import read_asdiv
from limbeck.data.outputs import listing, with_outputs
from limbeck.data.rows import example_of
from limbeck.errors import LimbeckError
from limbeck.files import read_jsonl
from limbeck.schema import Example
from limbeck.settings import Settings
from limbeck.tasks import Split, Task


class ArchiveSource(Settings):
    """`root/{task}/{task}_{split}.json`, with the teacher's outputs in `root/{task}/llm/{split}_CoT_{number}.json`.

    `augment: [asdiv]` adds ASDiv's problems, from `root/asdiv`, to SVAMP's training rows. `splits` says which of the
    archive's splits plays which role, `{train: valid, test: test}` where there is no train; without it each plays its
    own, and with it a role that is not named is not there.
    """

    kind: Literal["archive"] = "archive"
    root: Path
    augment: list[Literal["asdiv"]] = Field(default_factory=list)
    splits: dict[Split, Split] | None = None

    @model_validator(mode="after")
    def _once(self) -> Self:
        theirs = list((self.splits or {}).values())
        for split in theirs:
            if theirs.count(split) > 1:
                raise ValueError(f"splits: {split!r} has two roles, so that a student would be measured on what it saw")
        return self

    def read(self, task: Task) -> dict[str, list[Example]]:
        """The splits by their roles, of those whose input file is there; ASDiv's rows, where asked for, as `asdiv`.

        Raises:
            LimbeckError: a file is missing or wrong, or the outputs are not as many as the rows; names the files.
        """
        folder = self.root / task.name
        inputs = {split: folder / f"{task.name}_{split}.json" for split in get_args(Split)}
        found = {split: path for split, path in inputs.items() if path.name in listing(folder)}
        if not found:
            names = ", ".join(path.name for path in inputs.values())
            raise LimbeckError(f"{folder}: no input files; looked for {names}")
        for role, split in (self.splits or {}).items():
            if split not in found:
                raise LimbeckError(f"{inputs[split]}: no such file, and it is to be the source's {role!r}")
        roles = self.splits or {split: split for split in found}
        splits: dict[str, list[Example]] = {
            role: with_outputs(read_inputs(found[split], split, task), task, folder / "llm", split, str(found[split]))
            for role, split in roles.items()
        }
        if "asdiv" in self.augment:
            splits["asdiv"] = read_asdiv(self.root / "asdiv", task)
        return splits


def read_inputs(path: Path, split: str, task: Task) -> list[Example]:
    """The rows of an input file, without what the teacher said to them.

    Raises:
        LimbeckError: the file is missing, or a row is wrong; names file, line and field.
    """
    rows = enumerate(read_jsonl(path))
    return [example_of(row, task, f"{split}-{index}", f"{path}:{line}") for index, (line, row) in rows]
