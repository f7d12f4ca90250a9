"""Tokenised training sets, against tokenising the prefixed texts one by one."""

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import View, prefix, source, target
from limbeck.schema import Example
from limbeck.students import ScratchSettings, Student
from limbeck.students.scratch import build_t5
from limbeck.training import tokenise
from limbeck.training.prefixes import heads
from tests.tokenizers import EXACT_WAY, KINDS, TEXTS, rewriting

VIEWS = (View.PREDICT, View.EXPLAIN)
WORDS = sorted({word for text in TEXTS for word in text.split()} | {"[SEP]", "</s>", "\n", "a:b", "ﬁ", "é", "e\u0301"})
text = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join),
)
example = st.builds(
    Example, st.just("id"), st.lists(text, min_size=1, max_size=2).map(tuple), text, st.one_of(st.none(), text)
)


@functools.cache
def student(kind: str) -> Student:
    tokenizer = KINDS[kind]()
    model = build_t5(ScratchSettings(d_model=8, d_kv=4, d_ff=8, num_heads=1, num_layers=1), tokenizer)
    if tokenizer.cls_token_id is not None:  # as a pair of encoders has it
        model.config.decoder_start_token_id = tokenizer.cls_token_id
        model.config.eos_token_id = tokenizer.sep_token_id
    return Student(model, tokenizer, 512, 512)


def one_by_one(texts: list[str], pupil: Student, limit: int) -> tuple[list[list[int]], int]:
    """The ids of each text by a call of its own, and how many were cut."""
    whole = [pupil.tokenizer(text)["input_ids"] for text in texts]
    cut = [pupil.tokenizer(text, truncation=True, max_length=limit)["input_ids"] for text in texts]
    return cut, sum(len(ids) > limit for ids in whole)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(examples=st.lists(example, min_size=1, max_size=6), limit=st.sampled_from([6, 12, 500]))
def test_ids_are_those_of_the_prefixed_texts(kind, examples, limit):
    pupil = Student(student(kind).model, student(kind).tokenizer, limit, limit)
    examples = [*examples, Example("last", ("yes",), "yes", "maybe")]
    made = tokenise(examples, VIEWS, pupil)
    sources, cut = one_by_one([source(e, view, pupil.separator) for view in VIEWS for e in examples], pupil, limit)
    assert [made.sources[i] for i in range(2 * len(examples))] == sources
    assert made.notes["sources_cut"] == cut
    texts = [target(e, view) for view in VIEWS for e in examples]
    targets, cut = one_by_one([text or "" for text in texts], pupil, limit)
    start = pupil.model.config.decoder_start_token_id
    targets = [ids[1:] if ids and ids[0] == start else ids for ids in targets]
    targets = [ids if text else [] for ids, text in zip(targets, texts, strict=True)]
    assert [made.targets[i] for i in range(2 * len(examples))] == targets
    assert made.notes["targets_cut"] == cut


@pytest.mark.parametrize("kind", KINDS)
def test_prefixes_are_exchanged_only_where_a_word_ends_with_them(kind):
    found = heads(student(kind).tokenizer, [prefix(view) for view in VIEWS], ["yes or no", "( 84.0 / 2.0 )"])
    assert (found is None) == (kind in EXACT_WAY)


def test_a_merge_that_no_sample_shows_is_met_by_asking_for_words():
    """In `merging` a piece reaches over the colon, in one view only, and only before `Luke`."""
    tokenizer = student("merging").tokenizer
    pieces = [tokenizer.tokenize(f"{word}: Luke") for word in ("predict", "explain")]
    assert ["n: L" in some for some in pieces] == [False, True]
    assert heads(tokenizer, [prefix(view) for view in VIEWS], ["yes"]) is None


def test_a_prefix_that_came_out_otherwise_in_one_row_is_not_exchanged_there(monkeypatch):
    monkeypatch.setattr("limbeck.training.tokenising._SPREAD", 1)
    model, tokenizer = student("bart-words").model, rewriting("predict(?=: Luke)", "yes no")
    pupil = Student(model, tokenizer, 512, 512)
    assert heads(tokenizer, [prefix(view) for view in VIEWS], ["yes"]) is not None
    made = tokenise([Example("a", ("yes",), "yes", "no"), Example("b", ("Luke scored",), "yes", "no")], VIEWS, pupil)
    assert made.sources[1] == tokenizer("predict: Luke scored")["input_ids"]
    assert made.sources[3] == tokenizer("explain: Luke scored")["input_ids"]


def test_examples_come_in_their_order_over_several_blocks(monkeypatch):
    monkeypatch.setattr("limbeck.training.tokenising._BLOCK", 3)
    pupil = student("unigram")
    examples = [
        Example(f"e{i}", (f"Luke {'scored ' * i}{i}",), f"{i % 2}", f"{i} points" if i % 3 else None) for i in range(11)
    ]
    made = tokenise(examples, VIEWS, pupil)
    sources, _ = one_by_one([source(e, view, "</s>") for view in VIEWS for e in examples], pupil, 512)
    targets = [pupil.target_ids([text])[0][0] if (text := target(e, view)) else [] for view in VIEWS for e in examples]
    assert [made.sources[i] for i in range(22)] == sources
    assert [made.targets[i] for i in range(22)] == targets
    joint = tokenise(examples, (View.RATIONALE_FIRST,), pupil)
    assert (len(joint), joint.notes["without_target"]) == (7, 4)
