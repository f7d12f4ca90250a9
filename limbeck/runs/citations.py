"""Citations for runs, as text and as BibTeX: the papers of exactly the pieces they used."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

import yaml

import limbeck
from limbeck.objectives.methods import METHODS
from limbeck.runs.recipe import Recipe


@dataclass(frozen=True)
class Citation:
    """A paper, a data set or a program. `text` is one line, `bibtex` an entry under `key`."""

    key: str
    text: str
    bibtex: str


def citations(recipes: Iterable[Recipe]) -> list[Citation]:
    """Return what runs of these recipes build on, each once: limbeck, then objectives, teachers' data, data sets."""
    pieces = {"limbeck", *(piece for recipe in recipes for piece in _pieces(recipe))}
    text = (files("limbeck.runs") / "papers.yaml").read_text(encoding="utf-8")
    papers = yaml.safe_load(text.replace("VERSION", limbeck.__version__))
    cited = {key: paper for key, paper in papers.items() if pieces & set(paper["cited_for"])}
    return [Citation(key, paper["text"], paper["bibtex"]) for key, paper in cited.items()]


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
