"""Citations for runs, as text and as BibTeX: the papers of exactly the pieces they used."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

import limbeck
from limbeck.objectives.methods import CHEN, HSIEH, METHODS, WADHWA
from limbeck.runs.recipe import Recipe

_METHOD_PAPERS = {CHEN: "chen2024learning", HSIEH: "hsieh2023distilling", WADHWA: "wadhwa2024investigating"}
_DATA_PAPERS = {
    "svamp": ("patel2021nlp",),
    "cqa": ("talmor2019commonsenseqa", "rajani2019explain"),
    "esnli": ("camburu2018esnli", "bowman2015large"),
    "anli1": ("nie2020adversarial",),
}


@dataclass(frozen=True)
class Citation:
    """A paper, a data set or a program. `text` is one line, `bibtex` an entry under `key`."""

    key: str
    text: str
    bibtex: str


def citations(recipes: Iterable[Recipe]) -> list[Citation]:
    """Return what runs of these recipes build on, each once: limbeck, then objectives, teachers' data, data sets."""
    keys = {key for recipe in recipes for key in (*_objective_papers(recipe), *_data_papers(recipe))}
    title = "limbeck: chain-of-thought distillation into small language models"
    fields = {"title": f"{{{title}}}", "author": "{The limbeck authors}", "version": limbeck.__version__}
    program = Citation("limbeck", f"{title}, version {limbeck.__version__}", _bibtex("software", "limbeck", fields))
    return [program, *(_paper(key, **fields) for key, fields in _papers().items() if key in keys)]


def _objective_papers(recipe: Recipe) -> list[str]:
    reference = METHODS[recipe.objective.name].reference
    keys = [key for authors, key in _METHOD_PAPERS.items() if reference.startswith(authors)]
    if recipe.objective.build().alignments:
        keys.append("hsieh2023distilling")  # an alignment is added to its two tasks
    return keys


def _data_papers(recipe: Recipe) -> list[str]:
    resolved = recipe.resolved()
    source = resolved["data"].get("source", {})
    tasks = [recipe.data.task, *resolved["evaluation"].get("out_of_domain", [])]
    keys = [key for task in tasks for key in _DATA_PAPERS.get(task, ())]
    if source.get("kind") == "archive" or source.get("rationales"):
        keys.append("hsieh2023distilling")
    return keys


@cache
def _papers() -> Mapping[str, dict[str, Any]]:
    return yaml.safe_load((files("limbeck.runs") / "papers.yaml").read_text(encoding="utf-8"))


def _paper(key: str, *, title: str, authors: str, venue: str, year: int, arxiv: str) -> Citation:
    families = [author.partition(",")[0] for author in authors.split(" and ")]
    names = " and ".join(families) if len(families) <= 2 else f"{families[0]} et al."
    fields = {"title": f"{{{title}}}", "author": authors, "booktitle": venue, "year": str(year)}
    fields |= {"eprint": arxiv, "archivePrefix": "arXiv"}
    text = f"{names} {year}. {title.rstrip('.')}. {venue}. arXiv:{arxiv}"
    return Citation(key, text, _bibtex("inproceedings", key, fields))


def _bibtex(kind: str, key: str, fields: Mapping[str, str]) -> str:
    return "\n".join([f"@{kind}{{{key},", *(f"  {name} = {{{value}}}," for name, value in fields.items()), "}"])
