"""What is cut of texts that are too long: never a label, a hypothesis, a choice, the last question or an end token."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from limbeck.data import View, source, split_target, target
from limbeck.errors import LimbeckError
from limbeck.models import Student
from limbeck.objectives.methods import METHODS, objective
from limbeck.schema import Example
from tests.tokenizers import KINDS, TEXTS
from tests.training.test_tokenising import student

VIEWS = sorted({view for name in METHODS for view in objective(name).views})
WORDS = sorted({word for text in TEXTS for word in text.split() if ":" not in word})
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=30).map(" ".join)


def limited(kind: str, longest_source: int = 4096, longest_target: int = 4096) -> Student:
    return Student(student(kind).model, student(kind).tokenizer, longest_source, longest_target)


def written(example: Example, view: View, pupil: Student) -> list[int] | None:
    """The ids of the example's target; None where the student refuses it."""
    try:
        return pupil.fitted_target_ids([example], view)[0][0]
    except LimbeckError:
        return None


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(
    view=st.sampled_from(VIEWS),
    label=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
    rationale=words,
    limit=st.integers(1, 60),
)
@example(view=View.RATIONALE_FIRST, label="yes", rationale="0" * 300, limit=19)
@example(view=View.ANSWER_FIRST, label="no", rationale="因为水是湿的" * 20, limit=27)
def test_no_target_loses_its_label_or_its_end_at_any_limit(kind, view, label, rationale, limit):
    pupil, one = student(kind), Example("1", ("q",), label, rationale)
    texts = [str(target(replace(one, rationale=words), view)).strip() for words in (rationale, "")]
    (whole, least), _ = pupil.target_ids(texts)
    ids, end = written(one, view, limited(kind, longest_target=limit)), pupil.codec.end
    if len(whole) <= limit:
        assert ids == whole
    elif view is not View.EXPLAIN and len(least) > limit:
        assert ids is None
    else:
        assert ids is not None
        assert len(ids) <= limit
        text, cut, rest = map(pupil.text, (whole, ids, least))
        match view:
            case View.EXPLAIN:
                assert text.endswith(cut)
                assert ids or limit < len(least) + 4  # a character has four bytes at most
            case View.RATIONALE_FIRST:
                assert text.endswith(cut)
                assert cut.endswith(rest)
            case View.ANSWER_FIRST:
                assert cut.startswith(rest)
                assert text.endswith(cut.removeprefix(rest).strip())
    if ids:
        assert ids[-1] == end
        assert ids.count(end) == 1


@pytest.mark.parametrize("view", [View.EXPLAIN, View.RATIONALE_FIRST, View.ANSWER_FIRST])
def test_a_rationale_loses_no_more_than_it_has_to_and_no_part_of_a_word(view):
    one = Example("1", ("q",), "( 84.0 / 2.0 )", " ".join(f"step {number} gives {7 * number}." for number in range(40)))
    for limit in range(30, 150, 7):
        ids = written(one, view, limited("byte-level", longest_target=limit))
        assert limit - 6 < len(ids) <= limit
        cut = student("byte-level").text(ids)
        rationale = cut if view is View.EXPLAIN else split_target(cut, view)[1]
        assert rationale.split()[0] in one.rationale.split()
        assert one.rationale.endswith(rationale)


def test_targets_are_cut_by_one_rule_and_counted_whatever_is_beside_them():
    long, short = Example("1", ("q",), "yes", "no maybe " * 30), Example("2", ("q",), "no", "maybe")
    bare, pupil = Example("3", ("q",), "maybe"), limited("unigram", longest_target=30)
    ids, cut = pupil.fitted_target_ids([short, long, bare, long], View.RATIONALE_FIRST)
    assert cut == [1, 3]
    assert ids[1] == ids[3] == written(long, View.RATIONALE_FIRST, pupil)
    assert ids[0] == written(short, View.RATIONALE_FIRST, pupil)
    assert ids[2] == []


