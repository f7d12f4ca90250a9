"""Quality of rationales by their text, against figures made by hand and plain loops."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck import tasks
from limbeck.errors import LimbeckError
from limbeck.metrics.embedding import Encoder
from limbeck.metrics.quality import quality, repetition
from limbeck.schema import Example, Prediction
from tests import builders

TASK = tasks.get("svamp")


def example(id: str, rationale: str | None, label: str = "(2 + 2)") -> Example:
    return Example(id, ("How many?",), label, rationale)


def prediction(id: str, rationale: str | None, said: str = "(2 + 2)") -> Prediction:
    return Prediction(id, "How many?", "(2 + 2)", said, True, True, rationale)


def measured(pairs: list[tuple[str, str]], **more) -> dict:
    rows = [example(str(i), reference) for i, (_, reference) in enumerate(pairs)]
    return quality([prediction(str(i), text) for i, (text, _) in enumerate(pairs)], rows, TASK, **more)


def test_bleu_and_rouge_are_those_made_by_hand():
    found = measured([("the cat sat on the mat", "the cat is on the mat")])
    # 1-grams 5 of 6, 2-grams 3 of 5, 3-grams 1 of 4, 4-grams 0 of 3, smoothed to 1/2 of 3; lengths are equal
    assert found["bleu"]["score"] == pytest.approx(100 * (5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** 0.25)
    assert found["bleu"]["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert found["rouge1"] == pytest.approx(5 / 6)
    assert found["rouge2"] == pytest.approx(3 / 5)
    assert found["rougeL"] == pytest.approx(5 / 6)


def test_bleu_is_of_the_corpus_and_rouge_a_mean():
    pairs = [("a b c d e", "a b c d e f g"), ("a b x y", "a b c")]
    found = measured(pairs)
    # matches over both texts: 5 + 2 of 9 words, 4 + 1 of 7, 3 of 5, 2 of 3; 9 words against 10
    exact = math.exp(1 - 10 / 9) * (7 / 9 * 5 / 7 * 3 / 5 * 2 / 3) ** 0.25
    assert found["bleu"]["score"] == pytest.approx(100 * exact)
    # recalls 5/7 and 2/3, precisions 1 and 2/4
    assert found["rouge1"] == pytest.approx((2 * 5 / 12 + 2 * 2 / 7) / 2)
    assert found["rougeL"] == found["rouge1"]
    swapped = measured([(reference, text) for text, reference in pairs])
    assert swapped["bleu"]["score"] != pytest.approx(found["bleu"]["score"])  # the prediction is measured
    assert measured([("cats run", "cat runs")])["rouge1"] == 0  # no stemmer


def test_lengths_and_repetition():
    found = measured([("a b c a b c", "a b c d"), ("A b C a B c a b c", "one two"), ("x", "y z")])
    assert found["words"] == pytest.approx(16 / 3)
    assert found["reference_words"] == pytest.approx(8 / 3)
    assert found["length_ratio"] == pytest.approx(2)
    # abc bca cab abc: 1 of 4; seven of them of three kinds: 4 of 7; "x" has none
    assert found["repetition"] == pytest.approx((1 / 4 + 4 / 7) / 2)
    assert found["reference_repetition"] == 0
    assert repetition("one two") is None
    assert repetition("no no no no") == 0.5


@given(st.lists(st.sampled_from("abc"), max_size=20))
def test_repetition_is_the_share_of_grams_met_before(words):
    met, again, count = [], 0, 0
    for start in range(len(words) - 2):
        gram = (words[start], words[start + 1], words[start + 2])
        again, count = again + (gram in met), count + 1
        met.append(gram)
    found = repetition(" ".join(words))
    assert found == (pytest.approx(again / count) if count else None)


def test_the_same_text_is_the_best_there_is(tmp_path):
    encoder = Encoder.load(str(builders.encoder(tmp_path, "bert")))
    same = "He had 2 and got 2 more. So he has 2 + 2 = 4."
    found = measured([(same, same)] * 3, encoder=encoder)
    assert found["bleu"]["score"] == pytest.approx(100)
    assert found["rouge1"] == found["rouge2"] == found["rougeL"] == 1
    assert found["similarity"] == {"mean": pytest.approx(1), "encoder": str(tmp_path)}
    assert (found["length_ratio"], found["cut"], found["n"], found["blank"]) == (1, 0, 3, 0)
    assert found["consistency"] == {"consistency": 1.0, "readable": 1.0, "read": 3, "n": 3}


def test_what_lacks_a_rationale_is_left_out_and_counted(tmp_path):
    rows = [example("1", "So 2 + 2."), example("2", None), example("3", "Why."), example("4", "Why.")]
    said = [prediction("3", " \n"), prediction("1", "So 2 + 2."), prediction("2", "So 3.", "3"), prediction("4", None)]
    found = quality(said, rows, TASK)
    assert (found["n"], found["blank"]) == (1, 1)  # nobody asked for the last one's
    assert found["rouge1"] == 1
    assert found["similarity"] is None
    assert found["consistency"] == {"consistency": 1.0, "readable": 1.0, "read": 2, "n": 2}
    none = quality(said[:1], rows, TASK, Encoder.load(str(builders.encoder(tmp_path, "bert"))))
    defined = {name for name, value in none.items() if value is not None}
    assert defined == {"n", "blank", "cut", "consistency"}
    assert quality([], rows, TASK)["n"] == 0
    for one in (found, none):
        assert json.loads(json.dumps(one, allow_nan=False)) == one


def test_predictions_of_other_examples_are_refused():
    with pytest.raises(LimbeckError, match="prediction '9': no example"):
        quality([prediction("9", "Why.")], [example("1", "Why.")], TASK)
    with pytest.raises(LimbeckError, match="prediction '1': the id stands there twice"):
        quality([prediction("1", "Why.")] * 2, [example("1", "Why.")], TASK)


def test_of_a_text_without_end_the_start_is_compared():
    found = measured([("word " * 200_000, "word word word"), ("fine", "fine")])
    assert found["cut"] == 1
    assert found["words"] == (200_000 + 1) / 2  # the length is the whole one
