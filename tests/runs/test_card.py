"""The model card: metadata that the Hub's own reader takes, a run's numbers, and hostile text that does nothing."""

import json
import re
import shutil

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from limbeck.errors import LimbeckError
from limbeck.formatting import LONGEST
from limbeck.objectives import METHODS
from limbeck.runs import Recipe, evaluate, open_run, train
from limbeck.runs.card import model_card
from tests.runs.hostile import HOSTILE
from tests.runs.recipes import TINY


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = train(Recipe.parse({**TINY, "objective": "mi"}, "test"), tmp_path_factory.mktemp("runs") / "mi")
    evaluate(run.path, rationales=True)
    return open_run(run.path)


@pytest.fixture
def changed(run, tmp_path):
    """`changed(recipe=..., ...)`: a copy of the run, values in its files replaced."""

    def change(recipe=None, card=None, results=None, provenance=None, config=None):
        shutil.copytree(run.path, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
        path = tmp_path / "run" / "recipe.yaml"
        path.write_text(yaml.safe_dump({**run.recipe.resolved(), **(recipe or {})}))
        for name, values in (
            ("model/limbeck", card),
            ("model/config", config),
            ("results", results),
            ("provenance", provenance),
        ):
            file = tmp_path / "run" / f"{name}.json"
            file.write_text(json.dumps(json.loads(file.read_text()) | (values or {})))
        return open_run(tmp_path / "run")

    return change


def parsed(card: str) -> list:
    """Every token of the body, by another's parser of CommonMark and tables."""
    body = ModelCard(card).text
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    return [inner for token in tokens for inner in (token, *(token.children or ()))]


def row(card: str, name: str) -> list[str]:
    results = card[card.index("## Results") :]
    (line,) = [line for line in results.splitlines() if line.startswith(f"| {name}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def shown(words: str):
    return pytest.approx(float(words), rel=0.05 if "e" in words else 0, abs=5.1e-4)


def test_the_metadata_reads_back(run):
    data = ModelCard(model_card(run, "me/mine", "apache-2.0")).data
    assert (data.license, data.library_name, data.pipeline_tag) == (
        "apache-2.0",
        "transformers",
        "text2text-generation",
    )
    assert data.model_name == "mine"
    assert data.base_model is None
    assert {"limbeck", "mi", "arithmetic"} <= set(data.tags)
    found = {one.dataset_split: (one.metric_type, one.metric_value) for one in data.eval_results}
    assert found == {split: ("accuracy", run.results[split]["accuracy"]) for split in ("valid", "test")}
    assert f"n = {run.results['test']['n']}" in data.eval_results[1].metric_name
    assert ModelCard(model_card(run)).data.license is None
    assert "Licence: not given" in model_card(run)


def test_the_numbers_are_the_runs(run):
    card, test = model_card(run), run.results["test"]
    low, high = test["interval"]
    assert row(card, "test ") == [
        "test", f"{test['accuracy']:.3f}", f"({low:.3f} to {high:.3f})", f"{test['exact']:.3f}", str(test["n"]),
    ]  # fmt: skip
    found = json.loads((run.path / "evaluation" / "test.json").read_text())
    assert shown(row(card, "expected calibration error")[1]) == found["calibration"]["ece"]
    assert shown(row(card, "average confidence")[1]) == found["calibration"]["average_confidence"]
    assert shown(row(card, "accuracy on the surest 80%")[1]) == found["selective"]["at_coverage"][3]["accuracy"]
    assert shown(row(card, "rationales: ROUGE-L")[1]) == found["quality"]["rougeL"]
    assert "too few to learn from" in row(card, "dependence")[1]
    assert row(card, "another task")[1] == "not measured"
    origin = json.loads((run.path / "provenance.json").read_text())
    for said in (*(one["sha256"] for one in origin["data"].values()), origin["versions"]["torch"], origin["started"]):
        assert said in card
    assert "One run of one seed (7)" in card
    assert "label_weight = 0.5, rationale_weight = 0.5, alignment_weight = 0.1" in card
    assert "@inproceedings{chen2024learning," in card


def test_what_was_not_measured_is_not_made_up(changed):
    run = changed()
    shutil.rmtree(run.path / "evaluation")
    card = model_card(run)
    measured = card[card.index("On the test split, besides") : card.index("Confidence is")]
    rows = [line for line in measured.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 8
    assert all("| not measured |" in line for line in rows)


@pytest.mark.parametrize("name", ["accuracy", "n", "[]", "{"])
def test_an_evaluation_of_another_measurement_is_passed_over(name, changed):
    run = changed()
    path = run.path / "evaluation" / "test.json"
    found = json.loads(path.read_text())
    found["n"] += name == "n"
    found["accuracy"]["accuracy"] += name == "accuracy"
    path.write_text(name if name in ("[]", "{") else json.dumps(found))
    assert row(model_card(run), "expected calibration error")[1] == "not measured"


def test_other_tasks_are_results_too(changed):
    measured = {"accuracy": 0.25, "interval": [0.125, 0.5], "exact": 0.25, "n": 8}
    card = model_card(changed(results={"out_of_domain": {"svamp": measured}}))
    assert row(card, "test of `svamp`, out of domain") == [
        "test of `svamp`, out of domain", "0.250", "(0.125 to 0.500)", "0.250", "8",
    ]  # fmt: skip
    (one,) = [one for one in ModelCard(card).data.eval_results if one.dataset_type == "svamp"]
    assert (one.metric_value, one.dataset_name) == (0.25, "svamp, out of domain")


@pytest.mark.parametrize("name", METHODS)
def test_every_objective_has_a_card(name, changed):
    objective = Recipe.parse({**TINY, "objective": name}, "test").objective
    built = objective.build()
    reasons = built.rationale_view.value if built.rationale_view else None
    views = {"objective": name, "answer_view": built.answer_view.value, "rationale_view": reasons}
    card = model_card(changed({"objective": objective.resolved()}, views))
    assert METHODS[name].formula.removeprefix("dss") in card
    assert METHODS[name].reference in card
    assert ("no faithful explanation" in card) == ("| rationales: " in card) == (reasons is not None)
    assert ("no estimate of it" in card) == bool(built.pools)


def test_a_departure_from_the_row_is_said(changed):
    card = model_card(changed({"objective": {"name": "mi", "alignment_weight": 0.4, "pool": "mean"}}))
    assert "`alignment_weight` is `0.4`, not `0.1`, `pool` is `mean`, not `max`" in card


@pytest.mark.parametrize(
    ("student", "base", "words"),
    [
        ({"name": "google/t5-v1_1-base"}, "google/t5-v1_1-base", "(https://huggingface.co/google/t5-v1_1-base)"),
        ({"encoder": "me/a", "decoder": "me/b"}, ["me/a", "me/b"], "encoder [`me/a`](https://huggingface.co/me/a)"),
        ({"encoder": "me/a", "decoder": "me/a"}, "me/a", "decoder [`me/a`]"),
        ({"name": "/home/jan/secret/tiny"}, None, "`tiny`, a folder of the owner's"),
        ({"name": "models"}, None, "`models`, a folder of the owner's"),
    ],
)
def test_what_the_student_began_as(student, base, words, changed, monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    card = model_card(changed({"student": student}))
    assert ModelCard(card).data.base_model == base
    assert words in card
    assert "jan" not in card


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"task": "svamp", "source": {"kind": "archive", "root": "/x/dss", "augment": ["asdiv"]}}, "PaLM 540B"),
        ({"task": "esnli", "source": {"kind": "hub"}, "labels": "teacher"}, "[`esnli/esnli`](https://huggingface.co/"),
        ({"task": "cqa", "source": {"kind": "hub", "path": "/home/jan/rows"}}, "the data set `rows`."),
        ({"task": "custom", "source": {"kind": "files", "train_file": "/home/jan/a.jsonl"}}, "train `a.jsonl`."),
        (
            {"task": "custom", "source": {"kind": "files", "train_file": "a.jsonl"}, "test_fraction": 0.2},
            "20% of the rows",
        ),
        ({"task": "custom", "source": {"kind": "files", "train_file": "a.jsonl"}}, "not recorded, the rationales came"),
        ({"task": "arithmetic", "keep": "correct", "train_fraction": 0.5}, "A fraction of 0.5"),
    ],
    ids=str,
)
def test_the_data_and_the_teacher_are_named_as_far_as_known(data, words, changed):
    run = changed({"data": data}, {"task": data["task"]}, {"notes": {"targets_cut": 3, "sources_cut": 0}})
    card = model_card(run)
    assert words in card
    assert "/home/jan" not in card
    assert "3 targets" in card
    assert "inputs that lost" not in card
    expected = ["esnli/esnli"] if data["task"] == "esnli" else None
    assert ModelCard(card).data.datasets == expected


def test_the_teacher_that_limbeck_asked_is_named(changed, tmp_path):
    (tmp_path / "taught.provenance.json").write_text(json.dumps({"teacher": "gpt|<b>4</b>"}))
    source = {"kind": "files", "train_file": str(tmp_path / "annotated.jsonl")}
    card = model_card(changed({"data": {"task": "custom", "source": source}}, {"task": "custom"}))
    assert "Teacher: gpt\\|\\<b\\>4\\</b\\>, says the provenance" in card


def test_hostile_text_is_shown_and_does_nothing(changed):
    evil = "|<img src=x onerror=alert(1)>\n# up"
    source = {"kind": "files", "train_file": f"{evil}.jsonl", "test_file": "[x](y).jsonl"}
    data = {"task": "custom", "choices": HOSTILE, "source": source}
    found = {"accuracy": 0.5, "interval": [0.1, 0.9], "exact": 0.5, "n": 2}
    run = changed(
        {"data": data, "student": {"name": evil}},
        {"task": "custom", "choices": HOSTILE},
        {"out_of_domain": {evil: found}, "notes": {evil: 1}},
        {
            "machine": {"platform": evil, "cores": evil, "device": HOSTILE[5]},
            "revision": evil,
            "versions": {evil: evil},
            "data": {evil: {"rows": evil, "sha256": evil}},
        },
        {"model_type": evil},
    )
    card = model_card(run)
    tokens = parsed(card)
    kinds = {token.type for token in tokens}
    assert not kinds & {"html_block", "html_inline", "image", "hr", "strong_open", "em_open", "s_open"}
    links = {token.attrs["href"] for token in tokens if token.type == "link_open"}
    assert links == {"https://github.com/huggingface/transformers"}
    titles = [token.content for token, after in zip(tokens[1:], tokens, strict=False) if after.type == "heading_open"]
    assert titles == [
        "custom-mi", "Ask it", "Data", "Method", "Results", "Limits", "Where it comes from", "Citation",
    ]  # fmt: skip
    fences = [token.info for token in tokens if token.type == "fence"]
    assert fences == ["python", "json", "sh", "bibtex"]
    said = "".join(token.content for token in tokens if token.type in ("text", "code_inline", "text_special"))
    for choice in HOSTILE:
        shown = " ".join(choice.split())[:LONGEST].replace("\u202e", "<U+202E>")
        assert shown in said
    heads = [token for token in tokens if token.type == "th_open"]
    assert len(heads) == 3 + 2 + 5 + 3  # no cell more
    assert ModelCard(card).data.model_name == "custom-mi"


@pytest.mark.parametrize("license", ["", "Apache 2.0", "mit\n---", "mit: x", "../x"])
def test_a_licence_is_an_identifier(license, run):
    with pytest.raises(LimbeckError, match="an identifier of the Hub was expected") as caught:
        model_card(run, None, license)
    assert "\n" not in str(caught.value)


def test_choices_are_listed_and_not_without_end(changed):
    data = {"task": "custom", "source": {"kind": "files", "train_file": "a.jsonl"}, "choices": ["no", "yes"]}
    few, many = ["no", "yes"], [f"choice {number}" for number in range(30)]
    run = changed({"data": data}, {"task": "custom", "choices": few})
    assert "one of\n`no`, `yes`;\nnothing" in model_card(run)
    card = run.model / "limbeck.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"choices": many}))
    assert "`choice 18`, `choice 19` and 10 more;\nnothing" in model_card(run)


def test_a_student_measured_by_its_choices_says_so(changed, run):
    test = {**run.results["test"], "answers": "choices"}
    card = model_card(changed(card={"answers": "choices"}, results={"test": test}))
    assert "The accuracy below was measured otherwise" in card
    assert "Answers were the likeliest of each question's choices." in card
    assert not re.search(r"generated greedily", card)


def test_a_run_that_is_not_whole_has_no_card(changed):
    run = changed()
    (run.path / "model" / "model.safetensors").unlink()
    with pytest.raises(LimbeckError, match="no weights here"):
        model_card(run)
    (run.path / "model" / "limbeck.json").unlink()
    with pytest.raises(LimbeckError, match="its trained student is gone"):
        model_card(run)
