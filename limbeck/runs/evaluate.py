"""Measuring finished runs' students: on a split of their own data, or on another task with the same labels."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.metrics import EvaluationSettings, accuracy, choices_of, predict
from limbeck.metrics.embedding import Encoder
from limbeck.runs.differences import differences
from limbeck.runs.domain import Domain, domain_of
from limbeck.runs.measuring import Subject, dependence_of, judged_since, measures
from limbeck.runs.page import write_page
from limbeck.runs.recipe import Recipe
from limbeck.runs.run import Run, open_run
from limbeck.files import read_jsonl, write_jsonl
from limbeck.schema import Example, Prediction
from limbeck.models import Answers, EngineName, Student, open_student
from limbeck.tasks import Split, Task


def evaluate(
    path: Path | str,
    split: Split = "test",
    rationales: bool = False,
    engine: EngineName | None = None,
    answers: Answers | None = None,
    on: str | None = None,
    root: Path | None = None,
    encoder: str | None = None,
) -> dict[str, Any]:
    """Return what `evaluate_runs` does of one run."""
    (measured,) = evaluate_runs([Path(path)], split, rationales, engine, answers, on, root, encoder).values()
    return measured


def evaluate_runs(
    paths: Sequence[Path],
    split: Split = "test",
    rationales: bool = False,
    engine: EngineName | None = None,
    answers: Answers | None = None,
    on: str | None = None,
    root: Path | None = None,
    encoder: str | None = None,
    judge: Callable[[Sequence[Path]], object] | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure finished runs' students: predictions, accuracy and a page of all measures go into each one's folder.

    Args:
        paths: the runs' folders; with several, each one's page has its differences to all the others.
        split: of their own data, or of `on`'s.
        rationales: generate them too, of the students that learnt to; a run whose recipe has `evaluation.rationales`
            does so anyway. Without it the rationales that a run's folder has for the same questions stay.
        engine, answers, encoder: those of the recipe unless given.
        on: a task with the same labels, by name (in the run's own source, or in the archive at `root`), a recipe file
            whose data it is, or a file of labelled rows of the run's own task; the run's own data may then be gone.
            What comes of it stands under NAME-SPLIT, and of the test split in `results.json` under `out_of_domain`.
        root: folder of the released archive.
        judge: called with the `paths` of those students when all else is on the pages, which then get what it said;
            `judge_runs` with the same `split`, `on` and `root` is meant.

    Returns:
        By path: what `accuracy` returns; `engine` and `answers`; `in_training`, questions of other data that the
        student was trained on, where its own data is still there.

    Raises:
        LimbeckError: no finished run there, its data has gone, the labels differ, rationales are asked of
            students that all learnt none, the engine cannot run the student, or there are no choices to pick from.
    """
    given = {"engine": engine, "answers": answers, "encoder": encoder}
    changes = {name: value for name, value in given.items() if value is not None}
    runs = [_changed(open_run(Path(path)), changes) for path in paths]
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise LimbeckError(f"{', '.join(map(str, paths))}: a run stands there twice; name each once")
    learnt = [run.recipe.objective.build().rationale_view is not None for run in runs]
    check_rationales(rationales, any(learnt), runs[0].recipe.objective.name)
    domains = [domain_of(run, split, on, root) for run in runs]
    asked = [
        (run, domain, reasons and (rationales or run.recipe.evaluation.rationales))
        for run, domain, reasons in zip(runs, domains, learnt, strict=True)
    ]
    named = {run.recipe.evaluation.encoder for run, _, reasons in asked if reasons}
    encoders = {name: Encoder.load(name) for name in sorted(name for name in named if name is not None)}
    if len(asked) > 1:  # one alone is refused before anything of it is written
        for run, domain, reasons in asked:
            check_askable(open_student(run.model)[0], [domain], run.recipe, reasons)
    subjects = [_subject(run, domain, reasons) for run, domain, reasons in asked]
    compared = differences([run.predictions(domain.name) for run, domain, _ in asked], paths)
    pages = [
        measures(subject, encoders.get(subject.run.recipe.evaluation.encoder or ""), others)
        for subject, others in zip(subjects, compared, strict=True)
    ]
    _write(subjects, pages)
    if judge is not None:
        judge([path for path, reasons in zip(paths, learnt, strict=True) if reasons])
        _write(subjects, [judged_since(subject, page) for subject, page in zip(subjects, pages, strict=True)])
    return {str(path): subject.results for path, subject in zip(paths, subjects, strict=True)}


