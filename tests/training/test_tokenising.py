"""Tokenised training sets, against tokenising the prefixed texts one by one."""

import functools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import View, prefix, source, target
from limbeck.errors import LimbeckError
from limbeck.models import ScratchSettings, Student
from limbeck.models.scratch import build_t5
from limbeck.notes import lines_of
from limbeck.schema import Example
from limbeck.training import tokenise
from limbeck.training.prefixes import heads
from tests.tokenizers import EXACT_WAY, KINDS, TEXTS, rewriting

VIEWS = (View.PREDICT, View.EXPLAIN)
WORDS = sorted({word for text in TEXTS for word in text.split()} | {"\n", "a:b", "ﬁ", "é", "e\u0301"})
SPECIAL = ["</s>", "[SEP]", "<pad>", "<extra_id_0>", "<eos>", "[CLS]", "<unk>", "<s>", "<bos>", "<mask>", "＜/s＞"]
text = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join),
)


def examples_of(text: st.SearchStrategy[str]) -> st.SearchStrategy[Example]:
    return st.builds(
        Example, st.just("id"), st.lists(text, min_size=1, max_size=2).map(tuple), text, st.one_of(st.none(), text)
    )


example = examples_of(text.filter(lambda words: words.strip() and not any(special in words for special in SPECIAL)))
spelled = examples_of(st.lists(st.sampled_from([*WORDS, *SPECIAL]), min_size=1, max_size=8).map(" ".join))


@functools.cache
def student(kind: str) -> Student:
    tokenizer = KINDS[kind]()
    model = build_t5(ScratchSettings(d_model=8, d_kv=4, d_ff=8, num_heads=1, num_layers=1), tokenizer)
    if tokenizer.cls_token_id is not None:  # as a pair of encoders has it
        model.config.decoder_start_token_id = tokenizer.cls_token_id
        model.config.eos_token_id = tokenizer.sep_token_id
    return Student(model, tokenizer, 512, 512)


def source_ids(example: Example, view: View, pupil: Student) -> list[int]:
    """The ids of the prefixed text, as the tokenizer has it by a call of its own."""
    separator = pupil.tokenizer.eos_token or pupil.tokenizer.sep_token
    return pupil.tokenizer(prefix(view) + separator.join(example.segments) + example.choices_text)["input_ids"]


def target_ids(text: str | None, pupil: Student) -> list[int]:
    """The ids of the text, without what decoding starts with, and with the end token that the model stops at."""
    if not text:
        return []
    ids, config = pupil.tokenizer(text)["input_ids"], pupil.model.config
    ids = ids[1:] if ids[:1] == [config.decoder_start_token_id] else ids
    return ids if ids[-1:] == [config.eos_token_id] else [*ids, config.eos_token_id]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(examples=st.lists(example, min_size=1, max_size=6))
def test_ids_are_those_of_the_prefixed_texts(kind, examples):
    pupil = student(kind)
    examples = [*examples, Example("last", ("yes",), "yes", "maybe", choices=("yes", "no"), own_choices=True)]
    made = tokenise(examples, VIEWS, pupil)
    rows = [(view, e) for view in VIEWS for e in examples]
    assert [made.sources[i] for i in range(len(rows))] == [source_ids(e, view, pupil) for view, e in rows]
    assert [made.targets[i] for i in range(len(rows))] == [target_ids(target(e, view), pupil) for view, e in rows]
    assert (made.notes["sources_cut"], made.notes["targets_cut"]) == (0, 0)


@pytest.mark.parametrize("kind", ["byte-level", "bert-words", "t5", "wordpiece"])
@settings(max_examples=40, deadline=None)
@given(examples=st.lists(st.one_of(example, spelled), min_size=1, max_size=6), limit=st.sampled_from([14, 30]))
def test_ids_are_those_of_a_call_a_view_also_where_texts_are_cut_or_spell_special_tokens(kind, examples, limit):
    pupil = Student(student(kind).model, student(kind).tokenizer, limit, 512)
    examples = [*examples, Example("last", ("yes",), "yes", "maybe")]
    made = tokenise(examples, VIEWS, pupil)
    apart = [pupil.source_ids([source(e, view)]) for view in VIEWS for e in examples]
    assert [made.sources[i] for i in range(len(made.sources))] == [ids for (ids,), _ in apart]
    assert made.notes["sources_cut"] == sum(len(cut) for _, cut in apart)


@pytest.mark.parametrize(("setting", "lengths"), [("source", (24, 512)), ("target", (512, 24))])
def test_more_than_one_in_a_hundred_cut_is_a_warning_that_names_the_setting(setting, lengths):
    long, short = "Luke scored 84 points. " * 9, "Luke scored."
    examples = [Example(f"{i}", (short,), "yes", short) for i in range(199)]
    pupil = Student(student("byte-level").model, student("byte-level").tokenizer, *lengths)
    for count in (1, 3, 3):  # the last time the ids are found in the cache
        rows = [*examples, *([Example("long", (long,), "yes", long)] * count)]
        training_set = tokenise(rows, (View.EXPLAIN,), pupil)
        (line,) = lines_of(training_set.notes, {f"{setting}s": len(rows)})
        assert line.count == count
        assert line.warning == (count == 3)
        assert f"student.max_{setting}_length" in line.text


def test_a_limit_that_leaves_no_label_or_no_input_is_refused_before_training():
    model, tokenizer = student("byte-level").model, student("byte-level").tokenizer
    examples = [Example("1", ("yes",), "entailment", "maybe"), Example("2", ("no",), "no", "no")]
    for view in (View.PREDICT, View.RATIONALE_FIRST, View.ANSWER_FIRST):
        needed = len(target_ids(str(target(replace(examples[0], rationale=""), view)).strip(), student("byte-level")))
        tokenise(examples, (view,), Student(model, tokenizer, 512, needed))
        with pytest.raises(LimbeckError, match=f"max_target_length to {needed}"):
            tokenise(examples, (view,), Student(model, tokenizer, 512, needed - 1))
    with pytest.raises(LimbeckError, match="max_source_length"):
        tokenise(examples, VIEWS, Student(model, tokenizer, 3, 512))


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
    targets = [target_ids(target(e, view), pupil) for view in VIEWS for e in examples]
    assert [made.sources[i] for i in range(22)] == [source_ids(e, view, pupil) for view in VIEWS for e in examples]
    assert [made.targets[i] for i in range(22)] == targets
    joint = tokenise(examples, (View.RATIONALE_FIRST,), pupil)
    assert (len(joint), joint.notes["without_target"]) == (7, 4)
