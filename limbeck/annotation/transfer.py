"""A job's rationales into files and onto the Hub, and rows from elsewhere into files."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from limbeck import hub
from limbeck.annotation.job import Job
from limbeck.annotation.results import read_results, summary, training_examples
from limbeck.data.conversations import Form, LeftOut, export_rows, read_conversations
from limbeck.data.load import read
from limbeck.data.settings import DataSettings
from limbeck.errors import DataError, FileError, RecipeError
from limbeck.files import check_writable, is_stream, read_json, write_json, write_jsonl
from limbeck.tasks import get

_CARD = """\
---
configs:
- config_name: default
  data_files:
  - split: train
    path: train.jsonl
---

# {name}

{rows} rows, with {rationales} rationales that {teacher} wrote, asked and filtered by limbeck {limbeck}. Where the rows'
labels come from, who wrote their questions, and under what license, is for the owner to say.
"""


def export(job: Job, output: Path, form: Form, *, all_rationales: bool = False) -> dict[str, Any]:
    """Write `training_examples` to `output` as JSON lines and, beside a file, their provenance, which is returned.

    That is the job, its `summary`, `rows` written, how many `rationales` are in them, and rows `left_out`: questions
    without a label whose vote is none, or too torn; in other forms than limbeck's also those without a rationale.

    Raises:
        LimbeckError: there is no store; nothing is in it to be written; the output is one of the job's files.
    """
    _check_output(output, job.rows, job.store, *([job.prompt] if job.prompt else []))
    results = read_results(job)
    examples = training_examples(results, all_rationales=all_rationales)
    rows, left_out = export_rows(examples, results.opened.task, form)
    if not rows:
        raise DataError("nothing to export; `limbeck annotate show` says what became of the replies", path=job.store)
    provenance = {
        "form": form,
        "rows": len(rows),
        "left_out": left_out + len(results.annotations) - len(training_examples(results)),
        "rationales": sum(example.rationale is not None for example in examples),
        **summary(results),
        "job": job.model_dump(mode="json", exclude_none=True),
        "prompt": results.opened.prompt,
        "limbeck": version("limbeck"),
    }
    write_jsonl(output, rows)
    if not is_stream(output):
        write_json(_provenance_path(output), provenance)
    return provenance


def upload(output: Path, name: str, *, private: bool) -> str:
    """Upload what `export` wrote as the data set `name` (OWNER/NAME) of the Hub, in one commit; return its URL.

    `datasets.load_dataset(name)` finds the rows as the split train. `private` is how a new data set is made; an
    existing one keeps its visibility and gets a further commit.

    Raises:
        LimbeckError: the name cannot be one, the Hub refuses, or it cannot be reached.
    """
    card = _CARD.format(name=name, **read_json(_provenance_path(output)))
    files: hub.Files = {"train.jsonl": output.read_bytes(), "README.md": card.encode()}
    return hub.upload(files, name, "dataset", message="Rows from limbeck", private=private)


def import_rows(source: Path, output: Path, task: str) -> tuple[dict[Path, dict[str, int]], LeftOut]:
    """Write training rows of conversations (a file, to the file `output`) or of the released archive (a folder).

    The archive's splits become files in the folder `output`. A file without a usable row is not written.

    Returns:
        Counts by the file that was written or would have been; and rows left out, by reason.

    Raises:
        LimbeckError: a file that cannot be read, or no archive of this task there.
    """
    if not source.is_dir():
        _check_output(output, source)
        examples, counts, left_out = read_conversations(source, get(task))
        if examples:
            write_jsonl(output, export_rows(examples, get(task), "limbeck")[0])
        return {output: counts}, left_out
    if task == "custom":
        raise RecipeError(f"{source}: a folder, so the released archive: say with --task whose rows to import")
    settings = DataSettings.parse({"task": task, "source": {"kind": "archive", "root": source}}, "annotate import")
    written = {}
    for split, examples in read(settings).items():
        path = output / f"{task}_{split}.jsonl"
        write_jsonl(path, export_rows(examples, get(task), "limbeck")[0])
        written[path] = {
            "rows": len(examples),
            "unparsed_rationales": sum(example.rationale is None for example in examples),
            "unparsed_labels": sum(example.teacher_label is None for example in examples),
        }
    return written, {}


def _check_output(output: Path, *sources: Path) -> None:
    check_writable(output, *sources)
    if not is_stream(output) and output.suffix.lower() not in (".jsonl", ".json"):
        raise FileError("JSON lines are written; name a file that ends in .jsonl as --output", path=output)


def _provenance_path(output: Path) -> Path:
    return output.with_name(f"{output.stem}.provenance.json")
