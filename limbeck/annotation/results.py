"""Results of a job: counts, accuracy, training examples, exports, imports."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from limbeck import hub
from limbeck.annotation.filters import Annotation, Outcome, Sample
from limbeck.annotation.job import Job, OpenJob
from limbeck.annotation.reverse import Reversal, ReverseOutcome
from limbeck.data.conversations import Form, LeftOut, export_rows, read_conversations
from limbeck.data.mismatch import teacher_mismatch
from limbeck.data.rows import read_later_table
from limbeck.data.sources import ArchiveSource
from limbeck.errors import DataError, FileError, RecipeError, unknown
from limbeck.files import check_writable, is_stream, read_json, write_json, write_jsonl
from limbeck.llm.messages import Tokens
from limbeck.llm.store import Result, Store
from limbeck.schema import Example
from limbeck.settings import Settings
from limbeck.stats.intervals import wilson
from limbeck.tasks import Task, get, is_right, normalise

_CARD = """\
---
configs:
- {{config_name: default, data_files: train.jsonl}}
---

# {name}

{rows} rows, with {rationales} rationales that {teacher} wrote, asked and filtered by limbeck {limbeck}; in {rectified}
rows it had the label as a hint. Where the rows' labels come from, who wrote their questions, and under what license, is
for the owner to say.
"""


MEASURED = "measured"  # mark of a question that the served run was validated or tested on


class _Start(Settings):
    """The first record of a process that asks."""

    model_config = ConfigDict(extra="ignore")

    job: dict[str, Any]
    rows: dict[str, Any]


@dataclass(frozen=True)
class Results:
    """A job and its store's contents."""

    opened: OpenJob
    annotations: Sequence[Annotation]
    reversals: Sequence[Reversal]  # of labelled examples, if the job asks for reverse questions
    used: Tokens


def read_results(job: Job) -> Results:
    """Read the job's store. Raises LimbeckError without one, and for a bad row or prompt."""
    return _read_results(OpenJob(job))


def _read_results(opened: OpenJob) -> Results:
    job = opened.job
    with Store(job.store, create=False) as store:
        used, _ = store.usage(job.teacher.name)
        return Results(opened, opened.annotations(store), opened.reversals(store), used)


def summary(results: Results) -> dict[str, Any]:
    """Return counts of samples, the votes' accuracy with Wilson's 95 % interval, cost, and any `doubt` of the join."""
    annotations, task, job = results.annotations, results.opened.task, results.opened.job
    samples = [sample for row in annotations for sample in row.samples]
    outcomes = Counter(sample.outcome for sample in samples)
    reverse = Counter(row.outcome for row in results.reversals)
    answers: list[Sample | Result] = [*samples, *(row.result for row in results.reversals if row.result)]
    failures = [(str(answer.failure), answer.reason) for answer in answers if answer.failure]
    graded = [is_right(task, row.vote, row.example) for row in annotations if row.vote and row.example.label]
    answered = []
    for row in annotations:
        rationale = next((sample.rationale for sample in row.samples if sample.rationale), None)
        answered.append(replace(row.example, teacher_label=row.vote, rationale=rationale))
    return {
        "teacher": job.teacher.name,
        "questions": len(annotations),
        "outcomes": {outcome.value: outcomes[outcome] for outcome in Outcome},
        "failures": dict(Counter(kind for kind, _ in failures).most_common()),
        "reasons": dict(failures),
        "votes": {
            "accuracy": sum(graded) / len(graded) if graded else None,
            "interval": wilson(sum(graded), len(graded)),
            "right": sum(graded),
            "n": len(graded),
            "without_vote": sum(row.vote is None for row in annotations),
            "without_label": sum(not row.example.label for row in annotations),
        },
        "doubt": teacher_mismatch(answered, task),
        "kept": {
            "rationales": outcomes[Outcome.KEPT],
            "rectified": sum(row.rectified for row in annotations),
            "questions": sum(bool(row.rationales) for row in annotations),
        },
        **({"reverse": {outcome.value: reverse[outcome] for outcome in ReverseOutcome}} if job.reverse else {}),
        "spent": job.bill(results.used),
    }