def _changed(run: Run, changes: dict[str, Any]) -> Run:
    """A finished run with the recipe's evaluation changed."""
    run.results  # noqa: B018  or the error that it is not finished
    settings = EvaluationSettings.parse(run.recipe.evaluation.model_dump() | changes, "evaluate")
    run.recipe = run.recipe.model_copy(update={"evaluation": settings})
    return run


def _subject(run: Run, domain: Domain, rationales: bool) -> Subject:
    student, _ = open_student(run.model)
    results, predictions = measure(run, student, domain, rationales)
    run.write_results(_noted(run.results, domain, results))
    return Subject(run, domain, results, predictions, *dependence_of(run, student, domain, predictions))


def _write(subjects: Sequence[Subject], pages: Sequence[dict[str, Any]]) -> None:
    for subject, page in zip(subjects, pages, strict=True):
        write_page(subject.run.path / "evaluation", subject.domain.name, page)


def _noted(results: dict[str, Any], domain: Domain, measured: dict[str, Any]) -> dict[str, Any]:
    if domain.foreign is None:
        return {**results, domain.split: measured}
    if domain.split != "test":  # the results have one place for each other task
        return results
    return {**results, "out_of_domain": {**results.get("out_of_domain", {}), domain.foreign: measured}}


def measure(
    run: Run, student: Student, domain: Domain, rationales: bool = False
) -> tuple[dict[str, Any], list[Prediction]]:
    """Accuracy of `student`, and how it was asked; and its predictions, now the run's for this domain."""
    predictions = ask(student, domain.examples, domain.task, run.recipe, rationales, title=domain.name)
    if not rationales:
        predictions = _with_earlier(run, domain, predictions)
    write_predictions(run.predictions(domain.name), predictions)
    settings = run.recipe.evaluation
    engine = settings.engine if settings.generates(rationales) else None
    seen = {} if domain.in_training is None else {"in_training": domain.in_training}
    return {
        **accuracy(predictions, domain.task.choices),
        **seen,
        "engine": engine,
        "answers": settings.answers,
    }, predictions


def _with_earlier(run: Run, domain: Domain, predictions: list[Prediction]) -> list[Prediction]:
    """The predictions with the rationales that the folder has of the same questions: asking again loses none.

    Where a student writes answer and rationale in one text, the answer has to be the same, too.
    """
    objective, rows = run.recipe.objective.build(), []
    with suppress(LimbeckError):  # none yet, or a file that is no use to anybody
        rows = [row for _, row in read_jsonl(run.predictions(domain.name))]
    fields = ("id", "input", *(("prediction",) if objective.rationale_view is objective.answer_view else ()))
    said = {tuple(str(row.get(name)) for name in fields): row.get("rationale") for row in rows}
    earlier = [said.get(tuple(getattr(one, name) for name in fields)) for one in predictions]
    return [
        replace(one, rationale=text) if isinstance(text, str) else one
        for one, text in zip(predictions, earlier, strict=True)
    ]


def check_askable(student: Student, domains: Iterable[Domain], recipe: Recipe, rationales: bool) -> None:
    """Check early what `ask` would find out late.

    Raises:
        LimbeckError: there are no choices to pick from, or one is longer than the student writes; the engine cannot run
            the student.
    """
    settings, view = recipe.evaluation, recipe.objective.build().answer_view
    if settings.answers == "choices":
        for domain in domains:
            student.check_choices(choices_of(domain.examples, domain.task, view))
    if settings.generates(rationales):
        student.engine(settings.engine)


def ask(
    student: Student,
    examples: Sequence[Example],
    task: Task,
    recipe: Recipe,
    rationales: bool = False,
    title: str | None = None,
) -> list[Prediction]:
    """A recipe's student's predictions, in the views its objective taught, right or wrong by `task`."""
    objective = recipe.objective.build()
    return predict(
        student,
        examples,
        task,
        objective.answer_view,
        objective.rationale_view if rationales else None,
        recipe.evaluation.batch_size,
        title,
        recipe.evaluation.engine,
        recipe.evaluation.answers,
        recipe.evaluation.confidence,
    )


def check_rationales(asked: bool, learnt: bool, objective: str) -> None:
    """Raises LimbeckError: rationales are asked for, and the student learnt none."""
    if asked and not learnt:
        raise LimbeckError(f"a student trained with {objective} learns no rationales; train one with dss or mi")


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions as JSON lines, without the fields that are not known."""
    write_jsonl(path, ({k: v for k, v in asdict(one).items() if v is not None} for one in predictions))
