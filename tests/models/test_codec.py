"""Ids of sources and targets: framed as the model wants them, and nothing in a text becomes a special token."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import Source, View, source
from limbeck.errors import LimbeckError
from limbeck.models import Student
from limbeck.models.codec import Codec, end_ids, end_of
from limbeck.schema import Example
from tests.tokenizers import KINDS
from tests.training.test_tokenising import SPECIAL, WORDS, student

spelled = st.lists(st.sampled_from([*WORDS, *SPECIAL]), min_size=1, max_size=8).map(" ".join)
glued = st.lists(st.sampled_from([*WORDS[::9], *SPECIAL]), min_size=1, max_size=4).map("".join)


def special_ids(ids: list[int], pupil: Student) -> list[int]:
    """The special tokens among ids, but for what unknown text is."""
    special = set(pupil.tokenizer.all_special_ids) - {pupil.tokenizer.unk_token_id}
    return [id for id in ids if id in special]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(segments=st.lists(st.one_of(spelled, glued), min_size=1, max_size=3), label=st.one_of(spelled, glued))
def test_what_spells_a_special_token_is_ordinary_text(kind, segments, label):
    pupil, tokenizer = student(kind), student(kind).tokenizer
    ((ids,), _), ((written,), _) = pupil.source_ids([Source("predict: ", tuple(segments))]), pupil.target_ids([label])
    separator = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    frame = special_ids(tokenizer("yes")["input_ids"], pupil)
    begins = kind in ("gemma", "bert-words", "bart-words", "wordpiece", "rewriting")
    begin, end = (frame[:1], frame[1:]) if begins else ([], frame)
    assert special_ids(ids, pupil) == [*begin, *[separator] * (len(segments) - 1), *end]
    begin = [] if begin == [pupil.model.config.decoder_start_token_id] else begin
    assert special_ids(written, pupil) == [*begin, pupil.codec.end]
    assert written[-1] == pupil.codec.end


@pytest.mark.parametrize("kind", ["byte-level", "gemma", "bytes"])
@pytest.mark.parametrize("text", ["a </s> b", "<pad>", "no<eos>yes", "<extra_id_0> is it", "x <unk> <s> [SEP]"])
def test_a_tokenizer_that_gives_texts_back_gives_those_back_too(kind, text):
    pupil = student(kind)
    assert pupil.text(pupil.target_ids([text])[0][0]) == text


def test_the_separator_is_still_the_token_where_a_text_spells_it():
    pupil = student("t5")
    pair = Example("1", ("yes </s> no", "yes"), "yes")
    ids = pupil.codec.sources([source(pair, View.PREDICT)])[0]
    assert [place for place, id in enumerate(ids) if id == pupil.tokenizer.eos_token_id] == [
        ids.index(1),
        len(ids) - 1,
    ]
    assert ids[ids.index(1) + 1 : -1] == pupil.tokenizer("yes")["input_ids"][:-1]


@pytest.mark.parametrize("ends", [1, [1], [5, 1], [1, 5]])
def test_a_target_ends_with_the_tokenizers_end_if_that_is_one_of_the_models(ends):
    model, tokenizer = student("t5").model, student("t5").tokenizer
    before = model.config.eos_token_id
    model.config.eos_token_id = ends
    try:
        codec = Codec(tokenizer, model.config, 100)
    finally:
        model.config.eos_token_id = before
    assert codec.targets(["yes no"])[0] == tokenizer("yes no")["input_ids"]


@pytest.mark.parametrize("ends", [[], [10**6], [1, 10**6], -1])
def test_a_model_that_cannot_end_is_refused_in_one_line(ends):
    model, tokenizer = student("t5").model, student("t5").tokenizer
    before = model.config.eos_token_id
    model.config.eos_token_id = ends
    try:
        with pytest.raises(LimbeckError) as caught:
            Codec(tokenizer, model.config, 100)
    finally:
        model.config.eos_token_id = before
    assert "\n" not in str(caught.value)
    assert "eos_token_id" in str(caught.value)


def test_end_ids_of_one_or_a_list():
    assert end_ids(SimpleNamespace(eos_token_id=[1, 106])) == (1, 106)
    assert end_ids(SimpleNamespace(eos_token_id=2)) == (2,)
    assert end_of([5, 106, 1], SimpleNamespace(eos_token_id=[1, 106])) == 1
    assert end_of([5, 6], SimpleNamespace(eos_token_id=1)) is None
