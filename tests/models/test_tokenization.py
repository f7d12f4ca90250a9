"""Ids are framed as the model wants them, no text becomes a special token, and texts are cut where that harms least."""

import copy
import functools
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from limbeck.data import Source, View, source, split_target, target
from limbeck.errors import LimbeckError
from limbeck.models import ScratchSettings
from limbeck.models.encoder_decoder import EncoderDecoderStudent, SegmentCodec, SourceCollator
from limbeck.models.loading import build_t5
from limbeck.models.student import Student
from limbeck.models.tokenization import IGNORE, ViewIds
from limbeck.schema import Example
from tests.helpers.tokenizers import KINDS, TEXTS

VIEWS = sorted(View)
SPECIAL = ["</s>", "[SEP]", "<pad>", "<extra_id_0>", "<eos>", "[CLS]", "<unk>", "<s>", "<bos>", "<mask>", "＜/s＞"]
WORDS = sorted({word for text in TEXTS for word in text.split() if ":" not in word})
ODD = ["\n", "a:b", "ﬁ", "é", "e\u0301"]
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=30).map(" ".join)
spelled = st.lists(st.sampled_from([*WORDS, *ODD, *SPECIAL]), min_size=1, max_size=8).map(" ".join)
glued = st.lists(st.sampled_from([*WORDS[::9], *SPECIAL]), min_size=1, max_size=4).map("".join)
ids = st.lists(st.integers(0, 99), max_size=20)


@functools.cache
def student(kind: str, max_source_length: int = 4096, max_target_length: int = 4096) -> Student:
    """Return a student with a tokenizer of this kind."""
    if (max_source_length, max_target_length) != (4096, 4096):
        return EncoderDecoderStudent(student(kind).model, student(kind).tokenizer, max_source_length, max_target_length)
    tokenizer = KINDS[kind]()
    model = build_t5(ScratchSettings(d_model=8, d_kv=4, d_ff=8, num_heads=1, num_layers=1), tokenizer)
    if tokenizer.cls_token_id is not None:  # as a pair of encoders has it
        model.config.decoder_start_token_id = tokenizer.cls_token_id
        model.config.eos_token_id = tokenizer.sep_token_id
    return EncoderDecoderStudent(model, tokenizer, max_source_length, max_target_length)


def padded(rows: list[list[int]], value: int, multiple: int) -> torch.Tensor:
    """Fill lists up to the longest, and up to a multiple."""
    width = max(-(-max(map(len, rows)) // multiple) * multiple, 1)
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ids, ids, ids, ids), min_size=1, max_size=6), st.booleans())
def test_a_batch_is_what_padding_lists_gives(rows, reads_padding):
    views = (View.PREDICT, View.EXPLAIN)
    sources = {view: [[7, *row[number]] for row in rows] for number, view in enumerate(views)}
    targets = {view: [row[2 + number] for row in rows] for number, view in enumerate(views)}
    examples = [{view: [ViewIds(sources[view][i], targets[view][i])] for view in views} for i in range(len(rows))]
    multiple = 1 if reads_padding else 8
    batch = SourceCollator(9, reads_padding)(examples)
    complete = {view: [i for i, ids in enumerate(targets[view]) if ids] or [0] for view in views}
    inputs = [sources[view][i] for view in views for i in complete[view]]
    assert torch.equal(batch["input_ids"], padded(inputs, 9, multiple))
    assert torch.equal(batch["attention_mask"], padded([[1] * len(row) for row in inputs], 0, multiple))
    for view in views:
        read = [targets[view][i] for i in complete[view]]
        assert torch.equal(batch["targets"][view], padded(read, IGNORE, multiple).long())
        width = max(map(len, read)) if reads_padding else 0
        assert batch["labels"][view].tolist() == [id for row in read for id in row + [IGNORE] * (width - len(row))]
        assert torch.equal(batch["targets"][view].flatten()[batch["places"][view]], batch["labels"][view])
        assert batch["sizes"][view] == [width or len(ids) if ids else 0 for ids in targets[view]]
        numbers = batch["index"][view]
        assert (numbers >= 0).sum(1).tolist() == batch["sizes"][view]
        assert numbers[numbers >= 0].tolist() == list(range(len(batch["labels"][view])))


def special_ids(ids: list[int], student: Student) -> list[int]:
    """Return the special tokens among ids, without that of unknown text."""
    special = set(student.tokenizer.all_special_ids) - {student.tokenizer.unk_token_id}
    return [id for id in ids if id in special]


LABELLED = (View.PREDICT, View.CHOICES, View.GIVEN_RATIONALE, View.RATIONALE_FIRST, View.ANSWER_FIRST)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(segments=st.lists(st.one_of(spelled, glued), min_size=1, max_size=3), label=st.one_of(spelled, glued))
def test_text_that_spells_a_special_token_is_ordinary_text(kind, segments, label):
    pupil, tokenizer = student(kind), student(kind).tokenizer
    ((ids,), _), (targets,) = pupil.source_ids([Source("predict: ", tuple(segments))]), pupil.target_ids([label])
    separator = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    frame = special_ids(tokenizer("yes")["input_ids"], pupil)
    begin, end = (frame[:1], frame[1:]) if kind in ("gemma", "words", "wordpiece") else ([], frame)
    assert special_ids(ids, pupil) == [*begin, *[separator] * (len(segments) - 1), *end]
    begin = [] if begin == [pupil.model.config.decoder_start_token_id] else begin
    assert special_ids(targets, pupil) == [*begin, pupil.codec.end]
    assert targets[-1] == pupil.codec.end


