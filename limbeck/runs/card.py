"""The model card of a finished run: Markdown with the metadata that the Hugging Face Hub reads."""

import json
import math
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData
from safetensors import safe_open

from limbeck.annotation.prompts import load_prompt
from limbeck.data import task_of
from limbeck.errors import LimbeckError
from limbeck.files import read_json
from limbeck.formatting import Markdown, code, interval
from limbeck.formatting import markdown as text
from limbeck.formatting import number as plain_number
from limbeck.models import CARD, Card
from limbeck.objectives import METHODS, ObjectiveSettings
from limbeck.runs import card_data, card_results
from limbeck.runs.citations import citations
from limbeck.runs.portable import last_part
from limbeck.runs.run import Run
from limbeck.tasks import same_value

_PIPELINE = "text2text-generation"
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}")
_ABILITIES = {
    ("predict", None): "It answers at once.",
    ("predict", "explain"): "It answers at once, and writes its reasons down when it is asked for them.",
    ("rationale-first", "rationale-first"): "It writes its reasons down, then its answer.",
    ("answer-first", "answer-first"): "It answers at once, and goes on to write its reasons down.",
}
# settings of training that change nothing in the student
_BESIDE = re.compile(r"logging_|save_|report_to|dataloader_|eval_strategy|skip_memory|num_train_epochs|torch_empty")


def model_card(run: Run, name: str | None = None, license: str | None = None) -> str:
    """The card of a finished run, as README.md beside its model.

    Args:
        run: finished; of evaluation/test.json in its folder, what is there is reported.
        name: the model's on the Hub, OWNER/NAME; None: the card lies in a folder with the model.
        license: an identifier of the Hub's, like apache-2.0; None: the card says that none is given.

    Raises:
        LimbeckError: the run is not finished, its model is not whole, or the licence is no identifier.
    """
    if license is not None and not _LICENSE.fullmatch(license):
        raise LimbeckError(f"--license {license!r:.80}: an identifier of the Hub was expected, like apache-2.0")
    card = _student_card(run)
    title = name.partition("/")[2] if name else f"{run.recipe.data.task}-{run.recipe.objective.name}"
    return _template().render(
        **_about(run, card),
        front=Markdown(_metadata(run, title, license).to_yaml()),
        title=title,
        name=Markdown(name or "."),
        folder=Markdown(name.partition("/")[2] if name else "."),
        here=name is None,
        card=card,
        provenance=card_results.provenance_lines(run, license),
        citations=[{"text": Markdown(one.text), "bibtex": Markdown(one.bibtex)} for one in citations([run.recipe])],
    )


def _template() -> jinja2.Template:
    # Markdown, not HTML: what a page is filled with is escaped by `text`, unless it is Markdown already
    environment = jinja2.Environment(  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        finalize=text,
    )
    environment.globals |= {
        "code": code,
        "number": number,
        "interval": lambda ends: interval(ends, 3),
        "python": _python,
    }
    return environment.from_string((files("limbeck.runs") / "card.md.jinja").read_text(encoding="utf-8"))


def _python(value: Any) -> Markdown:
    """Texts as Python writes them."""
    return Markdown(json.dumps(value, ensure_ascii=False))


def _student_card(run: Run) -> Card:
    path = run.model / CARD
    if not path.is_file():
        raise LimbeckError(f"{run.path}: its trained student is gone ({CARD} is missing in model/)")
    return Card.parse(read_json(path), str(path))


def _about(run: Run, card: Card) -> dict[str, Any]:
    """What the page says of the run, wherever it goes."""
    recipe, results, task = run.recipe, run.results, task_of(run.recipe.data)
    segments = _question(run)
    own = recipe.data.task == "custom"
    choices = card.choices or task.choices
    value = task.equal is same_value
    picked = results["test"].get("answers") == "choices"
    return {
        "architecture": read_json(run.model / "config.json").get("model_type"),
        "parameters": _size(run.model),
        "what": Markdown("a task of its owner's own") if own else Markdown(task.title),
        "ability": Markdown(_ABILITIES.get((card.answer_view, card.rationale_view), "")),
        "choices": choices,
        "segments": segments,
        "row": {"input": segments[0] if len(segments) == 1 else segments},
        "data": {"lines": card_data.data_lines(run), "splits": card_results.provenance(run)["data"]},
        "objective": _objective(run),
        "base": _base(run),
        "settings": _settings(run),
        "right": Markdown(
            f"An answer is right if it is {'an equation of the value' if value else 'the text'} that the label "
            f"{'has' if value else 'is, but for case, white space and a final full stop'}."
        ),
        "asked": Markdown("the likeliest of each question's choices") if picked
        else Markdown(f"generated greedily, by {code(results['test'].get('engine'))}"),
        "results": card_results.splits(results),
        "counts": card_results.count_sentences(results),
        "by_label": card_results.by_label(results),
        "measures": card_results.measures(card_results.evaluation(run), card.rationale_view is not None),
        "confidence": card_results.confidence(run, card),
        "limits": card_results.limits(run, card),
    }  # fmt: skip


