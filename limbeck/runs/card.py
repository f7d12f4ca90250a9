"""The model card of a finished run, with the metadata that the Hugging Face Hub reads, and the papers to cite.

The wording is in `card.md.jinja`, the papers are in `papers.yaml`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, ModelCardData, get_local_safetensors_metadata
from huggingface_hub.errors import NotASafetensorsRepoError

import limbeck
from limbeck.annotation.prompts import load_prompt
from limbeck.data.generated import GeneratedSource
from limbeck.data.settings import DataSettings
from limbeck.data.sources import HubSource
from limbeck.errors import ModelError, RecipeError
from limbeck.files import read_json
from limbeck.formatting import Markdown, interval
from limbeck.hub import may_be_on_hub
from limbeck.models import CARD, Card
from limbeck.objectives.methods import METHODS
from limbeck.runs.page import render
from limbeck.runs.provenance import portable
from limbeck.runs.recipe import Recipe
from limbeck.runs.run import Run, count_lines, flat
from limbeck.tasks import get, same_value
from limbeck.tasks.settings import task_of

_PIPELINE = "text2text-generation"
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}")


def model_card(run: Run, name: str | None = None, license: str | None = None) -> str:
    """Return the card of a finished run, the README.md beside its model.

    Args:
        run: finished; where its folder has evaluation/test.json, that is reported.
        name: the model's on the Hub, OWNER/NAME; None: the card lies in a folder with the model.
        license: an identifier of the Hub's, like apache-2.0; None: the card says that none is given.
    """
    if license is not None and not _LICENSE.fullmatch(license):
        raise RecipeError(f"{license!r:.80}: an identifier of the Hub was expected, like apache-2.0", field="--license")
    recipe, results = run.recipe, run.results
    card = Card.parse(read_json(run.model / CARD), str(run.model / CARD))
    task = task_of(recipe.data)
    title = name.partition("/")[2] if name else f"{task.name}-{recipe.objective.name}"
    segments = ["A question like those of the training rows."]
    if task.name != "custom":
        example = load_prompt(task).examples[0].example
        segments = [*example.segments[:-1], example.segments[-1] + example.choices_text]
    return render(
        "card.md.jinja",
        front=Markdown(_metadata(run, title, license).to_yaml()),
        title=title,
        name=Markdown(name or "."),
        license=license,
        card=card,
        architecture=read_json(run.model / "config.json").get("model_type"),
        parameters=_parameters(run.model),
        task=task,
        choices=card.choices or task.choices,
        segments=segments,
        source=recipe.data.source or GeneratedSource(),
        dataset=_hub_dataset(recipe.data),
        counts=list(count_lines(results)),
        objective=recipe.objective.build(),
        method=METHODS[recipe.objective.name],
        dss=METHODS["dss"].formula,
        base=portable(recipe.checkpoints),
        settings=flat(portable(recipe.resolved())),
        equations=task.equal is same_value,
        page=run.page(),
        results=results,
        origin=run.provenance,
        citations=citations([recipe]),
    )


def _metadata(run: Run, title: str, license: str | None) -> ModelCardData:
    """Return the front matter; only what is known: neither language nor licence is guessed."""
    recipe, results, dataset = run.recipe, run.results, _hub_dataset(run.recipe.data)
    base = [name for name in recipe.checkpoints if may_be_on_hub(name)]
    measured = [(recipe.data.task, split, results[split]) for split in ("valid", "test")]
    measured += [(task, "test", values) for task, values in (results.get("out_of_domain") or {}).items()]
    evaluations = [
        EvalResult(
            task_type=_PIPELINE,
            dataset_type=dataset if dataset and name == recipe.data.task else name,
            dataset_name=name,
            dataset_split=split,
            metric_type="accuracy",
            metric_name=f"accuracy, 95 % interval {interval(values['interval'], 3)}, n = {values['n']}",
            metric_value=values["accuracy"],
        )
        for name, split, values in measured
        if values.get("accuracy") is not None
    ]
    return ModelCardData(
        base_model=(base[0] if len(base) == 1 else base) or None,
        datasets=[dataset] if dataset else None,
        eval_results=evaluations or None,
        library_name="transformers",
        license=license,
        model_name=title,
        pipeline_tag=_PIPELINE,
        tags=["limbeck", "distillation", "chain-of-thought", recipe.objective.name, recipe.data.task],
    )


def _hub_dataset(data: DataSettings) -> str | None:
    """Return the name of the data set on the Hub, where that is the source."""
    task_hub = get(data.task).hub
    name = data.source.path or (task_hub and task_hub.path) if isinstance(data.source, HubSource) else None
    return name if name and may_be_on_hub(name) else None


def _parameters(model: Path) -> Markdown:
    """Return the number of parameters, read from the headers of the weights."""
    try:
        count = sum(get_local_safetensors_metadata(model).parameter_count.values())
    except NotASafetensorsRepoError:
        raise ModelError("no weights here (*.safetensors)", path=model) from None
    return Markdown(f"{count / 1e6:,.1f} million" if count >= 1e6 else f"{count:,}")


@dataclass(frozen=True)
class Citation:
    """A paper, a data set or a program. `text` is one line, `bibtex` an entry under `key`."""

    key: str
    text: str
    bibtex: str


def citations(recipes: Iterable[Recipe]) -> list[Citation]:
    """Return what runs of these recipes build on, each once: limbeck, then objectives, teachers' data, data sets."""
    pieces = {"limbeck"}  # the words of `cited_for` that hold for a recipe
    for recipe in recipes:
        pieces |= {METHODS[recipe.objective.name].reference.partition(" 20")[0], recipe.data.task}
        pieces |= {*recipe.evaluation.out_of_domain, *(term.name for term in recipe.objective.build().terms)}
        pieces |= {recipe.data.source.kind} if recipe.data.source else set()
    text = (files("limbeck.runs") / "papers.yaml").read_text(encoding="utf-8")
    papers = yaml.safe_load(text.replace("VERSION", limbeck.__version__))
    cited = {key: paper for key, paper in papers.items() if pieces & set(paper["cited_for"])}
    return [Citation(key, paper["text"], paper["bibtex"]) for key, paper in cited.items()]
