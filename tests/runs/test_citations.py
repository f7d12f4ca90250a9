"""Citations: exactly the pieces that runs used."""

import re

import pytest

from limbeck.objectives import METHODS
from limbeck.runs.citations import citations
from limbeck.runs.recipe import Recipe
from tests.runs.recipes import TINY


def recipe(**changes) -> Recipe:
    return Recipe.parse({**TINY, **changes}, "test")


def archive(task: str, **more) -> dict:
    return {"task": task, "source": {"kind": "archive", "root": "x", **more}}


def keys(*recipes: Recipe) -> list[str]:
    return [one.key for one in citations(recipes)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["limbeck", "hsieh2023distilling"]),
        ({"objective": "mi"}, ["limbeck", "chen2024learning", "hsieh2023distilling"]),
        ({"objective": "finetune"}, ["limbeck", "chen2024learning"]),
        ({"objective": "answer-first"}, ["limbeck", "wadhwa2024investigating"]),
        (
            {"objective": "answer-first", "data": archive("esnli")},
            ["limbeck", "hsieh2023distilling", "wadhwa2024investigating", "camburu2018esnli", "bowman2015large"],
        ),
        (
            {"data": archive("svamp", augment=["asdiv"])},
            ["limbeck", "hsieh2023distilling", "patel2021nlp", "miao2020diverse"],
        ),
        (
            {"data": {"task": "cqa", "source": {"kind": "hub"}}, "objective": "answer-first"},
            ["limbeck", "wadhwa2024investigating", "talmor2019commonsenseqa", "rajani2019explain"],
        ),
        (
            {"data": {"task": "anli1", "source": {"kind": "hub", "rationales": "x"}}, "objective": "answer-first"},
            ["limbeck", "hsieh2023distilling", "wadhwa2024investigating", "nie2020adversarial"],
        ),
    ],
    ids=str,
)
def test_what_is_cited_is_what_was_used(given, expected):
    assert keys(recipe(**given)) == expected


def test_many_runs_share_their_citations():
    assert keys(recipe(objective="mi"), recipe(objective="mi", seed=8), recipe(objective="dss")) == keys(
        recipe(objective="mi")
    )
    assert keys() == ["limbeck"]


@pytest.mark.parametrize("name", METHODS)
def test_every_objective_has_a_paper(name):
    assert len(keys(recipe(objective=name))) > 1


def test_entries_are_well_formed_and_name_their_keys():
    every = citations(recipe(objective=name, data=archive(task)) for name in METHODS for task in ("cqa", "svamp"))
    for one in every:
        assert re.match(rf"@(inproceedings|software)\{{{one.key},\n", one.bibtex)
        assert one.bibtex.count("{") == one.bibtex.count("}")
        assert "\n" not in one.text
        assert one.bibtex.endswith("\n}")
    assert "Patel et al. 2021. Are NLP Models" in next(one.text for one in every if one.key == "patel2021nlp")
