"""A judge's replies, with the scores that a person reads in them."""

import random

import pytest

from limbeck.metrics.scores import read_score

REPLIES = [
    ("4", 4),
    ("4.", 4),
    (" **4** \n", 4),
    ("four", 4),
    ("Four.", 4),
    ("4/5", 4),
    ("5/5", 5),
    ("4 / 5", 4),
    ("**4**/5", 4),
    ("4.0/5.0", 4),
    ("4 out of 5", 4),
    ("Four out of five.", 4),
    ("5 out of 5", 5),
    ("Score: 4", 4),
    ("score:4", 4),
    ("SCORE = 3", 3),
    ("Score: four", 4),
    ("Score: 4/5", 4),
    ("Score: 4 out of 5.", 4),
    ("Score: **4**", 4),
    ("**Score:** 4", 4),
    ("**Score**: 4", 4),
    ("Score (1-5): 4", 4),
    ("Score (out of 5): 4", 4),
    ("Score (/5): 4", 4),
    ("Score out of 5: 2", 2),
    ("Score out of five: two", 2),
    ("Score: [4]", 4),
    ("Ｓｃｏｒｅ： ４", 4),  # full-width
    ("### Score\n4", 4),
    ("Final score: 4.5", 4.5),
    ("My rating is 3.", 3),
    ("The overall rating for the given example is 2.", 2),
    ("The score would be a 3.", 3),
    ("Overall: 4", 4),
    ("Grade -> 4", 4),
    ("I'd give it 3.5", 3.5),
    ("I\u2019d give it a 3.5 out of 5.", 3.5),
    ("I would rate the given chain-of-thought example as a 4.", 4),
    ("I rate this example 2, as it only restates the question.", 2),
    ("On a scale from 1 to 5, I would give this a score of 4.", 4),
    ("On a scale of 1-5, I'd rate it a 2.", 2),
    ("On a 5-point scale this deserves a 2.", 2),
    ("It is a 4.", 4),
    ("This merits a score of three.", 3),
    (r"The final value is $\boxed{4}$.", 4),
    ("4 stars", 4),
    ("4 - somewhat helpful", 4),
    ("4: somewhat helpful", 4),
    ("4. The example explains the answer, but only in part.", 4),
    ("4 because it is somewhat helpful.", 4),
    ("3 (coherent, relevant but not helpful)", 3),
    ("4\n\nThe example names the right numbers, 84 and 2.", 4),
    ("The example names the right numbers, 84 and 2.\n\n4", 4),
    ("The rationale is coherent: 84 / 2 = 42.\nScore: 5", 5),
    ("1. It is coherent.\n2. It is relevant.\n\nScore: 3", 3),
    ("A score of 3 would need relevance, a score of 5 an explanation. Score: 4", 4),
    ("Score: 4. For a score of 5 it would have to explain the answer.", 4),
    ("Score: 2. It says 4/5 of the cake, which is wrong.", 2),
    ("At first: Score: 2. On reflection it is better than that.\nScore: 4", 4),
    ("<think>Score: 1? No.</think>Score: 4", 4),
    ('{"score": 4}', 4),
    ('{"Score": "4/5", "reason": "2 and 2 is 5"}', 4),
    ('```json\n{"reason": "It says 1.", "rating": 3.5}\n```', 3.5),
    ('Here it is:\n{"score": "four"}', 4),
    ('{"reason": "fine"}\nScore: 2', 2),
    # none that is clear
    ("", None),
    ("The example is coherent and helpful.", None),
    ("He scored 84 points after 2 rounds, and 84 / 2 is 42.", None),
    ("The example says that each of the 3 children gets 4 apples, which follows.", None),
    ("1. It is coherent.\n2. It is relevant.", None),
    ("3-4", None),
    ("Score: 3-4", None),
    ("Score: 3 to 4", None),
    ("Score: 4 or 5", None),
    ("Score: 3/5 or 4/5", None),
    ("I'd give it between 3 and 4.", None),
    ("Score: 4,5", None),
    ("Score: three and a half", None),
    ("Score: 0", None),
    ("Score: 6", None),
    ("Score: 5.1", None),
    ("Score: -4", None),
    ("Score: 42", None),
    ("Score: 4\nScore: 7", None),
    ("4/10", None),
    ("Score: 4/10", None),
    ("8 out of 10", None),
    ("4 out of 10", None),
    ("Score: 80%", None),
    ("Score: 4%", None),
    ("Score: 2 + 2", None),
    ("Score: N/A", None),
    ("Score: N", None),
    ("out of 5", None),
    ("From 1-5", None),
    ("1-5", None),
    ("Score: 1e3", None),
    ("Score: \u00b2", None),
    ("Score: " + "9" * 5000, None),
    ('{"score": 7}', None),
    ('{"score": true}', None),
    ('{"score": null}', None),
    ('{"score": [4]}', None),
    ('{"score": NaN}', None),
    ('{"score": 1e999}', None),
    ("<think>Score: 4", None),
]


@pytest.mark.parametrize(("reply", "score"), REPLIES)
def test_what_a_person_reads_in_a_reply(reply, score):
    found = read_score(reply)
    assert found == score
    assert found is None or isinstance(found, float)


def test_of_a_long_reply_start_and_end_are_read():
    assert read_score("Well. " * 20_000 + "\nScore: 4") == 4
    assert read_score("Score: 4\n" + "Well. " * 20_000) == 4


@pytest.mark.parametrize(
    "piece",
    ["score ", "Score: ", "I'd rate ", "1", "1-", "4/", "(", "**", "out of ", '{"score":', "\n", " ", "four "],
)
def test_whatever_is_repeated_the_work_is_bounded(piece):
    """Not a measurement: a pattern that backtracks without bound would take hours for these."""
    read_score(piece * 20_000)
    read_score("Score: 4" + piece * 20_000)


def test_any_text_gives_a_score_in_range_or_none():
    draw = random.Random(0)
    pieces = ["Score", ":", "4", "3.5", "/5", " out of 5", "-", "\n", "**", "I'd give it", "five", "9", "{", '"', "or"]
    for _ in range(3000):
        found = read_score("".join(draw.choices(pieces, k=draw.randrange(12))))
        assert found is None or 1 <= found <= 5
