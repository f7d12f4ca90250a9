"""From a recipe to a finished run."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from transformers import TrainingArguments, set_seed

from limbeck.cache import cached
from limbeck.data.examples import ExampleTable, digest, has
from limbeck.data.load import DataSettings, RationaleSettings, Splits, load
from limbeck.data.mismatch import teacher_mismatch
from limbeck.data.splits import refuse_overlap
from limbeck.data.views import View, has_target, source, target
from limbeck.distributed import gather, is_lost_connection, is_main_process, on_main_process
from limbeck.errors import FileError, LimbeckError, ModelError, RecipeError
from limbeck.files import disk_errors, read_json, sha256, write_json
from limbeck.hub import cached_revision
from limbeck.metrics.graded import accuracy
from limbeck.metrics.predict import choices_of, predict
from limbeck.models import CARD, Card, StudentSettings
from limbeck.models.loading import load as load_student
from limbeck.models.loading import save_student
from limbeck.models.settings import AnswerSettings
from limbeck.models.student import Student
from limbeck.notes import lines_of
from limbeck.runs.domain import Domain, out_of_domain
from limbeck.runs.evaluation import measure
from limbeck.runs.mentors import select_rationales, soft_labels
from limbeck.runs.recipe import Recipe, load_recipe
from limbeck.runs.run import Run, now, open_run, provenance, run_name
from limbeck.schema import Example
from limbeck.tasks import Split, Task
from limbeck.training.dataset import TrainingSet, token_ids, tokenize
from limbeck.training.trainer import Distiller, Trainer, training_arguments

log = logging.getLogger(__name__)
_BLOCK = 10_000  # examples whose labels are in memory at a time
_COUNT = "count.json"
QUICKSTART = Path(str(files("limbeck.runs") / "quickstart.yaml"))


def train(
    recipe: Recipe, out: Path | str | None = None, *, resume: bool = False, parent: Path | str | None = None
) -> Run:
    """Train a student by the recipe, keep the best by validation accuracy, and measure it on the test split.

    Most mistakes are found before the folder `out`, by default below `runs/`, is created; until the first checkpoint
    another recipe may use it. `resume` continues a run of this recipe from its last checkpoint (`Trainer.fit`); a
    finished one is returned as is. `parent` is a finished run, whose student is trained further with the recipe's
    lengths and a new optimizer. Processes that a launcher started share the work; the first writes. Raises
    LimbeckError if recipe, data or student cannot be used, the folder holds another run, training diverges, or the
    disk is full.
    """
    recipe, origin = (recipe, {}) if parent is None else _continued(recipe, Path(parent))
    run = Run(Path(out) if out else Path("runs") / run_name(recipe), recipe)
    arguments = training_arguments(recipe.training, run.checkpoints, recipe.seed)  # connects the processes
    on_main_process(lambda: run.check_folder(resume))
    if on_main_process(lambda: run.finished):
        return run
    splits, objective, task = load(recipe.data), recipe.objective.build(), recipe.data.get_task()
    training_rows, choice_notes = _training_rows(recipe, splits.train, task)
    rows = {split: len(getattr(splits, split)) for split in get_args(Split)}
    refuse_overlap(splits.notes, rows, recipe.data.max_overlap)
    valid = Domain("valid", "valid", task, splits.valid)
    domains = [valid, Domain("test", "test", task, splits.test), *out_of_domain(recipe, splits)]
    set_seed(recipe.seed)  # of the student's weights
    frame = on_main_process(lambda: run.provenance.get("chat_frame") if run.trained else None)
    student = load_student(recipe.student, _tokenizer_texts(recipe.data, splits), task, frame=frame)
    card = _card(recipe, student)
    _check_answers(recipe, student, card, domains)
    training_set = tokenize(training_rows, objective.views, student, draw_seed=recipe.draw_seed)
    validation_set = _validation_set(recipe, objective.views, student, valid)
    texts = {"sources": len(training_set.sources), "targets": int((training_set.targets.lengths > 0).sum())}
    log.info("%s: %s on %d examples", run.path, objective.name, len(training_set))
    notes = splits.notes | choice_notes | training_set.notes | _count_labels(student, splits, task)
    for line in lines_of(notes, rows | texts):
        log.log(logging.WARNING if line.warning else logging.INFO, "%s", line.text)

    with run.locked(), disk_errors(run.path):
        on_main_process(lambda: run.check_folder(resume))  # another process may have been faster
        origin = _origin(recipe, splits, student, training_rows) | origin
        on_main_process(lambda: run.begin(origin))
        if not all(gather([run.path.is_dir()])):
            raise FileError("missing on another machine: a run's machines have to share its folder", path=run.path)
        training = _fit(
            run,
            student,
            valid,
            card=card,
            arguments=arguments,
            training_set=training_set,
            validation_set=validation_set,
        )
        if is_main_process() and not run.model.exists():  # it does after a stop while it was measured
            save_student(student, card, run.model)
        results = _measure(run, student, card, domains)
        training = {"examples": len(training_set), **texts, **training}
        results |= {"training": training, "notes": notes, "finished": now()}
        on_main_process(lambda: run.write_results(results))
    return run


def _origin(recipe: Recipe, splits: Splits, student: Student, training_rows: Sequence[Example]) -> dict[str, Any]:
    """Return the provenance of a run that begins now."""
    revisions = {name: revision for name in recipe.checkpoints if (revision := cached_revision(name))}
    frame = student.prompts and student.prompts.frame
    origin = provenance(splits, recipe) | {"student": revisions, "chat_frame": frame}
    if recipe.data.rationales or recipe.data.mentor:  # other runs may have decided on these
        origin["data"]["chosen"] = {"rows": len(training_rows), "sha256": digest(training_rows)}
    return origin


def _check_answers(recipe: Recipe, student: Student, card: Card, domains: Sequence[Domain]) -> None:
    """Raise LimbeckError where the student could not answer as the card says, before it is trained."""
    if card.answers == "choices":
        for domain in domains:
            choices_of(student, domain.examples, domain.task, answer_view=card.answer_view)
    if recipe.training.parallelism == "FSDP" and card.engine != "transformers":
        reason = "FSDP validates with `transformers`; give another to `limbeck evaluate`"
        raise RecipeError(reason, field="evaluation.engine")
    if recipe.evaluation.rationales or card.answers == "generate":
        student.engine(card.engine)


def _measure(run: Run, student: Student, card: Card, domains: Sequence[Domain]) -> dict[str, Any]:
    recipe = run.recipe
    results: dict[str, Any] = {"task": recipe.data.task, "objective": card.objective, "seed": recipe.seed}
    for domain in domains:
        rationales = recipe.evaluation.rationales and domain.name != "valid"
        size, path = recipe.evaluation.batch_size, run.predictions(domain.name)
        measured, _ = measure(student, card, domain, path=path, rationales=rationales, batch_size=size)
        results = domain.add(measured, results, path)
    return results


def quickstart(out: Path, seed: int) -> list[Run]:
    """Train a tiny student under three objectives, each in a folder below `out`; return finished ones as they are."""
    runs = []
    for name, rationales in (("finetune", "false"), ("dss", "true"), ("mi", "true")):
        changes = [f"objective={name}", f"seed={seed}", f"evaluation.rationales={rationales}"]
        runs.append(train(load_recipe(QUICKSTART, changes), out / f"{name}-seed{seed}", resume=True))
    return runs


def _training_rows(recipe: Recipe, examples: Sequence[Example], task: Task) -> tuple[Sequence[Example], dict[str, int]]:
    """Return the examples as other runs' students see them, and counts of what they lack."""
    size, rows, left_out = recipe.evaluation.batch_size, examples, 0
    if recipe.data.rationales or recipe.data.mentor:  # else rows may stay in their file
        choice = recipe.data.rationales or RationaleSettings()
        rows, left_out = select_rationales(examples, choice, batch_size=size)
    bare = int((~has(rows, "rationale")).sum())
    notes = {"rationales_left_out": left_out, "rows_without_rationale": bare}
    return soft_labels(rows, recipe.data.mentor, task, batch_size=size), notes


