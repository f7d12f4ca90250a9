"""Training sets against a call of the tokenizer for each text."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers.normalizers import Lowercase

from limbeck.data import View, target
from limbeck.data.examples import ExampleTable
from limbeck.errors import LimbeckError
from limbeck.models import StudentSettings
from limbeck.models.loading import load
from limbeck.models.student import Student
from limbeck.notes import lines_of
from limbeck.objectives import METHODS
from limbeck.schema import Example
from limbeck.tasks import get
from limbeck.training import dataset
from limbeck.training.dataset import tokenize
from tests.helpers import decoders
from tests.helpers.tokenizers import KINDS
from tests.models.test_tokenization import ODD, SPECIAL, WORDS, student
from tests.training.small import EXAMPLES, PARTIAL, SEVERAL, scratch

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
    prefix = "explain: " if view is View.EXPLAIN else "predict: "
    return student.tokenizer(prefix + separator.join(example.segments) + example.choices_text)["input_ids"]


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
    with mock.patch.object(dataset, "_BLOCK", 3):
        data = tokenize(examples, VIEWS, pupil)
    rows = [(view, e) for view in VIEWS for e in examples]
    for number, (view, e) in enumerate(rows):
        assert data.sources[number].tolist() == source_ids(e, view, pupil)
        assert data.targets[number].tolist() == target_ids(target(e, view), pupil)
    assert (data.notes["sources_cut"], data.notes["targets_cut"]) == (0, 0)
    for view, (ids,) in data[len(data) - 1].items():
        assert ids.source.tolist() == source_ids(examples[-1], view, pupil)
        assert ids.target.tolist() == target_ids(target(examples[-1], view), pupil)


def test_an_example_without_a_rationale_keeps_its_other_views():
    pupil = scratch()
    data = tokenize(PARTIAL, VIEWS, pupil)
    assert (len(data), len(data.targets[len(data)]), data.notes["without_target"]) == (13, 0, 0)
    joint = tokenize(PARTIAL, (View.RATIONALE_FIRST,), pupil)
    assert (len(joint), joint.notes["without_target"]) == (12, 1)
    with pytest.raises(LimbeckError, match="rationale"):
        tokenize(PARTIAL[:1], VIEWS, pupil)


def test_a_questions_rationales_share_its_weight():
    pupil = scratch()
    data = tokenize([*SEVERAL, PARTIAL[0]], (*VIEWS, View.GIVEN_RATIONALE), pupil)
    assert (len(data), len(data.targets)) == (13, 13 + 2 * 37)
    for number, row in enumerate(SEVERAL):
        ids = data[number]
        assert [len(ids[view]) for view in data.views] == [1, 3, 3]
        assert [pupil.text(shown.target) for shown in ids[View.EXPLAIN]] == list(row.rationales)
        assert [pupil.text(shown.target) for shown in ids[View.GIVEN_RATIONALE]] == [row.label] * 3
        sources = [pupil.tokenizer.decode(shown.source[:-1]) for shown in ids[View.GIVEN_RATIONALE]]
        assert all(text.endswith(words) for text, words in zip(sources, row.rationales, strict=True))
        for view, shown in ids.items():
            assert [one.weight for one in shown] == [1 / len(shown)] * len(shown)
            expected = sum(len(one.target) for one in shown) / len(shown)
            assert data.target_lengths[view][number].item() == pytest.approx(expected)


def test_a_rationale_is_drawn_an_epoch():
    pupil, drawn = scratch(), Counter()
    data = tokenize(SEVERAL, (*VIEWS, View.GIVEN_RATIONALE), pupil, draw_seed=1)
    for epoch in range(50):
        data.epoch = epoch
        for number, row in enumerate(SEVERAL):
            ids = data[number]
            (explained,), (given,) = ids[View.EXPLAIN], ids[View.GIVEN_RATIONALE]
            assert (explained.weight, given.weight) == (1.0, 1.0)
            words = pupil.text(explained.target)
            assert pupil.tokenizer.decode(given.source[:-1]).endswith(words)
            drawn[row.rationales.index(words)] += 1
    assert all(150 < drawn[number] < 250 for number in range(3))  # of 600
    # objectives that are compared share batches, which depend on lengths
    assert (data.lengths == tokenize(SEVERAL, VIEWS, pupil, draw_seed=1).lengths).all()
    soft = tokenize(SEVERAL, METHODS["soft"].views, pupil, draw_seed=1)
    assert len(soft[0][View.EXPLAIN]) == 1
    assert [shown.weight for shown in soft[0][View.CHOICES]] == [0.75, 0.25]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([*PARTIAL, *SEVERAL]), min_size=1, max_size=7),
    st.sampled_from([VIEWS, (View.RATIONALE_FIRST,), METHODS["soft"].views, (*VIEWS, View.REVERSE_QUESTION)]),
    st.sampled_from([None, 1]),
    st.integers(1, 4),
)
def test_examples_in_a_file_have_the_same_ids(assets, examples, views, draw_seed, block):
    pupil, examples = scratch(), [*examples, SEVERAL[0]]
    table = ExampleTable.cached(repr(examples), iter(examples))
    expected = tokenize(examples, views, pupil, draw_seed=draw_seed)
    with mock.patch.object(dataset, "_BLOCK", block):
        made = tokenize(table, views, pupil, draw_seed=draw_seed)
    opened = tokenize(table, views, pupil, draw_seed=draw_seed)
    assert isinstance(opened.sources.ids.base, np.memmap)
    for data in (made, opened):
        assert (data.views, data.notes, data.draw_seed) == (expected.views, expected.notes, draw_seed)
        assert data.lengths.tolist() == expected.lengths.tolist()
        assert [plain(data[i]) for i in range(len(data))] == [plain(expected[i]) for i in range(len(expected))]
        for view, lengths in expected.target_lengths.items():
            assert data.target_lengths[view].tolist() == lengths.tolist()


def plain(ids):
    return {
        view: [(row.source.tolist(), row.target.tolist(), row.weight) for row in rows] for view, rows in ids.items()
    }


def test_changed_rows_settings_and_files_are_not_taken_from_the_cache(assets, tmp_path):
    def folders() -> set[Path]:
        return {path.parent for path in assets.rglob("source_ids.npy")}

    def tokens(rows=EXAMPLES, views=VIEWS, pupil=None, draw_seed=None) -> dataset.TrainingSet:
        return tokenize(ExampleTable.cached(repr(rows), rows), views, pupil or scratch(), draw_seed=draw_seed)

    first = tokens()
    (folder,) = folders()
    tokens(draw_seed=None)
    assert folders() == {folder}
    shorter, other = scratch(), scratch()
    shorter.max_target_length -= 1
    other.codec.tokenizer.backend_tokenizer.normalizer = Lowercase()
    model = decoders.decoder(tmp_path / "gpt2", "gpt2")
    prompts = [
        load(StudentSettings(name=str(model), template=template), [], get("svamp")) for template in ("plain", "prefix")
    ]
    for count, changes in enumerate(
        [
            {"rows": EXAMPLES[:-1]},
            {"rows": [*EXAMPLES[:-1], replace(EXAMPLES[-1], label="7")]},
            {"views": (View.PREDICT,)},
            {"draw_seed": 1},
            {"pupil": shorter},
            {"pupil": other},
            *({"pupil": pupil} for pupil in prompts),
        ],
        start=2,
    ):
        tokens(**changes)
        assert len(folders()) == count
    tokens(draw_seed=2)  # draws are of an epoch, not of the ids
    assert len(folders()) == count
    path, expected = folder / "target_ids.npy", first.targets.ids.tolist()
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)
    assert np.load(path).tolist() != expected
    assert tokens().targets.ids.tolist() == expected


@pytest.mark.parametrize(("setting", "lengths"), [("source", (24, 512)), ("target", (512, 24))])
def test_more_than_one_in_a_hundred_cut_is_a_warning_that_names_the_setting(setting, lengths):
    long, short = "Luke scored 84 points. " * 9, "Luke scored."
    for count in (1, 3):
        rows = [Example("short", (short,), "yes", short)] * 199 + [Example("long", (long,), "yes", long)] * count
        training_set = tokenize(rows, (View.EXPLAIN,), student("byte-level", *lengths))
        (line,) = lines_of(training_set.notes, {f"{setting}s": len(rows)})
        assert (line.count, line.warning) == (count, count == 3)
        assert f"student.max_{setting}_length" in line.text
