"""Training sets against a call of the tokenizer for each text; their cache is found again, or made anew if damaged."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import View, prefix, target
from limbeck.errors import LimbeckError
from limbeck.models.student import Student
from limbeck.notes import lines_of
from limbeck.schema import Example
from limbeck.training import preprocessing
from limbeck.training.preprocessing import cache_folder, read_cache, tokenize, write_cache
from tests.helpers.tokenizers import KINDS
from tests.models.test_tokenization import ODD, SPECIAL, WORDS, student
from tests.training.small import EXAMPLES, PARTIAL, scratch

VIEWS = (View.PREDICT, View.EXPLAIN)
text = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.lists(st.sampled_from([*WORDS, *ODD]), min_size=1, max_size=8).map(" ".join),
).filter(lambda words: words.strip() and not any(special in words for special in SPECIAL))
example = st.builds(
    Example, st.just("id"), st.lists(text, min_size=1, max_size=2).map(tuple), text, st.one_of(st.none(), text)
)


def source_ids(example: Example, view: View, student: Student) -> list[int]:
    """Return the ids of the prefixed text, as the tokenizer has it by a call of its own."""
    separator = student.tokenizer.eos_token or student.tokenizer.sep_token
    return student.tokenizer(prefix(view) + separator.join(example.segments) + example.choices_text)["input_ids"]


def target_ids(text: str | None, student: Student) -> list[int]:
    """Return the ids of the text, without the decoder's start, and with the end token that the model stops at."""
    if not text:
        return []
    ids, config = student.tokenizer(text)["input_ids"], student.model.config
    ids = ids[1:] if ids[:1] == [config.decoder_start_token_id] else ids
    return ids if ids[-1:] == [config.eos_token_id] else [*ids, config.eos_token_id]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(examples=st.lists(example, min_size=1, max_size=6))
def test_ids_are_those_of_the_prefixed_texts(kind, examples):
    pupil = student(kind)
    examples = [*examples, Example("last", ("yes",), "yes", "maybe", choices=("yes", "no"), own_choices=True)]
    data = tokenize(examples, VIEWS, pupil)
    rows = [(view, e) for view in VIEWS for e in examples]
    assert [data.sources[i] for i in range(len(rows))] == [source_ids(e, view, pupil) for view, e in rows]
    assert [data.targets[i] for i in range(len(rows))] == [target_ids(target(e, view), pupil) for view, e in rows]
    assert (data.notes["sources_cut"], data.notes["targets_cut"]) == (0, 0)


def test_examples_come_in_their_order_over_several_blocks(monkeypatch):
    monkeypatch.setattr(preprocessing, "_BLOCK", 3)
    pupil = student("unigram")
    examples = [
        Example(f"e{i}", (f"Luke {'scored ' * i}{i}",), f"{i % 2}", f"{i} points" if i % 3 else None) for i in range(11)
    ]
    data = tokenize(examples, VIEWS, pupil)
    targets = [target_ids(target(e, view), pupil) for view in VIEWS for e in examples]
    assert [data.sources[i] for i in range(22)] == [source_ids(e, view, pupil) for view in VIEWS for e in examples]
    assert [data.targets[i] for i in range(22)] == targets
    joint = tokenize(examples, (View.RATIONALE_FIRST,), pupil)
    assert (len(joint), joint.notes["without_target"]) == (7, 4)


def test_an_example_without_a_rationale_keeps_its_other_views():
    pupil = scratch()
    data = tokenize(PARTIAL, VIEWS, pupil)
    assert (len(data), data.targets[len(data)], data.notes["without_target"]) == (13, [], 0)
    joint = tokenize(PARTIAL, (View.RATIONALE_FIRST,), pupil)
    assert (len(joint), joint.notes["without_target"]) == (12, 1)
    with pytest.raises(LimbeckError, match="rationale"):
        tokenize(PARTIAL[:1], VIEWS, pupil)


@pytest.mark.parametrize(("setting", "lengths"), [("source", (24, 512)), ("target", (512, 24))])
def test_more_than_one_in_a_hundred_cut_is_a_warning_that_names_the_setting(setting, lengths):
    long, short = "Luke scored 84 points. " * 9, "Luke scored."
    examples = [Example(f"{i}", (short,), "yes", short) for i in range(199)]
    for count in (1, 3, 3):  # the last time the ids are found in the cache
        rows = [*examples, *([Example("long", (long,), "yes", long)] * count)]
        training_set = tokenize(rows, (View.EXPLAIN,), student("byte-level", *lengths))
        (line,) = lines_of(training_set.notes, {f"{setting}s": len(rows)})
        assert (line.count, line.warning) == (count, count == 3)
        assert f"student.max_{setting}_length" in line.text


def test_a_limit_that_leaves_no_label_or_no_input_is_refused_before_training():
    examples = [Example("1", ("yes",), "entailment", "maybe"), Example("2", ("no",), "no", "no")]
    for view in (View.PREDICT, View.RATIONALE_FIRST, View.ANSWER_FIRST):
        text = str(target(replace(examples[0], rationale=""), view)).strip()
        length = len(target_ids(text, student("byte-level")))
        tokenize(examples, (view,), student("byte-level", 512, length))
        with pytest.raises(LimbeckError, match=f"max_target_length to {length}"):
            tokenize(examples, (view,), student("byte-level", 512, length - 1))
    with pytest.raises(LimbeckError, match="max_source_length"):
        tokenize(examples, VIEWS, student("byte-level", 3, 512))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    return tmp_path


