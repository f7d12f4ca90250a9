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
from limbeck.files import read_jsonl
from limbeck.grids import Grid, cells
from limbeck.runs import Recipe, train
from tests.helpers import builders
from tests.helpers.servers import Asked, Server, completion
from tests.runs.recipes import TINY

ROOT = Path(__file__).parents[1]
DOCS, README = ROOT / "docs", ROOT / "README.md"
TUTORIAL, EVALUATION, EXPERIMENTS = (DOCS / f"{name}.md" for name in ("tutorial", "evaluation", "experiments"))
WORDS = {
    "billing": ["charged twice", "no invoice", "a wrong sum", "an unknown fee"],
    "delivery": ["a lost parcel", "a late parcel", "a wrong address", "no courier"],
    "returns": ["shoes too small", "a broken lamp", "a wrong colour", "a torn shirt"],
}


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[list[str]]:
    """Return the words of each line after `limbeck`."""
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert all(program == "limbeck" for program, *_ in lines)
    return [words for _, *words in lines]


def write_blocks(page: Path, folder: Path) -> None:
    """Write every block that begins with a file's name as that file."""
    for text in [*blocks(page, "yaml"), *blocks(page, "jsonl")]:
        name, _, content = text.partition("\n")
        (folder / name.removeprefix("# ")).write_text(content)


def reply(_number: int, request: Asked):
    """Return the reply of a teacher that knows the words."""
    pairs = [(label, word) for label, words in WORDS.items() for word in words if word in request.question]
    for label, word in pairs:
        return completion(f"The customer speaks of {word}, which is a matter of {label}.\n\nThe answer is {label}.")
    return completion("The customer wants something.\n\nThe answer is delivery.")


@pytest.fixture
def printed_by(monkeypatch, capsys):
    """`printed_by(words)`: the output of a command, run in this process, since a new one takes seconds to start."""

    def run(words: list[str]) -> str:
        monkeypatch.setattr(sys, "argv", ["limbeck", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        assert end.value.code == 0, err
        return out

    return run


def short_recipe(folder: Path, **training) -> None:
    """Give the recipe of a page so few steps that it trains in a second."""
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert recipe["training"].keys() >= training.keys()
    recipe["training"] |= training
    builders.t5(folder / recipe["student"])  # what the Hub would give, but tiny
    recipe["student"] = {"name": recipe["student"], "max_target_length": 24}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))


def test_the_readme_leads_from_three_questions_to_answers(tmp_path, monkeypatch, printed_by):
    write_blocks(README, tmp_path)
    short_recipe(tmp_path, max_steps=2)
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(README, "sh")
    for words in commands(block):
        printed_by(words)
    (code,) = blocks(README, "python")
    exec(code, {})
    assert (tmp_path / "report" / "index.html").is_file()
    assert len(read_jsonl(tmp_path / "answers.jsonl")) == 3


def test_the_tutorial_leads_from_questions_to_a_student_in_use(tmp_path, monkeypatch, printed_by):
    write_blocks(TUTORIAL, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"questions.jsonl", "annotate.yaml", "recipe.yaml"}
    questions = [
        {"input": f"I complain about {word}, order {number}.", "label": label}
        for number in range(5)
        for label, words in WORDS.items()
        for word in words
    ]
    with (tmp_path / "questions.jsonl").open("a") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in questions)
    short_recipe(tmp_path, max_steps=2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    outputs = []
    with Server(reply) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        for block in blocks(TUTORIAL, "sh"):
            outputs += map(printed_by, commands(block))
        assert server.count == 63
    assert "63 replies stored" in outputs[0]
    # of the page's three questions it takes one for another: it does not know the words
    assert "0.9841" in outputs[1]
    rows = [row for _, row in read_jsonl(tmp_path / "annotated.jsonl")]
    assert len(rows) == 63
    assert rows[3]["rationale"] == "The customer speaks of charged twice, which is a matter of billing."
    assert sum("rationale" in row for row in rows) == 62
    results = json.loads((tmp_path / "runs" / "mine" / "results.json").read_text())
    assert results["test"]["n"] == 6
    assert (tmp_path / "student" / "config.json").is_file()


def test_the_commands_on_evaluation_lead_from_a_recipe_and_from_files_to_numbers(tmp_path, monkeypatch, printed_by):
    write_blocks(EVALUATION, tmp_path)
    recipe = yaml.safe_load((tmp_path / "recipe.yaml").read_text())
    assert Recipe.parse(recipe, "the page").objective.name == "dss"
    small = {**TINY, "data": recipe["data"] | {"source": TINY["data"]["source"]}, "objective": recipe["objective"]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(small))  # as the page has it it takes minutes
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    training, files, seeds, _, judging = blocks(EVALUATION, "sh")
    with Server(lambda number, request: completion("It explains little.\nScore: 2")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        out = "".join(map(printed_by, commands(training + files + seeds + judging)))
    page = (tmp_path / "runs" / "dss" / "evaluation" / "test.md").read_text()
    assert "| `runs/mi` |" in page
    assert "| Gold | single | 2.0000 |" in page
    assert "A 0.5000, B 0.7500, on 4 examples" in out
    assert "correlation of a right answer with the score: undefined" in out


def test_the_commands_on_experiments_lead_from_a_grid_to_a_report(tmp_path, monkeypatch, printed_by):
    write_blocks(EXPERIMENTS, tmp_path)
    grid = Grid.load(tmp_path / "grid.yaml")
    assert len(cells(grid)) == 3 * 2 * 3
    axes = {"objective": ["dss", "mi"], "size": {"short": {"training.max_steps": 2}}}
    assert axes.keys() == grid.axes.keys()
    small = {"recipe": TINY, "axes": axes, "seeds": 1}  # as the page has it it takes minutes
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(small))
    monkeypatch.chdir(tmp_path)
    for cell in cells(Grid.load(tmp_path / "grid.yaml")):  # here, for processes take seconds to begin
        train(cell.recipe, tmp_path / "runs" / cell.name)
    out = "".join(map(printed_by, commands(blocks(EXPERIMENTS, "sh")[0])))
    assert "2 of 2 finished. The runs are in runs/" in out
    assert "2 finished runs in 2 run groups on arithmetic" in (tmp_path / "report" / "report.md").read_text()


PAGES = (README, *sorted(DOCS.glob("*.md")))


@pytest.mark.parametrize("text", [text for page in PAGES for text in blocks(page, "sh")])
def test_every_command_of_the_pages_is_one(text, monkeypatch, printed_by):
    monkeypatch.setenv("COLUMNS", "200")  # so that no option is cut
    for words in commands(text):
        verbs = [word for word in words[:2] if re.fullmatch("[a-z]+", word)]
        out = printed_by([*verbs, "--help"])
        options = [word for word in words if word.startswith("--")]
        assert all(option in out for option in options)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_in_python_that_a_page_gives_is_there(page):
    for name in re.findall(r"`(limbeck(?:\.\w+)+)`", page.read_text()):
        pkgutil.resolve_name(name)


def test_the_site_builds_without_a_warning(tmp_path):
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    assert "Get started" in (tmp_path / "site" / "index.html").read_text()
