"""Citations: exactly the pieces that runs used."""

import re

import pytest

from limbeck.objectives.methods import METHODS
from limbeck.runs.card import citations
from tests.runs.recipes import tiny


def archive(task: str) -> dict:
    return {"task": task, "source": {"kind": "archive", "root": "x"}}


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"objective": "mi"}, ["chen2024learning", "hsieh2023distilling"]),
        ({"objective": "finetune"}, ["chen2024learning"]),
        (
            {"objective": "answer-first", "data": archive("esnli")},
            ["hsieh2023distilling", "wadhwa2024investigating", "camburu2018esnli", "bowman2015large"],
        ),
        ({"data": archive("svamp")}, ["hsieh2023distilling", "patel2021nlp"]),
    ],
    ids=str,
)
def test_runs_cite_what_they_used_once(changes, keys):
    recipes = [tiny(**changes), tiny(**changes, seed=8)]
    assert [citation.key for citation in citations(recipes)] == ["limbeck", *keys]


def test_every_objective_has_a_paper_and_entries_are_well_formed():
    for name in METHODS:
        entries = citations([tiny(objective=name, data=archive("cqa"))])
        assert len(entries) > 3
        for entry in entries:
            assert re.match(rf"@(inproceedings|software)\{{{entry.key},\n", entry.bibtex)
            assert entry.bibtex.count("{") == entry.bibtex.count("}")
            assert entry.bibtex.endswith("\n}")
            assert "\n" not in entry.text
