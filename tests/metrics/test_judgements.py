"""Scores in a judge's replies, as a person reads them, and their summary, against published figures and by hand."""

import json
import statistics

import pytest

from limbeck.errors import LimbeckError
from limbeck.metrics.judgements import read_judgements, read_score, summarise, table
from limbeck.schema import Judgement
from limbeck.stats.correlation import krippendorff_alpha

REPLIES = [
    ("4", 4),
    ("Four.", 4),
    ("**4**/5", 4),
    ("Four out of five.", 4),
    ("Score: four", 4),
    ("Score: 4 out of 5.", 4),
    ("Score: **4**", 4),
    ("Score (1-5): 4", 4),
    ("Ｓｃｏｒｅ： ４", 4),  # full-width
    ("### Score\n4", 4),
    ("Final score: 4.5", 4.5),
    ("The overall rating for the given example is 2.", 2),
    ("I\u2019d give it a 3.5 out of 5.", 3.5),
    ("I would rate the given chain-of-thought example as a 4.", 4),
    ("On a scale from 1 to 5, I would give this a score of 4.", 4),
    ("The example names the right numbers, 84 and 2.\n\n4", 4),
    ("The rationale is coherent: 84 / 2 = 42.\nScore: 5", 5),
    ("Score: 4. For a score of 5 it would have to explain the answer.", 4),
    ("Score: 2. It says 4/5 of the cake, which is wrong.", 2),
    ("<think>Score: 1? No.</think>Score: 4", 4),
    ('{"Score": "4/5", "reason": "2 and 2 is 5"}', 4),
    ('```json\n{"reason": "It says 1.", "rating": 3.5}\n```', 3.5),
    ('{"reason": "fine"}\nScore: 2', 2),
    # no clear score
    ("", None),
    ("He scored 84 points after 2 rounds, and 84 / 2 is 42.", None),
    ("3-4", None),
    ("Score: 3/5 or 4/5", None),
    ("I'd give it between 3 and 4.", None),
    ("Score: three and a half", None),
    ("Score: 42", None),
    ("Score: 4\nScore: 7", None),
    ("Score: 4/10", None),
    ("Score: 4%", None),
    ("From 1-5", None),
    ("Score: 1e3", None),
    ('{"score": true}', None),
    ('{"score": [4]}', None),
    ('{"score": NaN}', None),
]


@pytest.mark.parametrize(("reply", "score"), REPLIES)
def test_the_score_that_a_person_reads_in_a_reply(reply, score):
    assert read_score(reply) == score


@pytest.mark.parametrize(
    "piece", ["score ", "Score: ", "I'd rate ", "1-", "4/", "(", "**", "out of ", '{"score":', "\n"]
)
def test_the_work_is_bounded(piece):
    """Not a measurement: a pattern that backtracks without bound would take hours for these."""
    read_score(piece * 20_000)


def judgement(run, scores, task="svamp", replies=None) -> Judgement:
    replies = tuple("reply" for _ in scores) if replies is None else replies
    return Judgement("1", task, run, "x", "Because.", "m", 0.0 if len(scores) == 1 else 0.7, replies, tuple(scores))


JUDGEMENTS = [
    *(judgement("Ours", [score]) for score in (4.0, 2.0, 5.0, None)),
    judgement("Ours", [4.0, 4.0, 4.0, 4.0]),
    judgement("Ours", [2.0, 3.0, None, None], replies=("a", "b", "c", None)),
    judgement("Ours", [None] * 4, replies=(None,) * 4),
    judgement("Gold", [5.0], task="cqa"),
    judgement("Gold", [None], task="esnli"),
    judgement("mine", [3.0], task="arithmetic"),
]


def test_a_summary_has_means_deviations_and_counts():
    summary = summarise(JUDGEMENTS)
    single = summary["Ours"]["svamp"]["single"]
    assert single["mean"] == pytest.approx(11 / 3)
    assert single["sd"] == pytest.approx(statistics.stdev([4, 2, 5]))
    assert (single["n"], single["examples"], single["runs"]) == (3, 4, 1)
    assert (single["missing"], single["unread"], single["alpha"], single["agreement"]) == (0, 1, None, None)
    repeated = summary["Ours"]["svamp"]["self_consistency"]
    assert (repeated["mean"], repeated["n"], repeated["examples"], repeated["runs"]) == (3.25, 2, 3, 4)
    assert repeated["sd"] == pytest.approx(1.5 / 2**0.5)
    assert (repeated["missing"], repeated["unread"], repeated["agreement"]) == (5, 1, 0.5)
    assert repeated["alpha"] == krippendorff_alpha([[4, 4, 4, 4], [2, 3]])
    assert (repeated["judge"], repeated["temperature"]) == ("m", 0.7)
    assert summary["Gold"]["cqa"]["single"]["sd"] is None
    assert summary["Gold"]["esnli"]["single"]["mean"] is None
    assert summarise([]) == {}
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_the_table_has_the_rows_and_columns_of_the_paper():
    rows = table(summarise(JUDGEMENTS))
    assert rows[0] == ["Model", "SVAMP", "CQA", "e-SNLI", "ANLI", "arithmetic"]
    assert [row[0] for row in rows[1:]] == ["Gold", "++", "DSS", "++", "Ours", "++", "mine", "++"]
    assert rows[1][1:] == ["not run", "5.00 (1)", "no score", "not run", "not run"]
    assert rows[5][1] == "3.67±1.53 (3)"
    assert rows[6][1] == "3.25±1.06 (2)"
    assert rows[7][5] == "3.00 (1)"
    assert set(rows[3][1:] + rows[4][1:]) == {"not run"}
    assert len(table({})) == 7


@pytest.mark.parametrize("fields", [{"scores": None}, {"colour": "red"}], ids=str)
def test_a_row_that_is_no_judgement_is_named(fields, tmp_path):
    row = {"id": "1", "task": "a", "run": "b", "label": "c", "rationale": "d", "judge": "e", "temperature": 0.7}
    row |= {"replies": ["3", None], "scores": [3, None]}
    path = tmp_path / "judge.jsonl"
    path.write_text(json.dumps(row) + "\n")
    assert read_judgements(path)[0].score == 3
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | fields) + "\n")
    with pytest.raises(LimbeckError) as raised:
        read_judgements(path)
    assert (raised.value.path, raised.value.line) == (path, 2)