def _question(run: Run) -> list[str]:
    """The segments of an input of the task, of limbeck's own making: rows of the data are not the card's to show."""
    task = task_of(run.recipe.data)
    worked = () if task.name == "custom" else load_prompt(task).examples
    return list(worked[0].input) if worked else ["Here stands a question as the training rows have them."]


def _size(model: Path) -> Markdown:
    """How many parameters the weights have, from their headers."""
    shapes = []
    for path in sorted(model.glob("*.safetensors")):
        with safe_open(path, framework="np") as weights:
            shapes += [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
    if not shapes:
        raise LimbeckError(f"{model}: no weights here (*.safetensors)")
    count = sum(map(math.prod, shapes))
    return Markdown(f"{count / 1e6:,.1f} million" if count >= 1e6 else f"{count:,}")


def _objective(run: Run) -> dict[str, Any]:
    settings = run.recipe.objective
    method, objective, row = METHODS[settings.name], settings.build(), ObjectiveSettings(name=settings.name).resolved()
    resolved = settings.resolved()
    weights = ", ".join(f"{name} = {resolved[name]:g}" for name in ("label_weight", "rationale_weight", "alignment_weight") if name in resolved)
    changes = {name: value for name, value in resolved.items() if value != row[name]}
    aligned = "; v and z are the student's next-token distributions on the label and on the rationale"
    return {
        "name": settings.name,
        "teaches": objective.rationale_view is not None,
        "summary": Markdown(method.summary),
        "reference": Markdown(method.reference),
        "formula": Markdown(method.formula.replace("dss", METHODS["dss"].formula)),
        "weights": Markdown(f"CE is the mean cross-entropy of tokens{aligned if objective.alignments else ''}. {weights}."),
        "changes": Markdown(", ".join(f"{code(n)} is {code(v)}, not {code(row[n])}" for n, v in changes.items())),
    }


def _base(run: Run) -> Markdown:
    """What the student was before it was trained."""
    student = run.recipe.student
    if student.scratch is not None:
        return Markdown("a T5 of random weights, with a tokenizer trained on the task's own training text")
    names = [name for name in (student.name, student.encoder, student.decoder) if name is not None]
    shown = [
        f"[{code(name)}](https://huggingface.co/{name})"
        if card_data.hub_name(name)
        else f"{code(last_part(name))}, a folder of the owner's"
        for name in names
    ]
    return Markdown(
        shown[0] if student.name else f"a pair: encoder {shown[0]}, decoder {shown[1]}, the attention between them new"
    )


def _settings(run: Run) -> dict[str, Any]:
    resolved, trained = run.recipe.resolved(), run.results["training"]
    told = {name: value for name, value in resolved["training"].items() if not _BESIDE.match(name)}
    return {
        "examples": trained["examples"],
        "steps taken": trained["steps"],
        "step of the checkpoint": trained["best_step"],
        "seed": run.recipe.seed,
        "longest input, in tokens": run.recipe.student.max_source_length,
        "longest target, in tokens": run.recipe.student.max_target_length,
        **told,
    }


def _metadata(run: Run, title: str, license: str | None) -> ModelCardData:
    """The front matter; only what is known: neither language nor licence is guessed."""
    recipe, student = run.recipe, run.recipe.student
    began = dict.fromkeys(card_data.hub_name(name) for name in (student.name, student.encoder, student.decoder))
    names = [name for name in began if name is not None]
    data_set = card_data.data_set(run)
    return ModelCardData(
        base_model=(names[0] if len(names) == 1 else names) or None,
        datasets=[data_set] if data_set else None,
        eval_results=_eval_results(run, data_set) or None,
        library_name="transformers",
        license=license,
        model_name=title,
        pipeline_tag=_PIPELINE,
        tags=["limbeck", "distillation", "chain-of-thought", recipe.objective.name, recipe.data.task],
    )


def _eval_results(run: Run, data_set: str | None) -> list[EvalResult]:
    results, task = run.results, run.recipe.data.task
    elsewhere = results.get("out_of_domain") or {}
    measured = [(task, "valid", results["valid"]), (task, "test", results["test"])]
    measured += [(other, "test", found) for other, found in elsewhere.items()]
    return [
        EvalResult(
            task_type=_PIPELINE,
            task_name="question in, answer out",
            dataset_type=data_set if data_set and name == task else name,
            dataset_name=name if name == task else f"{name}, out of domain",
            dataset_split=split,
            metric_type="accuracy",
            metric_name=f"accuracy, 95 % interval {interval(found['interval'], 3)}, n = {found['n']}",
            metric_value=found["accuracy"],
        )
        for name, split, found in measured
        if found.get("accuracy") is not None
    ]


def number(value: float | None, digits: int = 3) -> Markdown:
    """Return a measure of which a page says that it is not there."""
    return Markdown("not measured" if value is None else plain_number(value, digits))