def _continued(recipe: Recipe, parent: Path) -> tuple[Recipe, dict[str, Any]]:
    run = open_run(parent)
    weights = {path.name: sha256(path) for path in sorted(run.model.glob("*.safetensors"))}
    origin = {"run": str(parent), "steps": run.steps, "sha256": weights}
    settings = recipe.student.model_dump(exclude_unset=True, exclude={"name", "encoder", "decoder", "scratch"})
    if prompts := Card.parse(read_json(run.model / CARD), str(run.model / CARD)).prompts:  # instructions are the task's
        settings = {"template": prompts.template, "system": prompts.system, **settings}
    student = StudentSettings(name=str(run.model), **settings)
    return recipe.model_copy(update={"student": student}), {"from": origin}


def _validation_set(recipe: Recipe, views: Sequence[View], student: Student, valid: Domain) -> TrainingSet | None:
    """Return the token ids of validation, for its loss; None where nothing is validated, or has no target."""
    if recipe.training.eval_strategy == "no":
        return None
    examples = soft_labels(valid.examples, recipe.data.mentor, valid.task, batch_size=recipe.evaluation.batch_size)
    has_targets = any(has_target(example, view) for example in examples for view in views)
    return token_ids(examples, views, student) if has_targets else None


def _fit(
    run: Run,
    student: Student,
    valid: Domain,
    *,
    card: Card,
    arguments: TrainingArguments,
    training_set: TrainingSet,
    validation_set: TrainingSet | None,
) -> dict[str, Any]:
    start, trainer, recipe = time.monotonic(), None, run.recipe
    objective = recipe.objective.build().smoothed(recipe.training.label_smoothing_factor)
    greedy, size = card.model_copy(update={"votes": None}), recipe.evaluation.batch_size  # each vote costs a pass

    def validate() -> dict[str, float]:
        measured = accuracy(predict(student, greedy, valid.examples, valid.task, batch_size=size))
        return {"accuracy": measured["accuracy"], "exact": measured["exact"]}

    try:
        trainer = Trainer(
            Distiller(student, objective),
            arguments,
            training_set,
            settings=recipe.training,
            validate=validate,
            log_file=run.log,
            validation_set=validation_set,
        )
        trainer.fit()
    except Exception as error:
        has_begun = trainer is not None and trainer.state.global_step > 0
        if isinstance(error, LimbeckError) or has_begun or is_lost_connection(error):
            raise
        # before the first step: a setting that transformers or torch refuse
        raise ModelError(f"training cannot start: {str(error).strip() or type(error).__name__}") from error
    steps = trainer.state.global_step
    best = trainer.state.best_global_step or steps
    return {"steps": steps, "best_step": best, "seconds": round(time.monotonic() - start, 1)}


