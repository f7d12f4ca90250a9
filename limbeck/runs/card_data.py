"""What a model card says of a run's data and of the teacher, in lines of Markdown."""

from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.files import read_json
from limbeck.formatting import Markdown, code
from limbeck.formatting import markdown as text
from limbeck.hub import could_be_name
from limbeck.runs.portable import last_part, portable
from limbeck.runs.run import Run, count_lines
from limbeck.tasks import get

_ARCHIVE = "those of the archive that the authors of Distilling Step-by-Step (Hsieh et al. 2023) released"
_LABELS = {"gold": "the gold ones", "teacher": "the teacher's, right or wrong"}


def hub_name(name: str | None) -> str | None:
    """`name` if it can be the Hub's and no folder here has it."""
    return name if name and could_be_name(name) and not Path(name).exists() else None


def data_set(run: Run) -> str | None:
    """The data set on the Hub that the run's rows came from."""
    source = run.recipe.resolved()["data"].get("source", {})
    if source.get("kind") != "hub":
        return None
    own = get(run.recipe.data.task).hub
    return hub_name(source.get("path") or (own.path if own else None))


def data_lines(run: Run) -> list[Markdown]:
    """Where the rows and the rationales came from, and which of them were trained on."""
    data = run.recipe.resolved()["data"]
    source = data.get("source", {"kind": "generated"})
    lines = [
        f"Task {code(data['task'])}; the rows are {_source(run, source)}.",
        f"Teacher: {_teacher(run, source)}.",
        f"Labels trained on: {_LABELS[data['labels']]}.",
    ]
    if source["kind"] == "files" and "test_file" not in source:
        lines.append(
            f"There was no test file: {data['test_fraction']:.0%} of the rows, by a fixed seed, were held out."
        )
    if data["keep"] == "correct":
        lines.append("Only rationales of a teacher's answer that is right were trained on.")
    if data["train_fraction"] < 1:
        lines.append(f"A fraction of {data['train_fraction']:g} of the training rows was used, chosen by a fixed seed.")
    if data.get("limit"):
        lines.append(f"Of each split {code(data['limit'])} rows at most were used.")
    counted = [f"{text(line.text)}." for where, line in count_lines(run.results) if where == "notes"]
    return [Markdown(line) for line in (*lines, *counted)]


def _source(run: Run, source: dict[str, Any]) -> str:
    match source["kind"]:
        case "archive":
            roles = source.get("splits") or {}
            added = ", with ASDiv's problems added to the training rows" if source.get("augment") else ""
            return f"{_ARCHIVE}{added}" + "".join(
                f"; its {code(theirs)} as {code(ours)}" for ours, theirs in roles.items()
            )
        case "hub":
            known = data_set(run)
            linked = f"[{code(known)}](https://huggingface.co/datasets/{known})" if known else None
            return f"those of the data set {linked or code(last_part(str(source.get('path'))))}" + (
                " of the Hub" if known else ""
            )
        case "files":
            files = [
                (split, path) for split in ("train", "valid", "test") for path in _paths(source.get(f"{split}_file"))
            ]
            return "the owner's: " + ", ".join(f"{split} {code(portable(path))}" for split, path in files)
    return f"word problems that limbeck makes from a seed, {code(source.get('seed', 0))}"


def _paths(paths: str | list[str] | None) -> list[str]:
    """Return the files of a split: one, several or none."""
    return [paths] if isinstance(paths, str) else paths or []


def _teacher(run: Run, source: dict[str, Any]) -> str:
    """Who wrote the rationales, as far as anything says it."""
    if run.recipe.objective.build().rationale_view is None and run.recipe.data.labels == "gold":
        return "none, the student learnt no rationales and no teacher's answers"
    if source["kind"] == "archive" or source.get("rationales"):
        return "PaLM 540B, as Hsieh et al. 2023 say, whose archive has its raw outputs"
    if source["kind"] == "generated":
        return f"a script that errs on purpose in {source.get('error_rate', 0.2):.0%} of the rows"
    beside = Path(_paths(source["train_file"])[0]) if source["kind"] == "files" else Path()
    try:
        named = read_json(beside.with_name(f"{beside.stem}.provenance.json")).get("teacher")
    except (LimbeckError, AttributeError, ValueError):
        named = None
    said = f"{code(named)}, says the provenance that lies beside the training file"
    return said if isinstance(named, str) else "not recorded, the rationales came with the rows"
