"""A published run: its card, which hostile text does nothing to, and files that answer without limbeck."""

import json
import re
import subprocess
import sys

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from transformers import AutoModelForSeq2SeqLM

from limbeck.errors import ModelError
from limbeck.formatting import one_line
from limbeck.models.loading import open_student, save_merged
from limbeck.objectives.methods import METHODS
from limbeck.runs import Recipe, open_run, predict_file, train
from limbeck.runs.publication import citations, contents, model_card
from tests.helpers import builders, decoders
from tests.helpers.archives import write_rows
from tests.helpers.hub import files_of, run_beside, running
from tests.runs.hostile import HOSTILE
from tests.runs.recipes import TINY, rows_of, tiny

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"


@pytest.fixture
def changed(copied):
    """`changed(recipe, FILE={...}, ...)`: a copy of the run with values in its recipe and its JSON files replaced."""

    def change(recipe=None, **files):
        (copied.path / "recipe.yaml").write_text(yaml.safe_dump(copied.recipe.resolved() | (recipe or {})))
        for name, values in files.items():
            (file,) = (*copied.path.glob(f"{name}.json"), *copied.model.glob(f"{name}.json"))
            file.write_text(json.dumps(json.loads(file.read_text()) | values))
        return open_run(copied.path)

    return change


def table_row(card: str, name: str) -> list[str]:
    results = card[card.index("## Results") :]
    (line,) = [line for line in results.splitlines() if line.startswith(f"| {name}")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_a_card_has_the_runs_numbers(trained):
    card, results, page, origin = model_card(trained), trained.results, trained.page(), trained.provenance
    data = ModelCard(model_card(trained, "me/mine", "apache-2.0")).data
    assert (data.license, data.library_name, data.model_name) == ("apache-2.0", "transformers", "mine")
    assert (data.pipeline_tag, data.base_model, ModelCard(card).data.license) == ("text2text-generation", None, None)
    assert {"limbeck", "dss", "arithmetic"} <= set(data.tags)
    values = {result.dataset_split: (result.metric_type, result.metric_value) for result in data.eval_results}
    assert values == {split: ("accuracy", results[split]["accuracy"]) for split in ("valid", "test")}
    accuracy, (low, high), exact, n = (results["test"][key] for key in ("accuracy", "interval", "exact", "n"))
    assert table_row(card, "`test`") == [f"{accuracy:.3f}", f"({low:.3f} to {high:.3f})", f"{exact:.3f}", str(n)]
    for name, value in {
        "expected calibration error": page["calibration"]["ece"],
        "accuracy on the most confident 80%": page["selective"]["at_coverage"][3]["accuracy"],
        "rationales: ROUGE-L": page["quality"]["rougeL"],
    }.items():
        text = table_row(card, name)[0]
        assert float(text) == pytest.approx(value, rel=0.05 if "e" in text else 0, abs=5.1e-4)
    hashes = [split["sha256"] for split in origin["data"].values()]
    setting = "| `objective.label_weight` | `0.5` |"
    for text in (*hashes, origin["versions"]["torch"], origin["started"], "one seed (7)", setting):
        assert text in card


def test_other_tasks_are_results_too_and_an_older_evaluation_is_not(changed):
    measured = {"accuracy": 0.25, "interval": [0.125, 0.5], "exact": 0.25, "n": 8}
    run = changed(results={"out_of_domain": {"svamp": measured}})
    (run.path / "evaluation" / "test.json").write_text('{"accuracy": {}}')
    card = model_card(run)
    assert ("were not measured" in card, "calibration error" in card) == (True, False)
    assert table_row(card, "`svamp`") == ["0.250", "(0.125 to 0.500)", "0.250", "8"]
    (result,) = [result for result in ModelCard(card).data.eval_results if result.dataset_type == "svamp"]
    assert result.metric_value == 0.25


def archive(task: str) -> dict:
    return {"task": task, "source": {"kind": "archive", "root": "/home/jan/dss"}}


@pytest.mark.parametrize("name", METHODS)
def test_every_objective_has_a_card(name, changed):
    settings = tiny(objective=name).objective
    objective = settings.build()
    rationale_view = objective.rationale_view.value if objective.rationale_view else None
    views = {"objective": name, "answer_view": objective.answer_view.value, "rationale_view": rationale_view}
    evaluation = {"rationales": rationale_view is not None}
    card = model_card(changed({"objective": settings.resolved(), "evaluation": evaluation}, limbeck=views))
    assert METHODS[name].formula.removeprefix("dss") in card
    assert METHODS[name].reference in card
    assert ("no faithful explanation" in card) == ("| rationales: " in card) == (rationale_view is not None)
    papers = citations([tiny(objective=name, data=archive("cqa"))])
    authors_and_year = METHODS[name].reference.partition(",")[0]
    assert any(paper["text"].startswith(f"{authors_and_year}. ") for paper in papers)
    for paper in papers:
        assert re.match(rf"@(inproceedings|misc|software)\{{{paper['key']},\n.*\n}}$", paper["bibtex"], re.DOTALL)
        assert paper["bibtex"].count("{") == paper["bibtex"].count("}")


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
    run = changed({"data": data, "student": student}, limbeck={"task": data["task"]}, results={"notes": notes})
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
        limbeck={"task": "custom", "choices": HOSTILE},
        results={"out_of_domain": {evil: measured}, "notes": {evil: 1}},
        provenance={
            "machine": {"platform": evil, "cores": evil, "device": HOSTILE[5]},
            "revision": evil,
            "versions": {evil: evil},
            "data": {evil: {"rows": 3, "sha256": evil}},
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
        ({"objective": "mi"}, "chen2024learning hsieh2023distilling"),
        (
            {"objective": "answer-first", "data": archive("esnli")},
            "hsieh2023distilling wadhwa2024investigating camburu2018esnli bowman2015large",
        ),
        ({"data": archive("svamp")}, "hsieh2023distilling patel2021nlp"),
    ],
    ids=str,
)
def test_runs_cite_what_they_used_once(changes, keys):
    papers = citations([tiny(**changes), tiny(**changes, seed=8)])
    assert " ".join(paper["key"] for paper in papers) == f"limbeck {keys}"


