"""The pages of the documentation, followed to the letter."""

import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from limbeck import cli
from limbeck.files import read_jsonl, write_jsonl
from limbeck.grids import Grid, cells
from limbeck.objectives import METHODS
from limbeck.runs import train
from tests.helpers import builders, decoders
from tests.helpers.servers import HttpRequest, Server, completion
from tests.runs.recipes import TINY
from tests.serving.conftest import process

ROOT = Path(__file__).parents[1]
DOCS, README = ROOT / "docs", ROOT / "README.md"
TUTORIAL, EVALUATION, EXPERIMENTS = (DOCS / f"{name}.md" for name in ("tutorial", "evaluation", "experiments"))
TOPICS = {
    "billing": ["charged twice", "no invoice", "a wrong sum", "an unknown fee"],
    "delivery": ["a lost parcel", "a late parcel", "a wrong address", "no courier"],
    "returns": ["shoes too small", "a broken lamp", "a wrong colour", "a torn shirt"],
}
WORDS = {word: topic for topic, words in TOPICS.items() for word in words}


@pytest.mark.parametrize("page", [README, DOCS / "methods.md"])
def test_every_objective_has_its_row(page):
    assert set(METHODS) <= set(re.findall(r"^\| `(.*?)` \|", page.read_text(), re.MULTILINE))


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[list[str]]:
    """Return the words of each line after `limbeck`."""
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert all(program == "limbeck" for program, *_ in lines)
    return [words for _, *words in lines]


def write_blocks(page: Path) -> None:
    """Write every block that begins with a file's name as that file."""
    for text in [*blocks(page, "yaml"), *blocks(page, "jsonl")]:
        name, _, content = text.partition("\n")
        Path(name.removeprefix("# ")).write_text(content)


def reply(_number: int, request: HttpRequest):
    """Return the reply of a teacher that knows the words."""
    word = next((word for word in WORDS if word in request.question), "something")
    label = WORDS.get(word, "delivery")
    return completion(f"The customer speaks of {word}, which is a matter of {label}.\n\nThe answer is {label}.")


@pytest.fixture
def printed_by(monkeypatch, capsys):
    """`printed_by(block)`: the output of a block's commands, run in this process, for a new one takes seconds."""

    def run(*blocks: str) -> str:
        for words in commands("".join(blocks)):
            monkeypatch.setattr(sys, "argv", ["limbeck", *words])
            with pytest.raises(SystemExit) as end:
                cli.main()
            assert end.value.code == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    return tmp_path


def short_recipe() -> None:
    """Give the recipe of a page so few steps that it trains in a second."""
    recipe = yaml.safe_load(Path("recipe.yaml").read_text())
    recipe["training"]["max_steps"] = 2
    name = recipe["student"]  # what the Hub would give, but tiny
    builders.t5(Path(name)) if "t5" in name else decoders.decoder(Path(name), "llama")
    recipe["student"] = {"name": name, "max_target_length": 24}
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))


def test_the_readme_leads_from_three_questions_and_a_key_to_a_served_student(folder, monkeypatch, printed_by):
    write_blocks(README)
    short_recipe()
    six, others = blocks(README, "sh")
    *until_served, serving = commands(six)
    assert len(until_served) == 5
    answers = {row["input"]: row["label"] for _, row in read_jsonl(Path("questions.jsonl"))}

    def explain(_number: int, request: HttpRequest):
        label = next((label for question, label in answers.items() if question in request.question), "nowhere")
        return completion(f"It is the place for that.\n\nThe answer is {label}.")

    with Server(explain) as teacher:
        monkeypatch.setenv("OPENAI_BASE_URL", teacher.url)
        out = printed_by(six.rpartition("limbeck serve")[0])
        _, run, *words = serving
        with process(Path(run), folder / "log", *words) as served:
            (answer,) = served.ask(input="Where does a beaver live?").json()["answers"]
    assert "3 replies stored" in out
    assert (answer["answer"], answer["answered_by"]) == ("nowhere", "teacher")  # in two steps nothing is learnt
    assert (folder / "report" / "index.html").is_file()
    printed_by(others)
    exec(*blocks(README, "python"), {})
    assert len(read_jsonl(folder / "answers.jsonl")) == 3


