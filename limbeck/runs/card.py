"""The model card of a finished run: Markdown with the metadata that the Hugging Face Hub reads.

The wording is in `card.md.jinja`; whatever it is filled with is escaped.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from safetensors import safe_open

from limbeck.annotation.prompts import load_prompt
from limbeck.errors import LimbeckError, ModelError, RecipeError
from limbeck.files import read_json
from limbeck.formatting import Markdown, code, interval
from limbeck.hub import could_be_name
from limbeck.models import CARD, Card
from limbeck.objectives.methods import METHODS
from limbeck.objectives.settings import ObjectiveSettings
from limbeck.runs.citations import citations
from limbeck.runs.provenance import last_part, portable
from limbeck.runs.run import Run, count_lines
from limbeck.runs.templates import render
from limbeck.tasks import get, same_value
from limbeck.tasks.settings import task_of

_PIPELINE = "text2text-generation"
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}")
# settings of training that change nothing in the student
_IRRELEVANT = re.compile(r"logging_|save_|report_to|dataloader_|eval_strategy|skip_memory|num_train_epochs|torch_empty")
_WEIGHTS = ("label_weight", "rationale_weight", "alignment_weight")


def model_card(run: Run, name: str | None = None, license: str | None = None) -> str:
    """Return the card of a finished run, the README.md beside its model.

    Args:
        run: finished; where its folder has evaluation/test.json, that is reported.
        name: the model's on the Hub, OWNER/NAME; None: the card lies in a folder with the model.
        license: an identifier of the Hub's, like apache-2.0; None: the card says that none is given.

    Raises:
        RecipeError: the licence is no identifier.
        LimbeckError: the run is not finished, or its model is incomplete.
    """
    if license is not None and not _LICENSE.fullmatch(license):
        raise RecipeError(f"{license!r:.80}: an identifier of the Hub was expected, like apache-2.0", field="--license")
    path = run.model / CARD
    if not path.is_file():
        raise ModelError(f"its trained student is gone ({CARD} is missing in model/)", path=run.path)
    card = Card.parse(read_json(path), str(path))
    recipe, results = run.recipe, run.results
    title = name.partition("/")[2] if name else f"{recipe.data.task}-{recipe.objective.name}"
    task, objective = task_of(recipe.data), recipe.objective.build()
    worked_examples = () if task.name == "custom" else load_prompt(task).examples
    segments = list(worked_examples[0].input) if worked_examples else ["A question like those of the training rows."]
    return render(
        "card.md.jinja",
        front=Markdown(_metadata(run, title, license).to_yaml()),
        title=title,
        name=Markdown(name or "."),
        folder=Markdown(name.partition("/")[2] if name else "."),
        in_folder=name is None,
        license=license,
        card=card,
        architecture=read_json(run.model / "config.json").get("model_type"),
        parameters=_parameters(run.model),
        task="a task of its owner's" if task.name == "custom" else Markdown(task.title),
        choices=card.choices or task.choices,
        segments=segments,
        row={"input": segments[0] if len(segments) == 1 else segments},
        data=recipe.resolved()["data"],
        source=_source(run),
        teacher=_teacher(run),
        notes=[line.text for split, line in count_lines(results) if split == "notes"],
        counts=[(split, line.text) for split, line in count_lines(results) if split != "notes"],
        objective=objective,
        method=_method(run),
        base=_base_model(run),
        settings=_settings(run),
        equations=task.equal is same_value,
        splits=_splits(results),
        test=results["test"],
        by_label=results["test"].get("by_label"),
        page=_page(run),
        confidence=recipe.evaluation.confidence,
        seed=recipe.seed,
        training=results["training"],
        finished=results.get("finished"),
        origin=run.provenance,
        citations=citations([recipe]),
    )


def _metadata(run: Run, title: str, license: str | None) -> ModelCardData:
    """Return the front matter; only what is known: neither language nor licence is guessed."""
    recipe, student, results = run.recipe, run.recipe.student, run.results
    names = dict.fromkeys(_hub_name(name) for name in (student.name, student.encoder, student.decoder))
    base = [name for name in names if name is not None]
    dataset = _hub_dataset(run)
    measured = [(recipe.data.task, split, results[split]) for split in ("valid", "test")]
    measured += [(task, "test", values) for task, values in (results.get("out_of_domain") or {}).items()]
    return ModelCardData(
        base_model=(base[0] if len(base) == 1 else base) or None,
        datasets=[dataset] if dataset else None,
        eval_results=[
            EvalResult(
                task_type=_PIPELINE,
                task_name="question in, answer out",
                dataset_type=dataset if dataset and name == recipe.data.task else name,
                dataset_name=name if name == recipe.data.task else f"{name}, out of domain",
                dataset_split=split,
                metric_type="accuracy",
                metric_name=f"accuracy, 95 % interval {interval(values['interval'], 3)}, n = {values['n']}",
                metric_value=values["accuracy"],
            )
            for name, split, values in measured
            if values.get("accuracy") is not None
        ]
        or None,
        library_name="transformers",
        license=license,
        model_name=title,
        pipeline_tag=_PIPELINE,
        tags=["limbeck", "distillation", "chain-of-thought", recipe.objective.name, recipe.data.task],
    )


def _hub_name(name: str | None) -> str | None:
    """Return `name` if it can be on the Hub and no local folder has it."""
    return name if name and could_be_name(name) and not Path(name).exists() else None


def _hub_dataset(run: Run) -> str | None:
    source = run.recipe.resolved()["data"].get("source", {})
    if source.get("kind") != "hub":
        return None
    task_hub = get(run.recipe.data.task).hub
    return _hub_name(source.get("path") or (task_hub.path if task_hub else None))


def _parameters(model: Path) -> Markdown:
    """Return the number of parameters, read from the headers of the weights."""
    count = 0
    paths = sorted(model.glob("*.safetensors"))
    if not paths:
        raise ModelError("no weights here (*.safetensors)", path=model)
    for path in paths:
        with safe_open(path, framework="np") as weights:
            count += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return Markdown(f"{count / 1e6:,.1f} million" if count >= 1e6 else f"{count:,}")


def _source(run: Run) -> dict[str, Any]:
    """Return where the rows came from, without this machine's paths: the fields of the source, and `files` by split."""
    source = dict(run.recipe.resolved()["data"].get("source") or {"kind": "generated"})
    file_lists = {split: source.get(f"{split}_file") or [] for split in ("train", "valid", "test")}
    file_lists = {split: [paths] if isinstance(paths, str) else paths for split, paths in file_lists.items()}
    dataset = _hub_dataset(run)
    return {
        "seed": 0,
        "splits": None,
        **source,
        "files": [(split, portable(path)) for split, paths in file_lists.items() for path in paths],
        "has_test": "test_file" in source,
        "dataset": Markdown(dataset) if dataset else None,
        "folder": last_part(str(source.get("path"))),
    }