def _tokenizer_texts(data: DataSettings, splits: Splits) -> Iterator[str]:
    """Yield all training rows' texts as both views: every objective has the same vocabulary."""
    full = data.model_copy(update={"labels": "gold", "keep": "all", "train_fraction": 1.0})
    for example in splits.train if full == data else load(full).train:
        for view in (View.PREDICT, View.EXPLAIN):
            yield source(example, view).text("\n")
            yield target(example, view) or ""


def _count_labels(student: Student, splits: Splits, task: Task) -> dict[str, int]:
    doubtful_rows = 0
    for split in get_args(Split):
        rows = getattr(splits, split)
        if warning := teacher_mismatch(rows, task):
            log.warning("warning: %s split: %s", split, warning)
            doubtful_rows += len(rows)
    return {"labels_inexpressible": _inexpressible(splits.train, student, task), "doubtful_teacher": doubtful_rows}


def _inexpressible(examples: Sequence[Example], student: Student, task: Task) -> int:
    """Count the examples whose label the student cannot write; of a table once a machine."""

    def count() -> int:
        lost = 0
        for start in range(0, len(examples), _BLOCK):
            labels = Counter(example.label for example in examples[start : start + _BLOCK])
            rows = zip(labels, student.target_ids(list(labels)), strict=True)
            lost += sum(labels[label] for label, ids in rows if not task.equal(student.text(ids), label))
        return lost

    if not isinstance(examples, ExampleTable):
        return count()
    key = [digest(examples), student.codec.key(), task.key]
    folder = cached("labels", key, lambda folder: write_json(folder / _COUNT, count()))
    return int(read_json(folder / _COUNT))


def _card(recipe: Recipe, student: Student) -> Card:
    objective = recipe.objective.build()
    return Card(
        **recipe.data.model_dump(include={"task", "choices", "answer"}),
        **recipe.evaluation.model_dump(include=set(AnswerSettings.model_fields)),
        seed=recipe.seed,
        objective=objective.name,
        answer_view=objective.answer_view,
        rationale_view=objective.rationale_view,
        prompts=student.prompts,
        max_source_length=student.max_source_length,
        max_target_length=student.max_target_length,
    )
