"""A job's rationales into files and onto the Hub, and rows from elsewhere into files."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from limbeck.annotation.job import Job
from limbeck.annotation.taught import read_taught, summary, training_examples
from limbeck.annotation.upload import push
from limbeck.data.conversations import LeftOut, read_conversations
from limbeck.data.export import Form, export_rows
from limbeck.data.load import read
from limbeck.data.settings import DataSettings
from limbeck.errors import LimbeckError
from limbeck.files import check_writable, is_stream, read_json, read_jsonl, write_json, write_jsonl
from limbeck.schema import Example
from limbeck.tasks import get


def export(job: Job, output: Path, form: Form, every: bool) -> dict[str, Any]:
    """Write `training_examples` to `output` as JSON lines, and what they came from, beside a file, as its provenance.

    Returns:
        The provenance: the job, what `summary` says, `rows` written, how many `rationales` are in them, and, of other
        forms than limbeck's, rows `left_out`; also questions without a label whose vote is none, or too torn.

    Raises:
        LimbeckError: there is no store; nothing is in it that could be written; the output is one of the job's files.
    """
    _check(output, job.rows, job.store, *([job.prompt] if job.prompt else []))
    taught = read_taught(job)
    examples = training_examples(taught, every)
    rows, left_out = export_rows(examples, taught.opened.task, form)
    if not rows:
        raise LimbeckError(f"{job.store}: nothing to export; `limbeck annotate show` says what became of the replies")
    provenance = {
        "form": form,
        "rows": len(rows),
        "left_out": left_out + len(taught.sifted) - len(training_examples(taught)),
        "rationales": sum(example.rationale is not None for example in examples),
        **summary(taught),
        "job": job.model_dump(mode="json", exclude_none=True),
        "prompt": taught.opened.questions.prompt,
        "limbeck": version("limbeck"),
    }
    write_jsonl(output, rows)
    if not is_stream(output):
        write_json(_provenance(output), provenance)
    return provenance


def _check(output: Path, *others: Path) -> None:
    """Check that JSON lines are written, and over none of `others`."""
    check_writable(output, *others)
    if not is_stream(output) and output.suffix.lower() not in (".jsonl", ".json"):
        raise LimbeckError(f"{output}: JSON lines are written; name a file that ends in .jsonl as --output")


def _provenance(output: Path) -> Path:
    return output.with_name(f"{output.stem}.provenance.json")


def upload(output: Path, name: str, private: bool) -> str:
    """Upload what `export` wrote as a data set of the Hub; returns its URL. Raises LimbeckError as `push`."""
    provenance = read_json(_provenance(output))
    card = (
        f"# {name}\n\n{provenance['rows']} rows, with {provenance['rationales']} rationales that "
        f"{provenance['teacher']} wrote, asked and filtered by limbeck {provenance['limbeck']}. Where the rows' labels "
        "come from, who wrote their questions, and under what licence, is the owner's to say.\n"
    )
    return push((row for _, row in read_jsonl(output)), name, card, private)


def import_rows(source: Path, output: Path, task: str) -> tuple[dict[Path, dict[str, int]], LeftOut]:
    """Write training rows of conversations (a file, to the file `output`) or of the released archive (a folder).

    The archive's splits become files in the folder `output`. Where a file holds no row that can be used, nothing is
    written.

    Returns:
        Counts of what was read by the file that was written or would have been; and by reasons the rows left out.

    Raises:
        LimbeckError: a file that cannot be read, or no archive of this task there.
    """
    if not source.is_dir():
        _check(output, source)
        examples, counts, left_out = read_conversations(source, get(task))
        return {_write(output, examples, task) if examples else output: counts}, left_out
    if is_stream(output) or output.is_file():
        raise LimbeckError(f"{output}: of the archive in {source} a file a split is written; name a folder as --output")
    if task == "custom":
        raise LimbeckError(f"{source}: a folder, so the released archive: say with --task whose rows to import")
    settings = DataSettings.parse({"task": task, "source": {"kind": "archive", "root": source}}, "annotate import")
    written = {
        _write(output / f"{task}_{split}.jsonl", examples, task): {
            "rows": len(examples),
            "unparsed_rationales": sum(example.rationale is None for example in examples),
            "unparsed_labels": sum(example.teacher_label is None for example in examples),
        }
        for split, examples in read(settings).items()
    }
    return written, {}


def _write(path: Path, examples: Sequence[Example], task: str) -> Path:
    write_jsonl(path, export_rows(examples, get(task), "limbeck")[0])
    return path
