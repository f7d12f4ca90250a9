"""Files as users have them, `../shared/cases`: each is read as it is meant, or refused with its line and a way out."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from limbeck.data import DataSettings, load, read_rows
from limbeck.data.conversations import read_conversations
from limbeck.data.load import Splits
from limbeck.data.summary import show
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import get
from tests.cases import CASES, case_recipe, needs_cases
from tests.helpers.archives import file_settings

pytestmark = needs_cases

AS_PARCELS = ["blank_lines.jsonl", "bom.jsonl", "comma.csv", "comment.jsonl", "crlf.jsonl", "ndjson.ndjson"]
AS_PARCELS += ["nul.jsonl", "plain.jsonl", "semicolon_bom.csv", "tab.tsv", "tab_as.csv", "trailing_comma.json"]
AS_PARCELS += ["txt.txt", "u2028.jsonl", "upper.CSV"]
REFUSED = {  # file: what the error names beside it
    "cut_line.jsonl": ":21:",
    "last_line_cut.jsonl": ":40:",
    "latin1.jsonl": ":1: not UTF-8",
    "ragged.csv": ":2: 2 cells, but the header has 3",
}


@pytest.mark.parametrize("name", AS_PARCELS)
def test_the_same_rows_in_every_form(name: str) -> None:
    kinds = [("light", "high"), ("heavy", "low")] * 20
    for i, (row, (weight, shelf)) in enumerate(zip(read_rows(CASES / "files" / name), kinds, strict=True)):
        assert row.input.replace("\u2028", "") == f"Which shelf holds parcel {i}? It is {weight}."
        reason = f"Parcel {i} is {weight}, so it lies {shelf}; that is café rule no. 3."
        assert (row.label, row.rationale) == (shelf, reason)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_its_line(name: str) -> None:
    with pytest.raises(LimbeckError, match=re.escape(f"{name}{REFUSED[name]}")):
        read_rows(CASES / "files" / name)


def recipes(*folders: str) -> list[Any]:
    """Return the recipes in these folders whose data are there."""
    params = []
    for path in (path for folder in folders for path in sorted((CASES / folder).glob("*.yaml"))):
        source = dict(case_recipe(path).data.source)
        if (path.parent / str(source.get("path") or source["train_file"])).exists():
            params.append(pytest.param(path, id=f"{path.parent.name}/{path.name}"))
    return params


def files_splits(path: Path, columns: Any = None, **data: Any) -> Splits:
    return load(file_settings({"train_file": str(path), "columns": columns or {}}, **data))


def all_rows(splits: Splits) -> list[Example]:
    return [*splits.train, *splits.valid, *splits.test]


def examples_of(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> list[Example]:
    monkeypatch.chdir(recipe.parent)
    return all_rows(load(case_recipe(recipe).data))


@pytest.mark.parametrize("recipe", recipes("files", "wrapped_json", "hub"))
def test_recipes_over_files(recipe: Path, monkeypatch: pytest.MonkeyPatch, hub_cache: None) -> None:
    examples = examples_of(recipe, monkeypatch)
    labels = {"dl"} if recipe.parent.name == "wrapped_json" else {"high", "low"}
    assert ({row.label for row in examples}, len({row.input for row in examples}) in (30, 40)) == (labels, True)


@pytest.fixture
def hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


SIZES = {"saved_dict": (27, 3, 10), "saved_single": (32, 4, 4), "train_only": (24, 3, 3), "train_val": (27, 10, 3)}
SIZES |= dict.fromkeys(("jsonl_folder", "parquet_folder"), (27, 3, 10))


@pytest.mark.parametrize("folder", SIZES)
def test_folders_as_the_hub_has_them(folder: str, hub_cache: None) -> None:
    source = {"kind": "hub", "path": str(CASES / "hub" / folder)}
    settings = DataSettings.parse({"task": "custom", "source": source}, "x")
    splits = load(settings)
    assert (len(splits.train), len(splits.valid), len(splits.test)) == SIZES[folder]
    assert not {row.input for row in splits.train} & {row.input for row in splits.test}
    if folder == "train_only":
        assert "test: no file of its own; a run holds out 0.1" in show(settings, 0)


MULTIPLE = {"bucket": "water", "oven": "bread", "loom": "cloth", "kiln": "pots"}


@pytest.mark.parametrize("recipe", recipes("multiple_choice"))
def test_multiple_choice(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = examples_of(recipe, monkeypatch)
    assert len(examples) == 40
    for example in examples:
        assert example.label == MULTIPLE[example.segments[0].rsplit(" ", 1)[1].strip("?")]
        assert (len(example.choices), example.choices.count(example.label)) == (4, 1)
        lettered = [f"({letter}) {choice}" for letter, choice in zip("abcd", example.choices, strict=True)]
        assert example.input.endswith("\n".join(lettered))
    source = case_recipe(recipe).data.source
    by_cqa = read_rows(recipe.parent / source.train_file, source.columns, task=get("cqa"))
    by_custom, by_cqa = ({(row.input, row.label, row.choices) for row in rows} for rows in (examples, by_cqa))
    assert by_custom == by_cqa


@pytest.mark.parametrize("recipe", recipes("aqua_shape"))
def test_aqua(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for example in examples_of(recipe, monkeypatch):
        jars, crates = (int(word) for word in example.segments[0].split() if word.isdecimal())
        assert (example.label, example.choices[-1]) == (str(jars * crates), "None of these")
        assert f"\n(b) {jars * crates}\n" in example.input
        assert example.rationale is not None


@pytest.mark.parametrize("recipe", recipes("gsm8k_shape"))
def test_gsm8k(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = read_rows(CASES / "gsm8k_shape" / "prompt_completion.jsonl")
    for example in [*examples_of(recipe, monkeypatch), *pairs]:
        jars, crates = (int(word) for word in example.input.split() if word.isdecimal())
        reason = f"Each crate holds {jars} jars.\n{crates} crates hold {jars}*{crates} = {jars * crates} jars."
        assert (example.label, example.rationale) == (str(jars * crates), reason)


def test_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = examples_of(CASES / "lists" / "facts_list.jsonl.yaml", monkeypatch)
    assert all(row.rationale and row.rationale.startswith("Lamps need current.\nHall ") for row in facts)
    columns: Any = {"input": "question", "label": "answer", "rationale": "explanation"}
    assert all(row.rationale is None for row in read_rows(CASES / "lists" / "null_rationale.jsonl", columns))
    pandas = examples_of(CASES / "lists" / "pandas_choices.csv.yaml", monkeypatch)
    bars = read_rows(CASES / "lists" / "pipe_choices.csv")
    assert {(row.choices, row.label) for row in [*pandas, *bars]} == {(("snow", "bread"), "bread")}


LABELS = {
    "bool": {"true": 15, "false": 15},
    "float": {"3.5": 15, "4": 15},
    "int": {"0": 15, "1": 15},
    "int_choices": {"0": 15, "1": 15},
    "mixed_case": {"Yes": 8, "yes": 8, "No": 7, "no": 7},
    "null": {"on": 10, "off": 10, "": 10},
    "empty": {"on": 15, "": 15},
}


@pytest.mark.parametrize("name", LABELS)
def test_labels(name: str) -> None:
    path, missing = CASES / "labels" / f"{name}.jsonl", LABELS[name].get("", 0)
    columns: Any = {"input": "question", "label": "answer"}
    assert Counter(row.label for row in read_rows(path, columns, labelled=False)) == LABELS[name]
    splits = files_splits(path, columns)
    assert (len(all_rows(splits)), splits.notes.get("rows_without_label", 0)) == (30 - missing, missing)


def test_fixed_choices_give_labels_their_spelling() -> None:
    for name, choices, labels in (("mixed_case", ["yes", "no"], {"yes", "no"}), ("int_choices", [0, 1], {"0", "1"})):
        splits = files_splits(CASES / "labels" / f"{name}.jsonl", choices=choices)
        assert {row.label for row in splits.train} == labels


def test_a_row_without_a_label_is_left_out_of_training_and_counted() -> None:
    splits = files_splits(CASES / "files" / "nan.jsonl")
    assert (splits.notes["rows_without_label"], splits.notes["rows_without_rationale"]) == (1, 0)
    assert len(all_rows(splits)) == 40


THOUGHTS = "Nine full crates hold 9*12 = 108 jars. One more crate has 5, so 108 + 5 = 113."
WRITTEN = "9 full crates hold 9*12 = 108 jars.\nWith 5 more that is 108+5 = 113."
SHORT = "Nine full crates hold 108, five more make 113."
RATIONALES = {  # of a solution beside the thoughts, where it reasons at all; else of the thoughts
    **dict.fromkeys(("hash_hash", "hash_with_label"), WRITTEN),
    **dict.fromkeys(("bool_label", "instruction_response", "llamafactory_v1_parts"), SHORT),
    "openthoughts": "Add 108 and 5.",
    "think_boxed": "Nine crates hold 108 jars and the last has 5.",
    "think_only_close": "Nine crates hold 108 jars, 5 more make 113.",
}


@pytest.mark.parametrize("path", sorted((CASES / "chat_formats").glob("*.jsonl")), ids=lambda path: path.stem)
@pytest.mark.parametrize("answer", ["text", "equation"])
def test_every_form_of_conversation_gives_rationale_and_label(path, answer):
    (example,), left_out = read_conversations(path, get("custom", answer=answer))
    assert example.label == example.teacher_label == "113"
    assert example.rationale == RATIONALES.get(path.stem, THOUGHTS)
    assert example.input.startswith("A crate holds 12 jars.")
    assert left_out == {}
