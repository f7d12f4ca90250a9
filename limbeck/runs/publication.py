"""A finished run published: files, card (`card.md.jinja`) and citations (`papers.yaml`)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData, parse_local_safetensors_file_metadata

import limbeck
from limbeck.annotation.prompts import load_prompt
from limbeck.data.generated import GeneratedSource
from limbeck.data.load import DataSettings
from limbeck.data.sources import HubSource
from limbeck.data.views import Source
from limbeck.errors import ModelError, RecipeError
from limbeck.files import json_text, read_json
from limbeck.formatting import Markdown, interval
from limbeck.hub import could_be_name, may_be_on_hub
from limbeck.models import CARD, Card
from limbeck.models.settings import CHAT_OPTIONS, Prompts
from limbeck.objectives.methods import METHODS
from limbeck.runs.page import read_as_page, render
from limbeck.runs.recipe import Recipe
from limbeck.runs.run import Run, count_lines, flat, open_run, yaml_text
from limbeck.tasks import get, same_value

# of `save_pretrained`; no other file is published
_CONFIGS = ("config.json", "adapter_config.json", "tokenizer_config.json")
_TOKENIZERS = ("tokenizer.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "merges.txt")
_VOCABULARIES = ("vocab.json", "vocab.txt", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model")
_WEIGHTS = ("model*.safetensors", "adapter_model.safetensors")
_OTHERS = ("model.safetensors.index.json", "generation_config.json", CARD)
_MODEL_FILES = (*_WEIGHTS, *_CONFIGS, *_TOKENIZERS, *_VOCABULARIES, *_OTHERS)
_LOCAL_FIELDS = ("is_local", "local_files_only", "_commit_hash")  # of this machine
_TEXT_FIELDS = {"choices", "columns", "by_label"}  # of texts that may look like paths
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}")


@dataclass(frozen=True, kw_only=True)
class Export:
    """An export of a run's student, as its card describes it."""

    format: str
    precision: str
    model_type: str
    parameters: int
    ends: tuple[str, ...]  # the tokens that end an answer
    rows: int  # of the test split that were compared
    agreement: float  # share of them with the run's answer


def contents(
    path: Path,
    name: str | None = None,
    license: str | None = None,
    *,
    merged: Path | None = None,
    export: Export | None = None,
) -> dict[str, bytes | Path]:
    """Return the files to publish of the finished run in `path`: by name the content, or the local file.

    They are the model (or `merged`, a folder) and tokenizer with limbeck.json, unless an `export` has another format;
    the card; recipe, results and provenance, without the command line and this machine's paths. Raises ModelError if
    a file is missing.
    """
    if name is not None and ("/" not in name or not could_be_name(name)):
        raise RecipeError(f"{name!r:.200}: expected OWNER/NAME on the Hub")
    run = open_run(path)
    folder = merged or run.model
    is_hf = export is None or export.format == "hf"
    model = _model_files(folder) if is_hf else {file.name: file for file in folder.glob("tokenizer_config.json")}
    origin = {field: value for field, value in run.provenance.items() if field != "command"}
    texts = {config: json_text(_portable_config(read_json(model[config]))) for config in _CONFIGS if config in model}
    with read_as_page(run.path / "evaluation" / "test.json"):  # the card's only part without a model of its fields
        texts |= {"README.md": model_card(run, name, license, model=folder, export=export)}
    texts |= {"results.json": json_text(portable(run.results)), "provenance.json": json_text(portable(origin))}
    texts |= {"recipe.yaml": yaml_text(portable(run.recipe.resolved()))}
    return {**model, **{file: text.encode() for file, text in texts.items()}}


def _model_files(folder: Path) -> dict[str, Path]:
    for pattern in ("*config.json", "tokenizer_config.json", "*model*.safetensors"):
        if not any(folder.glob(pattern)):
            raise ModelError(f"no {pattern}; train it again", path=folder)
    adapter = folder / "adapter_config.json"
    if adapter.is_file() and not may_be_on_hub(str(read_json(adapter).get("base_model_name_or_path"))):
        raise ModelError("the adapter's base is a local folder; give --merge", path=folder)
    return {file.name: file for pattern in _MODEL_FILES for file in sorted(folder.glob(pattern))}


def model_card(
    run: Run,
    name: str | None = None,
    license: str | None = None,
    *,
    model: Path | None = None,
    export: Export | None = None,
) -> str:
    """Return a run's card; `name` is OWNER/NAME on the Hub, None for a local folder."""
    if license is not None and not _LICENSE.fullmatch(license):
        raise RecipeError(f"{license!r:.80}: expected an identifier of the Hub, like apache-2.0", field="--license")
    recipe, task = run.recipe, run.recipe.data.get_task()
    title = name.partition("/")[2] if name else f"{task.name}-{recipe.objective.name}"
    count, architecture = (export.parameters, export.model_type) if export else _size(model or run.model)
    card = Card.parse(read_json(run.model / CARD), str(run.model / CARD))
    pipeline = "text-generation" if card.prompts else "text2text-generation"
    segments = ["A question like those of the training rows."]
    if task.name != "custom":
        example = load_prompt(task).examples[0].example
        segments = [*example.segments[:-1], example.segments[-1] + example.choices_text]
    return render(
        "runs/card.md.jinja",
        front=Markdown(_metadata(run, title, license, pipeline=pipeline, export=export).to_yaml()),
        title=title,
        name=Markdown(name or "."),
        license=license,
        card=card,
        export=export,
        request=card.prompts and _request(card, card.prompts, segments),
        architecture=architecture,
        parameters=Markdown(f"{count / 1e6:,.1f} million" if count >= 1e6 else f"{count:,}"),
        task=task,
        segments=segments,
        source=recipe.data.source or GeneratedSource(),
        dataset=_hub_dataset(recipe.data),
        counts=list(count_lines(run.results)),
        objective=recipe.objective.build(),
        methods=METHODS,
        base=portable(recipe.checkpoints),
        settings=flat(portable(recipe.resolved())),
        equations=task.equal is same_value,
        run=run,
        citations=citations([recipe]),
    )