def training_examples(results: Results, *, all_rationales: bool = False) -> list[Example]:
    """Return the job's examples with the teacher's vote and the first kept rationale.

    An agreed vote replaces an unknown label; without one the question is left out. `all_rationales` adds the other
    rationales kept, the wrong ones, and the shares of the votes.
    """
    pairs = {row.example.id: row.pair for row in results.reversals}
    examples = []
    for row in results.annotations:
        agreed = row.agreement >= results.opened.job.filters.agreement
        if not (label := row.example.label or (agreed and row.vote)):
            continue
        example = replace(
            row.example,
            label=label,
            teacher_label=row.vote,
            rationale=next(iter(row.rationales), None),
            rationales=row.rationales if all_rationales and len(row.rationales) > 1 else (),
            rectified=row.rectified,
            wrong_rationales=row.wrong_rationales if all_rationales else (),
            reverse=pairs.get(row.example.id, row.example.reverse),
            votes=tuple(row.votes.items()) if all_rationales else (),
        )
        examples.append(example)
    return examples


def replies(results: Results, outcome: str, limit: int) -> list[dict[str, Any]]:
    """Return the first replies of an outcome, or their errors, with the answer `read`.

    Of reverse questions it is the last reply, with the question read before it.
    """
    if outcome not in [*Outcome, *ReverseOutcome]:
        raise unknown("outcome", outcome, map(str, [*Outcome, *ReverseOutcome]))
    answers: list[tuple[Example, str, str | None, Sample | Result]] = [
        (row.example, sample.outcome, sample.label, sample) for row in results.annotations for sample in row.samples
    ]
    for row in results.reversals:
        if row.result:
            answers.append((row.example, row.outcome, row.texts.get("reverse_question"), row.result))
    return [
        {"id": example.id, "label": example.label, "read": label, "text": reply.reason or reply.text or reply.thoughts}
        for example, fate, label, reply in answers
        if fate == outcome != Outcome.NOT_ASKED
    ][:limit]


def export(job: Job, output: Path, form: Form, *, all_rationales: bool = False) -> dict[str, Any]:
    """Write `training_examples` as JSON lines and, beside a file, their provenance, which is returned.

    `left_out` counts questions without a label, and in other forms than limbeck's without a rationale. Raises
    LimbeckError without a store, with nothing to write, or if `output` is one of the job's files.
    """
    _check_output(output, *filter(None, (job.rows, job.store, job.prompt)))
    return _export(read_results(job), output, form, all_rationales=all_rationales, counts={})


def harvest(store: Path, output: Path) -> dict[str, Any]:
    """Write the questions that a server passed on to a teacher as training rows, as `export` does; of equals one.

    They are those passed on under the teacher and the prompt of the server started last. The provenance has also the
    numbers of those left out as `measured`, on which the served run was validated or tested, and as `repeated`. Raises
    DataError where no server wrote to the store, and where the job's prompt has changed since.
    """
    _check_output(output, store)
    with Store(store, create=False) as opened_store:
        starts = [_Start.parse(job, str(store)) for job in opened_store.jobs()]
        served = next((start for start in starts if "served" in start.rows), None)
        if served is None:
            raise DataError("no server passed questions on to this store", path=store)
        job = Job.parse({**served.job, "store": store}, str(store))
        prompt = OpenJob(job, ()).prompt
        if prompt != served.rows.get("prompt"):
            raise DataError("the job's prompt has changed since the server was started; restore it", path=job.prompt)
        passed_on = opened_store.questions(job.teacher.name, prompt)
    rows = [row for row in passed_on if not row.get(MEASURED)]
    if not rows:
        raise DataError(f"of {len(passed_on)} questions passed on there is none to train on", path=store)
    table = [(f"{store}: question {number}", str(number), row) for number, row in enumerate(rows, start=1)]
    results = _read_results(OpenJob(job, read_later_table(table, {}, OpenJob(job, ()).task)))
    unique: dict[str, Annotation] = {}
    for row in results.annotations:
        first = unique.setdefault(normalise(row.example.input), row)
        if first.vote is None:
            unique[normalise(row.example.input)] = row
    counts = {"measured": len(passed_on) - len(rows), "repeated": len(rows) - len(unique)}
    results = replace(results, annotations=list(unique.values()))
    return _export(results, output, "limbeck", all_rationales=False, counts=counts)


