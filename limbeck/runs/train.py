"""From a recipe to a finished run."""

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from transformers import TrainingArguments, set_seed

from limbeck import models
from limbeck.data import DataSettings, Splits, View, load, source, target, task_of
from limbeck.data.mismatch import mismatch_warning, teacher_mismatch
from limbeck.data.splits import refuse_overlap
from limbeck.errors import LimbeckError
from limbeck.metrics import accuracy
from limbeck.runs.domain import Domain, domains_of
from limbeck.runs.evaluate import ask, check_askable, measure
from limbeck.runs.provenance import now, provenance
from limbeck.runs.recipe import Recipe
from limbeck.runs.run import Run, check_place, default_path, open_run, start, take_back
from limbeck.files import disk_errors, sha256
from limbeck.hub import cached_revision
from limbeck.notes import lines_of
from limbeck.objectives import Objective
from limbeck.schema import Example
from limbeck.models import Card, Student, StudentSettings, save_student
from limbeck.tasks import Split
from limbeck.training import (
    Distiller,
    EarlyStopping,
    Trainer,
    TrainingSet,
    discard_partial_checkpoints,
    token_ids,
    tokenise,
    training_arguments,
)

log = logging.getLogger(__name__)

_ADVICE = "go on with --resume"


def train(recipe: Recipe, out: Path | str | None = None, resume: bool = False, parent: Path | str | None = None) -> Run:
    """Train a student as the recipe says, keep the best by validation accuracy, and measure it on the test split.

    What can be wrong with the recipe, the data or the student is found before the folder is made; a setting that only
    shows itself when training starts takes back what was written. A run that diverges keeps its folder and its log.

    Args:
        recipe: what to do.
        out: the run's folder; None: one below `runs/`, named after the recipe.
        resume: go on from the last checkpoint, or where there is none from the start, if the folder holds this very
            recipe; a finished run is returned as is.
        parent: a finished run's folder: its student is trained further, in place of the recipe's, whose lengths hold.
            Optimizer, learning rate and step count start anew.

    Raises:
        LimbeckError: says what is wrong and what to do.
    """
    if parent is not None:
        recipe = _further(recipe, Path(parent))
    run = Run(Path(out) if out else default_path(recipe), recipe)
    check_place(run, resume)
    if run.finished:
        return run
    splits, objective = load(recipe.data), recipe.objective.build()
    rows_of = {split: len(getattr(splits, split)) for split in get_args(Split)}
    refuse_overlap(splits.notes, rows_of, recipe.data.max_overlap)
    domains = _domains(recipe, splits)
    student = _student(recipe, splits, domains)
    training_set = tokenise(splits.train, objective.views, student)
    arguments = training_arguments(recipe.training, run.checkpoints, recipe.seed)
    notes = {
        **splits.notes,
        **training_set.notes,
        "labels_inexpressible": _inexpressible(student, splits, recipe),
        "doubtful_teacher": _doubtful(recipe, splits),
    }
    texts = {"sources": len(training_set.sources), "targets": int((training_set.targets.lengths > 0).sum())}
    log.info("%s: %s on %d examples", run.path, objective.name, len(training_set))
    for line in lines_of(notes, rows_of | texts):
        log.log(logging.WARNING if line.warning else logging.INFO, "%s", line.text)

    with run.locked(), disk_errors(run.path, _ADVICE):
        check_place(run, resume)  # again: another process may have been faster
        start(run, provenance(splits, recipe.seed) | _origin(recipe, parent))
        trained = _fit(run, student, splits, training_set, arguments)
        if not run.model.exists():  # it may, if the run was stopped while it was measured
            save_student(student, _card(recipe, student), run.model)
        run.write_results(
            {
                "task": recipe.data.task,
                "objective": objective.name,
                "seed": recipe.seed,
                **_measured(run, student, domains),
                "training": {"examples": len(training_set), **texts, **trained},
                "notes": notes,
                "finished": now(),
            }
        )
    return run


def _doubtful(recipe: Recipe, splits: Splits) -> int:
    """Count the rows of the splits whose teacher is most likely joined to the wrong rows, and say why."""
    count = 0
    for split in get_args(Split):
        rows: tuple[Example, ...] = getattr(splits, split)
        if reason := teacher_mismatch(rows, task_of(recipe.data)):
            log.warning("warning: %s", mismatch_warning(split, reason))
            count += len(rows)
    return count


def _further(recipe: Recipe, parent: Path) -> Recipe:
    """Return the recipe with the student of the finished run in the folder `parent`.

    Raises:
        LimbeckError: there is no finished run.
    """
    run = open_run(parent)
    run.results  # noqa: B018  or the error that it is not finished
    lengths = {name: getattr(recipe.student, name) for name in ("max_source_length", "max_target_length")}
    return recipe.model_copy(update={"student": StudentSettings(name=str(run.model), **lengths)})


def _origin(recipe: Recipe, parent: Path | str | None) -> dict[str, Any]:
    """Return the provenance of the student: revisions on the Hub, and the run that it was trained in before."""
    names = filter(None, (recipe.student.name, recipe.student.encoder, recipe.student.decoder))
    origin: dict[str, Any] = {"student": {name: rev for name in names if (rev := cached_revision(name)) is not None}}
    if parent is not None:
        run = open_run(Path(parent))
        weights = {path.name: sha256(path) for path in sorted(run.model.glob("*.safetensors"))}
        origin["from"] = {"run": str(parent), "steps": run.results["training"]["steps"], "sha256": weights}
    return origin