def _size(model: Path) -> tuple[int, str]:
    """Return the number of weights in a folder, and what has them."""
    files = (file for pattern in _WEIGHTS for file in model.glob(pattern))
    weights = map(parse_local_safetensors_file_metadata, files)
    count = sum(sum(metadata.parameter_count.values()) for metadata in weights)
    adapter = (model / "adapter_config.json").is_file()
    return count, "a LoRA adapter" if adapter else str(read_json(model / "config.json").get("model_type"))


def _request(card: Card, prompts: Prompts, segments: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return path and body of a question to a server of OpenAI's protocol, prompted as the student was trained."""
    body = {"model": "student", "max_tokens": card.max_target_length, "temperature": 0}
    text = prompts.content(Source(card.answer_view, tuple(segments)))
    if prompts.template != "chat":
        return "completions", {**body, "prompt": text}
    messages = [{"role": "system", "content": prompts.system}] if prompts.system else []
    messages.append({"role": "user", "content": text})
    return "chat/completions", {**body, "messages": messages, "chat_template_kwargs": CHAT_OPTIONS}


def _metadata(run: Run, title: str, license: str | None, *, pipeline: str, export: Export | None) -> ModelCardData:
    """Return the front matter; neither language nor licence is guessed."""
    recipe, results, dataset = run.recipe, run.results, _hub_dataset(run.recipe.data)
    base = [name for name in recipe.checkpoints if may_be_on_hub(name)]
    measured = [(recipe.data.task, split, results[split]) for split in ("valid", "test")]
    measured += [(task, "test", values) for task, values in results.get("out_of_domain", {}).items()]
    evaluations = [
        EvalResult(
            task_type=pipeline,
            dataset_type=dataset if dataset and name == recipe.data.task else name,
            dataset_name=name,
            dataset_split=split,
            metric_type="accuracy",
            metric_name=f"accuracy, 95 % interval {interval(values['interval'], 3)}, n = {values['n']}",
            metric_value=values["accuracy"],
        )
        for name, split, values in measured
        if values["accuracy"] is not None
    ]
    return ModelCardData(
        base_model=(base[0] if len(base) == 1 else base) or None,
        datasets=[dataset] if dataset else None,
        eval_results=evaluations or None,
        library_name="transformers" if export is None or export.format == "hf" else export.format,
        license=license,
        model_name=title,
        pipeline_tag=pipeline,
        tags=["limbeck", "distillation", "chain-of-thought", recipe.objective.name, recipe.data.task],
    )


def _hub_dataset(data: DataSettings) -> str | None:
    task_hub = get(data.task).hub
    name = data.source.path or (task_hub and task_hub.path) if isinstance(data.source, HubSource) else None
    return name if name and may_be_on_hub(name) else None


def portable(value: Any) -> Any:
    """Return a JSON value with paths out of the working directory cut to their last part."""
    match value:
        case dict():
            return {name: item if name in _TEXT_FIELDS else portable(item) for name, item in value.items()}
        case list() | tuple():
            return [portable(item) for item in value]
        case str() if value.startswith(("/", "~", "..")) or PureWindowsPath(value).drive:
            return PureWindowsPath(value).name or "."  # either slash
    return value


def _portable_config(value: Any) -> Any:
    """Return a configuration without local folders, at any depth."""
    if not isinstance(value, dict):
        return value
    return {
        name: portable(item) if name.endswith(("name_or_path", "_file")) else _portable_config(item)
        for name, item in value.items()
        if name not in _LOCAL_FIELDS
    }


def citations(recipes: Iterable[Recipe]) -> list[dict[str, str]]:
    """Return what runs of these recipes build on, each once.

    Each has `text`, one line, and `bibtex`, an entry under `key`.
    """
    pieces = {"limbeck"}  # words of `cited_for`
    for recipe in recipes:
        pieces |= {METHODS[recipe.objective.name].reference.partition(",")[0], recipe.data.task}
        pieces |= {*recipe.evaluation.out_of_domain, *(term.name for term in recipe.objective.build().terms)}
        pieces |= {recipe.data.source.kind} if recipe.data.source else set()
    text = (files("limbeck.runs") / "papers.yaml").read_text(encoding="utf-8")
    papers = yaml.safe_load(text.replace("VERSION", limbeck.__version__)).items()
    return [{"key": key, **paper} for key, paper in papers if pieces & {*paper.pop("cited_for")}]