def test_a_target_ends_with_the_tokenizers_end_if_that_is_one_of_the_models():
    tokenizer, config = student("t5").tokenizer, copy.copy(student("t5").model.config)
    for ends in (1, [1], [5, 1]):
        config.eos_token_id = ends
        assert SegmentCodec(tokenizer, config, 100).targets(["yes no"])[0] == tokenizer("yes no")["input_ids"]
    for ends in ([], [10**6], [1, 10**6], -1):  # a model that cannot end
        config.eos_token_id = ends
        with pytest.raises(LimbeckError, match="eos_token_id"):
            SegmentCodec(tokenizer, config, 100)


def target_ids(example: Example, view: View, student: Student) -> list[int] | None:
    """Return the ids of the example's target; None where the student refuses it."""
    try:
        return student.fitted_target_ids([example], view)[0][0]
    except LimbeckError:
        return None


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(
    view=st.sampled_from(VIEWS),
    label=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
    rationale=words,
    limit=st.integers(1, 60),
)
@example(view=View.RATIONALE_FIRST, label="yes", rationale="0" * 300, limit=19)
@example(view=View.ANSWER_FIRST, label="no", rationale="因为水是湿的" * 20, limit=27)
def test_no_target_loses_its_label_or_its_end_at_any_limit(kind, view, label, *, rationale, limit):
    options = {
        "wrong_rationales": (rationale,),
        "votes": ((label, 0.5), ("other", 0.5)),
        "reverse": (rationale, rationale),
    }
    pupil, row = student(kind), Example("1", ("q",), label, rationale, **options)
    bare = replace(row, rationale="", reverse=("", ""))
    texts = [str(target(example, view)).strip() for example in (row, bare)]
    complete, shortest = pupil.target_ids(texts)
    ids, end = target_ids(row, view, student(kind, max_target_length=limit)), pupil.codec.end
    if len(complete) <= limit:
        assert ids == complete
    elif view in LABELLED and len(shortest) > limit:
        assert ids is None
    else:
        assert len(ids) <= limit
        text, cut, bare = map(pupil.text, (complete, ids, shortest))
        if view is View.ANSWER_FIRST:
            assert cut.startswith(bare)
            assert text.endswith(cut.removeprefix(bare).strip())
        else:
            assert text.endswith(cut)
            assert cut.endswith(bare) or view not in LABELLED
            assert ids or limit < len(shortest) + 4  # a character has four bytes at most
    assert not ids or (ids[-1], ids.count(end)) == (end, 1)


@pytest.mark.parametrize("view", [View.EXPLAIN, View.RATIONALE_FIRST, View.ANSWER_FIRST])
def test_a_rationale_loses_no_more_than_it_has_to_and_no_part_of_a_word(view):
    row = Example("1", ("q",), "( 84.0 / 2.0 )", " ".join(f"step {number} gives {7 * number}." for number in range(40)))
    for limit in range(30, 150, 21):
        ids = target_ids(row, view, student("byte-level", max_target_length=limit))
        assert limit - 6 < len(ids) <= limit
        cut = student("byte-level").text(ids)
        rationale = cut if view is View.EXPLAIN else split_target(cut, view)[1]
        assert rationale.split()[0] in row.rationale.split()
        assert row.rationale.endswith(rationale)


def test_cut_targets_are_counted():
    long, short, bare = (Example("1", ("q",), "yes", text) for text in ("no maybe " * 30, "maybe", None))
    pupil = student("t5", max_target_length=30)
    ids, cut = pupil.fitted_target_ids([short, long, bare, long], View.RATIONALE_FIRST)
    assert (cut, ids[2]) == ([1, 3], [])
    assert ids == [target_ids(row, View.RATIONALE_FIRST, pupil) for row in (short, long, bare, long)]


QUESTION = "How many points has each round?"
LONG = "Luke scored 84 points after playing 2 rounds. " * 40
CHOICES = ("84 / 2", "two rounds", "no points")


@pytest.mark.parametrize("kind", ["byte-level", "gemma", "bytes"])
@pytest.mark.parametrize("limit", [150, 300])
def test_a_source_loses_the_middle_of_its_longest_segment_and_nothing_else(kind, limit):
    tokenizer = student(kind).tokenizer
    for segments in ((LONG, QUESTION), (QUESTION, LONG), (LONG + QUESTION,), (f"{QUESTION}\n{LONG}\n{QUESTION}",)):
        row = Example("1", segments, "yes", choices=CHOICES, own_choices=True)
        (ids,), cut = student(kind, limit).source_ids([source(row, View.PREDICT)])
        assert (len(ids) <= limit, cut) == (True, [0])
        assert [ids[0] if kind == "gemma" else ids[-1]] == special_ids(tokenizer("a")["input_ids"], student(kind))
        inputs, choices = tokenizer.decode(ids, clean_up_tokenization_spaces=False).split("Answer Choices:")
        assert row.choices_text.endswith(choices.removesuffix("</s>").removesuffix(" "))
        assert "predict: " in inputs and QUESTION in inputs


@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=1, max_size=3), st.integers(12, 200), st.sampled_from(sorted(set(KINDS) - {"bytes"})))
def test_any_source_fits_and_is_uncut_if_it_can_be(segments, limit, kind):
    row = source(Example("1", tuple(segments), "yes", choices=CHOICES, own_choices=True), View.EXPLAIN)
    (complete,), _ = student(kind).source_ids([row])
    (ids,), cut = student(kind, limit).source_ids([row])
    assert len(ids) <= limit
    assert (ids == complete) == (len(complete) <= limit) == (not cut)
    assert set(student(kind).tokenizer("")["input_ids"]) <= set(ids)


def test_long_segments_are_cut_to_one_length():
    row = Source("predict: ", ("Luke " * 80, "yes no " * 10))
    (ids,), _ = student("words", 12).source_ids([row])
    separator = ids.index(student("words").tokenizer.eos_token_id)
    assert abs(separator - (len(ids) - separator)) <= 4
