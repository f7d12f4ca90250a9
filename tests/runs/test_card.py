"""The model card: metadata that the Hub's own reader takes, a run's numbers, and hostile text that does nothing."""

import json
import re
import shutil

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from limbeck.errors import LimbeckError
from limbeck.formatting import one_line
from limbeck.objectives.methods import METHODS
from limbeck.runs import open_run
from limbeck.runs.publication import citations, model_card
from tests.runs.hostile import HOSTILE
from tests.runs.recipes import tiny


@pytest.fixture
def changed(trained, tmp_path):
    """`changed(recipe=..., ...)`: a copy of the run with values in its files replaced."""

    def change(recipe=None, *, card=None, results=None, provenance=None, config=None):
        path = tmp_path / "run"
        shutil.copytree(trained.path, path, ignore=shutil.ignore_patterns("checkpoints"))
        (path / "recipe.yaml").write_text(yaml.safe_dump({**trained.recipe.resolved(), **(recipe or {})}))
        changes = {"model/limbeck": card, "model/config": config, "results": results, "provenance": provenance}
        for name, values in changes.items():
            file = path / f"{name}.json"
            file.write_text(json.dumps(json.loads(file.read_text()) | (values or {})))
        return open_run(path)

    return change


def table_row(card: str, name: str) -> list[str]:
    results = card[card.index("## Results") :]
    (line,) = [line for line in results.splitlines() if line.startswith(f"| {name}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def shown(text: str):
    return pytest.approx(float(text), rel=0.05 if "e" in text else 0, abs=5.1e-4)


def test_the_metadata_reads_back(trained):
    data = ModelCard(model_card(trained, "me/mine", "apache-2.0")).data
    assert (data.license, data.library_name, data.model_name) == ("apache-2.0", "transformers", "mine")
    assert (data.pipeline_tag, data.base_model) == ("text2text-generation", None)
    assert {"limbeck", "dss", "arithmetic"} <= set(data.tags)
    values = {result.dataset_split: (result.metric_type, result.metric_value) for result in data.eval_results}
    assert values == {split: ("accuracy", trained.results[split]["accuracy"]) for split in ("valid", "test")}
    assert ModelCard(model_card(trained)).data.license is None


def test_the_numbers_are_the_runs(trained):
    card, test = model_card(trained), trained.results["test"]
    low, high = test["interval"]
    assert table_row(card, "`test`")[1:] == [
        f"{test['accuracy']:.3f}", f"({low:.3f} to {high:.3f})", f"{test['exact']:.3f}", str(test["n"]),
    ]  # fmt: skip
    page = trained.page()
    assert shown(table_row(card, "expected calibration error")[1]) == page["calibration"]["ece"]
    coverage = page["selective"]["at_coverage"]
    assert shown(table_row(card, "accuracy on the most confident 80%")[1]) == coverage[3]["accuracy"]
    assert shown(table_row(card, "rationales: ROUGE-L")[1]) == page["quality"]["rougeL"]
    origin = trained.provenance
    hashes = [split["sha256"] for split in origin["data"].values()]
    for text in (*hashes, origin["versions"]["torch"], origin["started"], "one seed (7)"):
        assert text in card
    assert "| `objective.label_weight` | `0.5` |" in card


def test_other_tasks_are_results_too_and_an_older_evaluation_is_not(changed):
    measured = {"accuracy": 0.25, "interval": [0.125, 0.5], "exact": 0.25, "n": 8}
    run = changed(results={"out_of_domain": {"svamp": measured}})
    (run.path / "evaluation" / "test.json").write_text('{"accuracy": {}}')
    card = model_card(run)
    assert ("were not measured" in card, "calibration error" in card) == (True, False)
    assert table_row(card, "`svamp`")[1:] == ["0.250", "(0.125 to 0.500)", "0.250", "8"]
    (result,) = [result for result in ModelCard(card).data.eval_results if result.dataset_type == "svamp"]
    assert result.metric_value == 0.25
    (run.model / "model.safetensors").unlink()
    with pytest.raises(LimbeckError):
        model_card(run)


def archive(task: str) -> dict:
    return {"task": task, "source": {"kind": "archive", "root": "/home/jan/dss"}}


@pytest.mark.parametrize("name", METHODS)
def test_every_objective_has_a_card(name, changed):
    settings = tiny(objective=name).objective
    objective = settings.build()
    rationale_view = objective.rationale_view.value if objective.rationale_view else None
    views = {"objective": name, "answer_view": objective.answer_view.value, "rationale_view": rationale_view}
    evaluation = {"rationales": rationale_view is not None}
    card = model_card(changed({"objective": settings.resolved(), "evaluation": evaluation}, card=views))
    assert METHODS[name].formula.removeprefix("dss") in card
    assert METHODS[name].reference in card
    assert ("no faithful explanation" in card) == ("| rationales: " in card) == (rationale_view is not None)
    papers = citations([tiny(objective=name, data=archive("cqa"))])
    assert len(papers) > 3
    for paper in papers:
        assert re.match(rf"@(inproceedings|software)\{{{paper.key},\n.*\n}}$", paper.bibtex, re.DOTALL)
        assert paper.bibtex.count("{") == paper.bibtex.count("}")


PAIR, FILES = {"encoder": "me/a", "decoder": "me/b"}, {"kind": "files", "train_file": "/home/jan/a.jsonl"}


@pytest.mark.parametrize(
    ("data", "student", "texts"),
    [
        (archive("svamp"), {"name": "google/t5-v1_1-base"}, ["PaLM 540B", "`google/t5-v1_1-base`"]),
        ({"task": "esnli", "source": {"kind": "hub"}}, PAIR, ["[`esnli/esnli`](https:", "began as `me/a` and `me/b`"]),
        ({"task": "custom", "source": FILES}, {"name": "/home/jan/secret/tiny"}, ["`a.jsonl`", "began as `tiny`"]),
    ],
    ids=str,
)
def test_data_and_base_models_are_named_without_this_machines_paths(*, data, student, texts, changed):
    notes = {"targets_cut": 3, "sources_cut": 0}
    run = changed({"data": data, "student": student}, card={"task": data["task"]}, results={"notes": notes})
    card = model_card(run)
    assert all(text in card for text in [*texts, "3 targets"])
    assert "jan" not in card
    on_hub = {"svamp": ("google/t5-v1_1-base", None), "esnli": (["me/a", "me/b"], ["esnli/esnli"])}
    metadata = ModelCard(card).data
    assert (metadata.base_model, metadata.datasets) == on_hub.get(data["task"], (None, None))


def test_hostile_text_is_shown_and_does_nothing(changed):
    evil = "|<img src=x onerror=alert(1)>\n# up"
    source = {"kind": "files", "train_file": f"{evil}.jsonl", "test_file": "[x](y).jsonl"}
    measured = {"accuracy": 0.5, "interval": [0.1, 0.9], "exact": 0.5, "n": 2}
    run = changed(
        {"data": {"task": "custom", "choices": HOSTILE, "source": source}, "student": {"name": evil}},
        card={"task": "custom", "choices": HOSTILE},
        results={"out_of_domain": {evil: measured}, "notes": {evil: 1}},
        provenance={
            "machine": {"platform": evil, "cores": evil, "device": HOSTILE[5]},
            "revision": evil,
            "versions": {evil: evil},
            "data": {evil: {"rows": evil, "sha256": evil}},
        },
        config={"model_type": evil},
    )
    blocks = MarkdownIt("commonmark").enable("table").parse(ModelCard(model_card(run)).text)
    tokens = [token for block in blocks for token in (block, *(block.children or ()))]
    kinds = {token.type for token in tokens}
    assert not kinds & {"html_block", "html_inline", "image", "hr", "strong_open", "em_open", "s_open"}
    links = {token.attrs["href"] for token in tokens if token.type == "link_open"}
    assert links == {"https://github.com/huggingface/transformers"}
    titles = [token.content for token, after in zip(tokens[1:], tokens, strict=False) if after.type == "heading_open"]
    assert titles == ["custom-dss", "Ask it", "Data", "Method", "Results", "Limits", "Provenance", "Citation"]
    assert [token.info for token in tokens if token.type == "fence"] == ["python", "json", "sh", "bibtex"]
    text = "".join(token.content for token in tokens if token.type in ("text", "code_inline", "text_special"))
    assert all(one_line(choice, 2000) in text for choice in HOSTILE)
    assert len([token for token in tokens if token.type == "th_open"]) == 3 + 2 + 5 + 3  # no further cell


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"objective": "mi"}, ["chen2024learning", "hsieh2023distilling"]),
        (
            {"objective": "answer-first", "data": archive("esnli")},
            ["hsieh2023distilling", "wadhwa2024investigating", "camburu2018esnli", "bowman2015large"],
        ),
        ({"data": archive("svamp")}, ["hsieh2023distilling", "patel2021nlp"]),
    ],
    ids=str,
)
def test_runs_cite_what_they_used_once(changes, keys):
    assert [paper.key for paper in citations([tiny(**changes), tiny(**changes, seed=8)])] == ["limbeck", *keys]