QUESTION = "How many points has each round?"
LONG = "Luke scored 84 points after playing 2 rounds. " * 40
CHOICES = ("84 / 2", "two rounds", "no points")


def read(one: Example, kind: str, limit: int) -> tuple[str, bool]:
    """What is read of an example, and whether it was cut."""
    (ids,), cut = limited(kind, limit).source_ids([source(one, View.PREDICT)])
    assert len(ids) <= limit
    frame = [id for id in student(kind).tokenizer("a")["input_ids"] if id in student(kind).tokenizer.all_special_ids]
    assert [ids[0] if kind == "gemma" else ids[-1]] == frame
    return student(kind).tokenizer.decode(ids, clean_up_tokenization_spaces=False), cut == [0]


@pytest.mark.parametrize("kind", ["byte-level", "gemma", "bytes"])
@pytest.mark.parametrize("limit", [110, 150, 300])
def test_a_source_loses_the_middle_of_its_longest_segment_and_nothing_else(kind, limit):
    for segments in ((LONG, QUESTION), (QUESTION, LONG), (LONG + QUESTION,), (f"{QUESTION}\n{LONG}\n{QUESTION}",)):
        one = Example("1", segments, "yes", choices=CHOICES, own_choices=True)
        text, cut = read(one, kind, limit)
        assert cut
        shown = text.split("Answer Choices:")
        assert one.choices_text.endswith(shown[1].removesuffix("</s>").removesuffix(" "))
        assert "predict: " in shown[0]
        assert QUESTION in shown[0]
        assert all(choice in shown[1] for choice in CHOICES)


@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=1, max_size=3), st.integers(12, 200), st.sampled_from(sorted(set(KINDS) - {"bytes"})))
def test_any_source_fits_and_is_whole_if_it_can_be(segments, limit, kind):
    one = Example("1", tuple(segments), "yes", choices=CHOICES, own_choices=True)
    (whole,), _ = limited(kind).source_ids([source(one, View.EXPLAIN)])
    (ids,), cut = limited(kind, limit).source_ids([source(one, View.EXPLAIN)])
    assert len(ids) <= limit
    assert (ids == whole) == (len(whole) <= limit) == (not cut)
    frame = student(kind).tokenizer("")["input_ids"]
    assert set(frame) <= set(ids)


def test_a_premise_is_cut_before_its_hypothesis_and_both_alike_then():
    pupil, separator = limited("bart-words", 15), student("bart-words").tokenizer.eos_token_id
    long, short = "Luke " * 80, "yes no " * 5
    pair = Example("1", (long, short), "neutral")
    (ids,), _ = pupil.source_ids([source(pair, View.PREDICT)])
    assert ids[ids.index(separator) + 1 : -1] == student("bart-words").tokenizer(short)["input_ids"][1:-1]
    (ids,), _ = limited("bart-words", 12).source_ids([source(replace(pair, segments=(long, short * 2)), View.PREDICT)])
    place = ids.index(separator)
    assert abs(place - (len(ids) - place)) <= 4


def test_a_text_alone_is_cut_in_its_middle_too():
    (ids,), cut = limited("byte-level", 30).source_ids(["predict: " + LONG + QUESTION])
    text = student("byte-level").tokenizer.decode(ids)
    assert cut == [0]
    assert text.startswith("predict: ")
    assert text.endswith("each round?</s>")


def test_the_work_is_in_proportion_to_the_text():
    """Few tokenisations for each cut text, each of about what is left: a million characters are read once."""
    pupil, sizes = limited("byte-level", 64), []
    whole = pupil.codec._ids
    pupil.codec._ids = lambda texts, **options: (sizes.append(sum(map(len, texts))), whole(texts, **options))[1]
    pupil.source_ids(["predict: " + "Luke scored " * 20_000])
    assert sum(sizes) < 3 * sizes[0]
    assert len(sizes) < 40