def is_same(left, right) -> bool:
    arrays = [
        (getattr(getattr(left, table), name), getattr(getattr(right, table), name))
        for table in ("sources", "targets")
        for name in ("ids", "offsets")
    ]
    return all(np.array_equal(ours, theirs) for ours, theirs in arrays) and left.notes == right.notes


def test_a_second_start_maps_what_the_first_wrote(home, caplog):
    first = tokenize(EXAMPLES, VIEWS, student("unigram"))
    (folder,) = (home / "tokens").iterdir()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    second = tokenize(EXAMPLES, VIEWS, student("unigram"))
    assert is_same(first, second)
    assert all(isinstance(array.base, np.memmap) for array in (second.sources.ids, second.targets.offsets))
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    write_cache(folder, replace(first, notes={"later": 1}))  # of two processes the first is kept
    assert read_cache(folder, VIEWS, 10**6).notes == first.notes
    assert not caplog.records
    assert len(list((home / "tokens").iterdir())) == 1


def missing(path, content):
    pass


def shortened(path, content):
    path.write_bytes(content[:-8])


def reversed_bytes(path, content):
    path.write_bytes(bytes(reversed(content)))


def impossible(path, content):
    """Write ids that no student has, or offsets that run backwards, in a file of the right form."""
    if path.suffix == ".json":
        path.write_text('{"sources_cut": "many"}')
        return
    path.write_bytes(content)
    array = np.load(path)
    array[1] = -7 if "ids" in path.name else array[2] + 3
    np.save(path, array)


@pytest.mark.parametrize("harm", [missing, shortened, reversed_bytes, impossible])
@pytest.mark.parametrize("name", ["notes.json", "sources.ids.npy", "targets.offsets.npy"])
def test_a_damaged_cache_is_made_anew_with_a_warning(name, harm, home, caplog):
    first = tokenize(EXAMPLES, VIEWS, student("unigram"))
    (folder,) = (home / "tokens").iterdir()
    path, content = folder / name, (folder / name).read_bytes()
    path.unlink()  # the first's arrays are mapped from it
    harm(path, content)
    with caplog.at_level(logging.WARNING):
        assert is_same(first, tokenize(EXAMPLES, VIEWS, student("unigram")))
    assert len(caplog.records) == 1
    assert path.read_bytes() == content


def test_where_nothing_can_be_written_it_goes_on_in_memory(monkeypatch, caplog, home):
    first = tokenize(EXAMPLES, VIEWS, student("unigram"))
    (home / "file").write_text("in the way")
    for folder in ("/proc/nowhere", str(home / "file")):
        monkeypatch.setenv("LIMBECK_CACHE", folder)
        caplog.clear()
        assert is_same(first, tokenize(EXAMPLES, VIEWS, student("unigram")))
        assert len(caplog.records) == 1


def test_the_key_is_of_everything_that_decides_the_ids(home, monkeypatch):
    pupil = Student(student("unigram").model, student("unigram").tokenizer, 512, 512)
    row = Example("e", ("yes", "no 1"), "maybe", "Luke scored 1")

    def folder(*rows, views=VIEWS, student=pupil):
        return cache_folder([EXAMPLES[0], *rows], views, student)

    base = folder(row)
    pupil.source_ids(["a long text that is cut"] * 2)
    pupil.tokenizer("cut", truncation=True, max_length=3)  # leaves its mark in a fast tokenizer
    assert folder(replace(row, id="other", teacher_label="x", choices=("no", "maybe"))) == base
    changes = (
        {"label": "mayb"},
        {"rationale": None},
        {"rationale": ""},
        {"segments": ("yesno 1",)},
        {"segments": ("yesn", "o 1")},
        {"choices": ("yes", "no"), "own_choices": True},
        {"choices": ("yesno",), "own_choices": True},
        {"segments": ("yes", "no 1m"), "label": "aybe"},
        {"label": "maybeL", "rationale": "uke scored 1"},
    )
    folders = [base, *(folder(replace(row, **change)) for change in changes), folder(), folder(row, row)]
    folders += [folder(row, views=VIEWS[::-1]), folder(row, views=(View.ANSWER_FIRST,))]
    folders += [folder(row, student=student(kind, 512, 512)) for kind in KINDS if kind != "unigram"]
    folders += [folder(row, student=student("unigram", *limits)) for limits in ((77, 512), (512, 77))]
    monkeypatch.setattr(pupil.model.config, "eos_token_id", [1, 2])
    folders.append(folder(row))
    assert len(set(folders)) == len(folders)


def test_where_the_cache_lies(monkeypatch, tmp_path):
    for variable, value, folder in (
        ("LIMBECK_CACHE", tmp_path / "mine", tmp_path / "mine"),
        ("XDG_CACHE_HOME", tmp_path / "xdg", tmp_path / "xdg" / "limbeck"),
        ("HOME", tmp_path, tmp_path / ".cache" / "limbeck"),
    ):
        monkeypatch.setenv(variable, str(value))
        assert cache_folder(EXAMPLES, VIEWS, student("unigram")).parent == folder / "tokens"
        monkeypatch.delenv(variable)