def _teacher(run: Run) -> Markdown:
    """Return who wrote the rationales, as far as it is recorded."""
    data = run.recipe.resolved()["data"]
    source = data.get("source") or {"kind": "generated"}
    if run.recipe.objective.build().rationale_view is None and data["labels"] == "gold":
        return Markdown("none, the student learnt neither rationales nor a teacher's answers")
    if source["kind"] == "archive" or source.get("rationales"):
        return Markdown("PaLM 540B according to Hsieh et al. 2023, whose archive has its raw outputs")
    if source["kind"] == "generated":
        return Markdown(f"a script that errs on purpose in {source.get('error_rate', 0.2):.0%} of the rows")
    unknown = Markdown("not recorded, the rationales came with the rows")
    if source["kind"] != "files":
        return unknown
    file = source["train_file"]
    path = Path(file if isinstance(file, str) else file[0])
    try:
        name = read_json(path.with_name(f"{path.stem}.provenance.json")).get("teacher")
    except (LimbeckError, AttributeError, ValueError):
        return unknown
    if not isinstance(name, str):
        return unknown
    return Markdown(f"{code(name)}, according to the provenance beside the training file")


def _method(run: Run) -> dict[str, Any]:
    settings = run.recipe.objective
    method, resolved = METHODS[settings.name], settings.resolved()
    row = ObjectiveSettings(name=settings.name).resolved()
    changes = {name: value for name, value in resolved.items() if value != row[name]}
    return {
        "name": settings.name,
        "summary": Markdown(method.summary),
        "reference": Markdown(method.reference),
        "formula": Markdown(method.formula.replace("dss", METHODS["dss"].formula)),
        "weights": Markdown(", ".join(f"{name} = {resolved[name]:g}" for name in _WEIGHTS if name in resolved)),
        "changes": Markdown(", ".join(f"{code(n)} is {code(v)}, not {code(row[n])}" for n, v in changes.items())),
    }


def _base_model(run: Run) -> Markdown:
    """Return what the student was before it was trained."""
    student = run.recipe.student
    if student.scratch is not None:
        return Markdown("a T5 of random weights, with a tokenizer trained on the task's own training text")
    names = [
        f"[{code(name)}](https://huggingface.co/{name})"
        if _hub_name(name)
        else f"{code(last_part(name))}, a folder of the owner's"
        for name in (student.name, student.encoder, student.decoder)
        if name is not None
    ]
    return Markdown(
        names[0] if student.name else f"a pair: encoder {names[0]}, decoder {names[1]}, the attention between them new"
    )


def _settings(run: Run) -> dict[str, Any]:
    recipe, training = run.recipe, run.results["training"]
    arguments = recipe.resolved()["training"]
    return {
        "examples": training["examples"],
        "steps taken": training["steps"],
        "step of the checkpoint": training["best_step"],
        "seed": recipe.seed,
        "longest input, in tokens": recipe.student.max_source_length,
        "longest target, in tokens": recipe.student.max_target_length,
        **{name: value for name, value in arguments.items() if not _IRRELEVANT.match(name)},
    }


def _splits(results: Mapping[str, Any]) -> list[tuple[Markdown, dict[str, Any]]]:
    """Return each measured split's name on the card, and its accuracy with interval, exact and n."""
    foreign = results.get("out_of_domain") or {}
    splits = [(Markdown("valid, which chose the checkpoint"), results["valid"]), (Markdown("test"), results["test"])]
    splits += [(Markdown(f"test of {code(task)}, out of domain"), values) for task, values in foreign.items()]
    if not foreign:
        splits.append((Markdown("another task, out of domain"), {}))
    missing = dict.fromkeys(("accuracy", "interval", "exact", "n"))
    return [(name, {**missing, **values}) for name, values in splits]


def _page(run: Run) -> dict[str, dict[str, Any]]:
    """Return the measurements that the card reports, empty where they are missing or of an older evaluation."""
    try:
        page = run.page() or {}
    except LimbeckError:
        page = {}
    quality = page.get("quality") or {}
    return {
        "calibration": page.get("calibration") or {},
        "selective": page.get("selective") or {},
        "dependence": page.get("dependence") or {},
        "quality": quality,
        **{name: quality.get(name) or {} for name in ("bleu", "similarity", "consistency")},
    }