ALWAYS = {"README.md", "recipe.yaml", "results.json", "provenance.json", "limbeck.json", "config.json"}
ALWAYS |= {"model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"}
CHOICES = ["/help", "~", "C:\\x", "../up"]  # labels that look like paths


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    return tmp_path_factory.mktemp("machine")


@pytest.fixture(scope="module")
def runs(machine, trained):
    """Runs of every way to answer, on every kind of student; their data and students lie in absolute places."""
    rows = [
        {"input": ["Luke scored 84 points", f"He scored {i}"], "label": CHOICES[i % 4], "rationale": "yes So maybe"}
        for i in range(40)
    ]
    source = {"kind": "files", "train_file": str(write_rows(machine / "rows.jsonl", rows))}
    custom = {"data": {"task": "custom", "source": source, "choices": CHOICES}}
    bert = str(builders.encoder(machine / "students" / "bert", "bert"))
    luke, mark = (
        {"name": str(builders.bart(machine / "students" / word.strip(":"), always=word)), "max_target_length": 24}
        for word in ("Luke", "Rationale:")
    )
    changes = {
        "finetune": {**custom, "objective": "finetune", "student": luke},
        "single-task": {"objective": "single-task", "student": TINY["student"] | {"max_target_length": 40}},
        "answer-first": {"objective": "answer-first", "student": mark},
        "pair": {**custom, "student": {"encoder": bert, "decoder": bert, "max_target_length": 8}},
    }
    training = {**TINY["training"], "max_steps": 2}
    recipes = {name: tiny(**values, training=training) for name, values in changes.items()}
    return {"dss": trained} | {name: train(recipe, machine / "runs" / name) for name, recipe in recipes.items()}


def write(files, folder):
    """Write the files into a new folder, as the Hub does."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())


@pytest.fixture(scope="module")
def folders(runs, machine):
    """The published files of each run, in a folder."""
    for name, run in runs.items():
        write(contents(run.path), machine / "published" / name)
    return {name: machine / "published" / name for name in runs}


CODE = """
import json, os, sys
for folder, code in json.load(sys.stdin):
    os.chdir(folder)
    exec(code, {})
    print("-- next --")
assert not any(name.partition(".")[0] == "limbeck" for name in sys.modules)
"""


def code_block(folder, language):
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", (folder / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    return block


def printed(model, card, tmp_path, *, rationales=True):
    """Return what the card's code has to print, by the answers that limbeck has."""
    (tmp_path / "in.jsonl").write_text(code_block(card, "json"))
    predict_file(model, tmp_path / "in.jsonl", tmp_path / "out.jsonl", rationales=rationales)
    (row,) = rows_of(tmp_path / "out.jsonl")
    return f"answer: {row['prediction']}\n" + (f"rationale: {row['rationale']}\n" if rationales else "")