def _export(
    results: Results, output: Path, form: Form, *, all_rationales: bool, counts: dict[str, int]
) -> dict[str, Any]:
    job = results.opened.job
    examples = training_examples(results, all_rationales=all_rationales)
    rows, left_out = export_rows(examples, results.opened.task, form)
    if not rows:
        raise DataError("nothing to export; `limbeck annotate show` tells why", path=job.store)
    provenance = {
        "form": form,
        "rows": len(rows),
        "left_out": left_out + len(results.annotations) - len(examples),
        "rationales": sum(len(example.rationales) or example.rationale is not None for example in examples),
        "rectified": sum(example.rectified for example in examples),
        **counts,
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
    """Upload an export as the data set `name` (OWNER/NAME); return its URL."""
    card = _CARD.format(name=name, **read_json(_provenance_path(output)))
    files: hub.Files = {"train.jsonl": output.read_bytes(), "README.md": card.encode()}
    return hub.upload(files, name, "dataset", message="Rows from limbeck", private=private)


def import_rows(source: Path, output: Path, task: str) -> tuple[dict[Path, dict[str, int]], LeftOut]:
    """Write training rows from a file of conversations to a file, or from the archive, a folder, to a folder.

    Return counts by file, and the rows left out by reason. Without a usable row nothing is written; raises DataError
    for a split of the archive without labels.
    """
    if not source.is_dir():
        _check_output(output, source)
        examples, left_out = read_conversations(source, get(task))
        unusable = sum(map(len, left_out.values()))
        return {output: _write_imported(output, examples, get(task), left_out=unusable)}, left_out
    if task == "custom":
        raise RecipeError(f"{source}: an archive; say with --task whose rows to import")
    if is_stream(output) or output.is_file():
        raise FileError("an archive becomes a file a split; name a folder as --output", path=output)
    splits = ArchiveSource(root=source).read(get(task))
    if empty := [split for split, rows in splits.items() if not any(row.label for row in rows)]:
        raise DataError(f"no row of the split {empty[0]!r} has a label", path=source)
    written, unlabelled = {}, []
    for split, rows in splits.items():
        examples = [row for row in rows if row.label]
        unlabelled += [f"{split}: {row.id}" for row in rows if not row.label]
        path = output / f"{task}_{split}.jsonl"
        written[path] = _write_imported(path, examples, get(task), left_out=len(rows) - len(examples))
    return written, {"it has no label": unlabelled} if unlabelled else {}


def _write_imported(path: Path, examples: Sequence[Example], task: Task, *, left_out: int) -> dict[str, int]:
    """Write the examples, if any; return the counts of an import."""
    if examples:
        write_jsonl(path, export_rows(examples, task, "limbeck")[0])
    return {
        "rows": len(examples) + left_out,
        "unparsed_rationales": sum(example.rationale is None for example in examples),
        "unparsed_labels": sum(example.teacher_label is None for example in examples),
        "left_out": left_out,
    }


def _check_output(output: Path, *sources: Path) -> None:
    check_writable(output, *sources)
    if is_stream(output):
        return
    if output.suffix.lower() not in (".jsonl", ".json"):
        raise FileError("JSON lines are written; name a .jsonl file as --output", path=output)
    check_writable(_provenance_path(output), *sources)


def _provenance_path(output: Path) -> Path:
    return output.with_name(f"{output.stem}.provenance.json")