def test_the_tutorial_leads_from_questions_to_a_student_in_use(folder, monkeypatch, printed_by):
    write_blocks(TUTORIAL)
    rows = [{"input": f"I complain about {word}, order {i}.", "label": WORDS[word]} for i in range(5) for word in WORDS]
    write_jsonl(Path("questions.jsonl"), [*(row for _, row in read_jsonl(Path("questions.jsonl"))), *rows])
    short_recipe()
    *until_served, serving, harvesting = blocks(TUTORIAL, "sh")
    with Server(reply) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        out, asked = printed_by(*until_served), server.count
        ((_, run, *words),) = commands(serving)
        with process(Path(run), folder / "log", *words) as served:
            answers = served.ask(input=["They sent me a lost parcel.", rows[0]["input"]]).json()["answers"]
        harvested = printed_by(harvesting)
    assert [answer["answer"] for answer in answers] == ["delivery", rows[0]["label"]]
    assert [answer["answered_by"] for answer in answers] == ["teacher", "teacher"]  # in two steps nothing is learnt
    assert "more.jsonl: 2 rows with 2 rationales" in harvested or "1 rows with 1" in harvested  # one may be of the test
    assert (asked, "63 replies stored" in out) == (63, True)
    assert "0.9841" in out  # of the page's three questions it takes one for another: it does not know the words
    rationales = [row.get("rationale") for _, row in read_jsonl(folder / "annotated.jsonl")]
    assert (len(rationales), rationales.count(None)) == (63, 1)
    assert rationales[3] == "The customer speaks of charged twice, which is a matter of billing."
    assert json.loads((folder / "runs" / "mine" / "results.json").read_text())["test"]["n"] == 6
    assert (folder / "student" / "config.json").is_file()


def test_the_commands_on_evaluation_lead_from_a_recipe_and_from_files_to_numbers(folder, monkeypatch, printed_by):
    write_blocks(EVALUATION)
    recipe = yaml.safe_load(Path("recipe.yaml").read_text())
    small = {**TINY, "data": recipe["data"] | {"source": TINY["data"]["source"]}, "objective": recipe["objective"]}
    Path("recipe.yaml").write_text(yaml.safe_dump(small))  # as the page has it it takes minutes
    training, files, seeds, _, judging = blocks(EVALUATION, "sh")
    with Server(lambda number, request: completion("It explains little.\nScore: 2")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        out = printed_by(training, files, seeds, judging)
    assert "| `runs/mi` |" in Path("runs/dss/evaluation/test.md").read_text()
    assert re.search(r"accuracy of A\W+0\.5000\s.*accuracy of B\W+0\.7500\s", out, re.DOTALL)


def test_the_commands_on_experiments_lead_from_a_grid_to_a_report(folder, printed_by):
    write_blocks(EXPERIMENTS)
    assert len(cells(Grid.load(folder / "grid.yaml"))) == 3 * 2 * 3
    axes = {"objective": ["dss", "mi"], "size": {"short": {"training.max_steps": 2}}}
    grid = {"recipe": TINY, "axes": axes, "seeds": 1}  # as the page has it it takes minutes
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid))
    for cell in cells(Grid.load(folder / "grid.yaml")):  # here, for processes take seconds to begin
        train(cell.recipe, folder / "runs" / cell.name)
    assert "2 of 2 finished. The runs are in runs/" in printed_by(blocks(EXPERIMENTS, "sh")[0])
    assert "2 finished runs in 2 run groups on arithmetic" in (folder / "report" / "report.md").read_text()


@pytest.mark.parametrize("page", (README, *sorted(DOCS.glob("*.md"))), ids=lambda page: page.stem)
def test_every_command_and_name_of_a_page_is_there(page, monkeypatch, printed_by):
    monkeypatch.setenv("COLUMNS", "200")  # so that no option is cut
    for words in commands("".join(blocks(page, "sh"))):
        verbs = [word for word in words[:2] if re.fullmatch("[a-z]+", word)]
        out = printed_by(f"limbeck {' '.join(verbs)} --help")
        assert all(option in out for option in words if option.startswith("--"))
    for name in re.findall(r"`(limbeck(?:\.\w+)+)`", page.read_text()):
        pkgutil.resolve_name(name)


def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=True)
    assert "Get started" in (tmp_path / "index.html").read_text()