@pytest.mark.slow
def test_the_cards_own_code_answers_as_limbeck_does(folders, tmp_path):
    blocks = [(str(folder), code_block(folder, "python")) for folder in folders.values()]
    command = [sys.executable, "-c", CODE]
    process = subprocess.run(command, input=json.dumps(blocks), capture_output=True, text=True, timeout=240)
    assert process.returncode == 0, process.stderr
    answers = dict(zip(folders, process.stdout.split("-- next --\n"), strict=False))
    for name, folder in folders.items():
        assert answers[name] == printed(folder, folder, tmp_path, rationales=name != "finetune")
    assert answers["finetune"].startswith("answer: Luke")
    assert answers["answer-first"].startswith("answer: \nrationale: Rationale: Rationale:")


def test_a_folder_is_the_model_and_names_nothing_of_the_machine(runs, folders, machine):
    for name, folder in folders.items():
        assert {path.name for path in folder.iterdir()} == ALWAYS
        for path in folder.iterdir():
            assert str(machine).encode() not in path.read_bytes(), path
        published = AutoModelForSeq2SeqLM.from_pretrained(folder).state_dict()
        trained_weights = AutoModelForSeq2SeqLM.from_pretrained(runs[name].model).state_dict()
        assert all(torch.equal(published[key], trained_weights[key]) for key in trained_weights)
        assert open_student(folder)[1] == open_student(runs[name].model)[1]
        assert "command" not in json.loads((folder / "provenance.json").read_text())
        assert json.loads((folder / "results.json").read_text()) == runs[name].results
    recipe = Recipe.parse(yaml.safe_load((folders["pair"] / "recipe.yaml").read_text()), "recipe.yaml")
    assert (str(recipe.data.source.train_file), recipe.student.encoder) == ("rows.jsonl", "bert")
    assert recipe.data.choices == list(open_student(folders["pair"])[1].choices) == CHOICES


def test_only_known_files_are_published_and_none_may_be_missing(copied):
    (copied.model / "notes.md").write_text("secret")
    assert set(contents(copied.path)) == ALWAYS
    for name in ("model.safetensors", "tokenizer_config.json"):
        (copied.model / name).unlink()
        with pytest.raises(ModelError, match=name if name.endswith("json") else "safetensors"):
            contents(copied.path)


# A process of its own, which the Hub's library wants, does what `push` does, but without the time to import torch.
UPLOAD_ALL = """
import json, sys
from pathlib import Path
from limbeck.errors import LimbeckError
from limbeck.hub import upload
outcomes = {}
for name in json.load(sys.stdin):
    files = {path.name: path for path in Path(name.rpartition("/")[2]).iterdir()}
    try:
        outcomes[name] = upload(files, name, "model", message="A student", fresh=True)
    except LimbeckError as error:
        outcomes[name] = f"error: {error}"
json.dump(outcomes, sys.stdout)
"""


def test_a_push_is_a_new_model(trained, tmp_path):
    names = ("mine", "empty", "there", "open")  # the last two: with files already; public already
    for name in names:
        write(contents(trained.path, f"me/{name}", "apache-2.0"), tmp_path / name)
    with running() as (endpoint, requests):
        outcomes = run_beside(endpoint, UPLOAD_ALL, [f"me/{name}" for name in names], tmp_path)
    for name in names[:2]:
        assert outcomes[f"me/{name}"] == f"{endpoint}/me/{name}"
        sent = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        assert files_of(requests, name, "model") == sent
    for name in names[2:]:
        assert outcomes[f"me/{name}"].startswith(f"error: me/{name}: ")
        assert not [path for path, *_ in requests if f"/{name}/commit/" in path]
    assert "hf download me/mine --local-dir mine\nlimbeck predict mine " in (tmp_path / "mine/README.md").read_text()


def test_a_merged_adapter_is_published_as_a_model_that_answers_by_the_cards_code(tmp_path, capsys, monkeypatch):
    base = decoders.decoder(tmp_path / "base", "llama", CHAT)
    student = {"name": str(base), "max_target_length": 30, "lora": {"r": 4}}
    run = train(tiny(student=student), tmp_path / "run")
    with pytest.raises(ModelError, match="--merge"):  # nobody else has its base
        contents(run.path)
    save_merged(run.model, tmp_path / "merged")
    write(contents(run.path, merged=tmp_path / "merged"), tmp_path / "published")
    assert not (tmp_path / "published" / "adapter_config.json").exists()
    card = (tmp_path / "published" / "README.md").read_text()
    assert "LoRA adapter" not in card
    monkeypatch.chdir(tmp_path / "published")
    exec(code_block(tmp_path / "published", "python"), {})
    assert capsys.readouterr().out == printed(run.path, tmp_path / "published", tmp_path)
