"""Citations for runs, as text and as BibTeX: the papers of exactly the pieces they used."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

import yaml

import limbeck
from limbeck.objectives.methods import METHODS
from limbeck.runs.recipe import Recipe

_TITLE = "limbeck: chain-of-thought distillation into small language models"


@dataclass(frozen=True)
class Citation:
    """A paper, a data set or a program. `text` is one line, `bibtex` an entry under `key`."""

    key: str
    text: str
    bibtex: str


def citations(recipes: Iterable[Recipe]) -> list[Citation]:
    """Return what runs of these recipes build on, each once: limbeck, then objectives, teachers' data, data sets."""
    pieces = {piece for recipe in recipes for piece in _pieces(recipe)}
    version = limbeck.__version__
    bibtex = f"title = {{{{{_TITLE}}}}},\n  author = {{{{The limbeck authors}}}},\n  version = {{{version}}},\n}}"
    program = Citation("limbeck", f"{_TITLE}, version {version}", f"@software{{limbeck,\n  {bibtex}")
    papers = yaml.safe_load((files("limbeck.runs") / "papers.yaml").read_text(encoding="utf-8"))
    cited = {key: paper for key, paper in papers.items() if pieces & set(paper["cited_for"])}
    return [program, *(Citation(key, paper["text"], paper["bibtex"]) for key, paper in cited.items())]


def _pieces(recipe: Recipe) -> list[str]:
    """Return the words of `cited_for` that hold for a recipe."""
    values = recipe.resolved()
    return [
        METHODS[recipe.objective.name].reference.partition(" 20")[0],
        recipe.data.task,
        *values["evaluation"].get("out_of_domain", []),
        *(term.name for term in recipe.objective.build().terms),  # an alignment is added to distilling step by step
        values["data"].get("source", {}).get("kind"),
    ]