def _domains(recipe: Recipe, splits: Splits) -> list[Domain]:
    """What the student is measured on: validation, test, and other tasks; refused where it cannot be."""
    task = task_of(recipe.data)
    return [
        Domain("valid", "valid", task, splits.valid, ()),
        Domain("test", "test", task, splits.test, splits.valid),
        *domains_of(recipe, splits),
    ]


def _student(recipe: Recipe, splits: Splits, domains: Sequence[Domain]) -> Student:
    """The student before training, its weights by the recipe's seed; refused where it cannot be asked in the end."""
    set_seed(recipe.seed)
    student = models.load(recipe.student, _texts(recipe.data, splits))
    check_askable(student, domains, recipe, recipe.evaluation.rationales)
    if student.head().weight is None:
        kind = student.model.config.model_type
        log.info("a %r model's vocabulary head cannot be taken out: logits are made whole, which takes memory", kind)
    return student


def _fit(
    run: Run, student: Student, splits: Splits, training_set: TrainingSet, arguments: TrainingArguments
) -> dict[str, Any]:
    """Train to the end; returns the steps taken, the best one, and the seconds since the last start."""
    begun = time.monotonic()
    trainer = None
    settings: Any = run.recipe.training
    objective = run.recipe.objective.build().smoothed(settings.label_smoothing_factor)
    try:
        trainer = Trainer(
            Distiller(student, objective),
            arguments,
            training_set,
            validate=lambda: _validate(student, splits.valid, run.recipe),
            log_file=run.log,
            validation_set=_validation_set(splits.valid, objective, student) if arguments.do_eval else None,
            early_stopping=EarlyStopping(settings.early_stopping_patience, settings.early_stopping_threshold),
        )
        with disk_errors(run.path, _ADVICE):
            trainer.fit()
    except LimbeckError:
        discard_partial_checkpoints(run.checkpoints)  # what a full disk cut short takes room, and is of no use
        if trainer is None or trainer.state.global_step == 0:
            take_back(run)
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, ImportError, RuntimeError, OSError) as error:
        if trainer is not None and trainer.state.global_step > 0:
            raise
        take_back(run)  # no step was taken: a setting that transformers or torch refuse only now
        raise LimbeckError(f"training cannot start: {str(error).strip() or type(error).__name__}") from error
    steps = trainer.state.global_step
    best = trainer.state.best_global_step or steps
    return {"steps": steps, "best_step": best, "seconds": round(time.monotonic() - begun, 1)}


def _validation_set(examples: Sequence[Example], objective: Objective, student: Student) -> TrainingSet | None:
    """Return the validation rows as the objective's terms need them; None where no row has what they need."""
    usable = any(target(example, view) for example in examples for view in objective.views)
    return token_ids(examples, objective.views, student) if usable else None


def _measured(run: Run, student: Student, domains: Sequence[Domain]) -> dict[str, Any]:
    """What the student is worth on validation, test, and by their names the other tasks."""
    valid, test, *others = domains
    reasons = run.recipe.evaluation.rationales
    found = {"valid": measure(run, student, valid)[0], "test": measure(run, student, test, reasons)[0]}
    foreign = {str(domain.foreign): measure(run, student, domain, reasons)[0] for domain in others}
    return {**found, "out_of_domain": foreign} if foreign else found


def _validate(student: Student, examples: Sequence[Example], recipe: Recipe) -> dict[str, float]:
    measured = accuracy(ask(student, examples, task_of(recipe.data), recipe))
    return {"accuracy": measured["accuracy"], "exact": measured["exact"]}


def _texts(data: DataSettings, splits: Splits) -> Iterator[str]:
    """What a tokenizer is made from: the training split as two tasks, before any choice of its rows.

    It is the same whatever the objective, the labels and the fraction of the rows: students that are to be compared
    have one vocabulary, and with one seed the same weights to begin with.
    """
    whole = data.model_copy(update={"labels": "gold", "keep": "all", "train_fraction": 1.0})
    for example in splits.train if whole == data else load(whole).train:
        for view in (View.PREDICT, View.EXPLAIN):
            yield source(example, view).text("\n")
            yield target(example, view) or ""


def _inexpressible(student: Student, splits: Splits, recipe: Recipe) -> int:
    """How many training labels the tokenizer cannot give back so that they would be graded right."""
    labels = sorted({example.label for example in splits.train})
    ids, _ = student.target_ids(labels)
    texts = [student.text(row) for row in ids]
    equal = task_of(recipe.data).equal
    lost = {label for label, text in zip(labels, texts, strict=True) if not equal(text, label)}
    return sum(example.label in lost for example in splits.train)


def _card(recipe: Recipe, student: Student) -> Card:
    objective = recipe.objective.build()
    return Card(
        task=recipe.data.task,
        choices=tuple(recipe.data.choices),
        answer=recipe.data.answer,
        objective=objective.name,
        answer_view=objective.answer_view,
        rationale_view=objective.rationale_view,
        max_source_length=student.max_source_length,
        max_target_length=student.max_target_length,
        engine=recipe.evaluation.engine,
        answers=recipe.evaluation.answers,
        confidence=recipe.evaluation.confidence,
    )
