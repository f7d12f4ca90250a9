"""The cache of token ids: found again, rebuilt where damaged, and never in the way."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from limbeck.data import View
from limbeck.schema import Example
from limbeck.training import cache, tokenise
from tests.tokenizers import KINDS
from tests.training.test_tokenising import VIEWS, student

EXAMPLES = [Example(f"e{i}", ("yes", f"no {i}"), "maybe", f"Luke scored {i}" if i else None) for i in range(9)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    return tmp_path


def same(left, right) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for one, other in
             ((left.sources, right.sources), (left.targets, right.targets)) for name in ("ids", "offsets")]  # fmt: skip
    return all(np.array_equal(one, other) for one, other in pairs) and left.notes == right.notes


def test_a_second_start_maps_what_the_first_wrote(home):
    first = tokenise(EXAMPLES, VIEWS, student("unigram"))
    (folder,) = (home / "tokens").iterdir()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    second = tokenise(EXAMPLES, VIEWS, student("unigram"))
    assert same(first, second)
    assert all(isinstance(array.base, np.memmap) for array in (second.sources.ids, second.targets.offsets))
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert len(list((home / "tokens").iterdir())) == 1


@pytest.mark.parametrize("harm", ["missing", "empty", "short", "garbage"])
@pytest.mark.parametrize(
    "name", ["notes.json", "sources.ids.npy", "sources.offsets.npy", "targets.ids.npy", "targets.offsets.npy"]
)
def test_a_damaged_cache_is_made_anew_with_one_line(name, harm, home, caplog):
    first = tokenise(EXAMPLES, VIEWS, student("unigram"))
    (folder,) = (home / "tokens").iterdir()
    file, whole = folder / name, (folder / name).read_bytes()
    file.unlink()
    if harm != "missing":
        file.write_bytes({"empty": b"", "short": whole[:-8], "garbage": bytes(reversed(whole))}[harm])
    with caplog.at_level(logging.WARNING):
        again = tokenise(EXAMPLES, VIEWS, student("unigram"))
    assert same(first, again)
    assert len(caplog.records) == 1
    assert "\n" not in caplog.records[0].getMessage()
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("sources.ids.npy", np.full(3, 10**6, np.int32)),
        ("targets.ids.npy", np.full(3, -7, np.int32)),
        ("sources.offsets.npy", np.zeros(0, np.int64)),
        ("sources.offsets.npy", np.zeros(1, np.int64)),
    ],
)
def test_arrays_that_cannot_be_are_not_believed(name, array, home, caplog):
    first = tokenise(EXAMPLES, VIEWS, student("unigram"))
    (folder,) = (home / "tokens").iterdir()
    if name.endswith("ids.npy"):
        whole = np.load(folder / name)
        array = np.concatenate([array, whole[3:]])
    (folder / name).unlink()  # the first's arrays are mapped from it
    np.save(folder / name, array)
    with caplog.at_level(logging.WARNING):
        assert same(first, tokenise(EXAMPLES, VIEWS, student("unigram")))
    assert len(caplog.records) == 1


def test_offsets_that_run_backwards_are_not_believed(home):
    first = tokenise(EXAMPLES, VIEWS, student("unigram"))
    (folder,) = (home / "tokens").iterdir()
    offsets = np.load(folder / "sources.offsets.npy")
    offsets[1] = offsets[2] + 3
    (folder / "sources.offsets.npy").unlink()  # or `first`, which is mapped, would change with it
    np.save(folder / "sources.offsets.npy", offsets)
    assert same(first, tokenise(EXAMPLES, VIEWS, student("unigram")))


def test_where_nothing_can_be_written_it_goes_on_in_memory(monkeypatch, caplog, home):
    first = tokenise(EXAMPLES, VIEWS, student("unigram"))
    for place in ("/proc/nowhere", str(home / "file")):
        (home / "file").write_text("in the way")
        monkeypatch.setenv("LIMBECK_CACHE", place)
        caplog.clear()
        assert same(first, tokenise(EXAMPLES, VIEWS, student("unigram")))
        assert len(caplog.records) == 1


def test_of_two_that_write_the_first_is_kept(home, caplog):
    made = tokenise(EXAMPLES, VIEWS, student("unigram"))
    (folder,) = (home / "tokens").iterdir()
    cache.write(folder, replace(made, notes={"other": 1}))
    assert cache.read(folder, VIEWS, 10**6).notes == made.notes
    assert not caplog.records
    assert [path.name for path in (home / "tokens").iterdir()] == [folder.name]


def test_the_key_is_of_everything_that_decides_the_ids(home, monkeypatch):
    pupil = student("unigram")
    place = lambda examples=EXAMPLES, views=VIEWS, by=pupil: cache.place(examples, views, by)  # noqa: E731
    base = place()
    assert place() == base
    pupil.source_ids(["a long text that is cut"] * 2)
    pupil.tokenizer("cut", truncation=True, max_length=3)  # leaves its mark in a fast tokenizer
    assert place() == base
    assert place([replace(e, id="other", teacher_label="x", choices=("no", "maybe")) for e in EXAMPLES]) == base
    first = EXAMPLES[1]
    others = [
        place([*EXAMPLES[:1], replace(first, **change), *EXAMPLES[2:]])
        for change in (
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
    ]
    for one, two in (  # the same texts in the same order, parted otherwise between two examples
        ({"segments": ("yes",)}, {"segments": ("no 0", "yes", "no 1")}),
        ({"label": "may"}, {"label": "bemaybe"}),
    ):
        others.append(place([replace(EXAMPLES[0], **one), replace(first, **two), *EXAMPLES[2:]]))
    others += [place(EXAMPLES[::-1]), place(EXAMPLES[:-1]), place(views=VIEWS[::-1]), place(views=(View.ANSWER_FIRST,))]
    others += [place(by=student(kind)) for kind in KINDS if kind != "unigram"]
    monkeypatch.setattr(pupil.model.config, "eos_token_id", [1, 2])
    others.append(place())
    monkeypatch.undo()
    monkeypatch.setattr(pupil, "max_source_length", 77)
    others.append(place())
    monkeypatch.undo()
    monkeypatch.setattr(pupil, "max_target_length", 77)
    others.append(place())
    assert len({base, *(folder for folder in others)}) == 1 + len(others)


def test_where_the_cache_lies(monkeypatch, tmp_path):
    place = lambda: cache.place(EXAMPLES, VIEWS, student("unigram")).parent  # noqa: E731
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "mine"))
    assert place() == tmp_path / "mine" / "tokens"
    monkeypatch.delenv("LIMBECK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert place() == tmp_path / "xdg" / "limbeck" / "tokens"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place() == tmp_path / ".cache" / "limbeck" / "tokens"
