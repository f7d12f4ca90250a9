"""Scores in a judge's replies, as a person reads them; their summary, agreement and correlation, against scipy."""

import itertools
import json
import statistics

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from limbeck.errors import LimbeckError
from limbeck.metrics.judgements import correlate, krippendorff_alpha, read_judgements, read_score, summarise
from limbeck.schema import Judgement

SCORES: dict[float | None, str] = {  # replies by the score that a person reads in them
    4: "4|**4**/5|Four out of five.|Score (1-5): four|Ｓｃｏｒｅ： ４|### Score\n4|Score of 4|4. The reasoning is fine."
    "|Overall, there is 1 small mistake in the wording.\n\n4/5|The quality is 2 steps above the reference. Score of 4"
    "|I would rate the given chain-of-thought example as a 4.|The example names the right numbers, 84 and 2.\n\n4"
    "|On a scale from 1 to 5, I would give this a score of 4.|It is short, but it deserves a 4."
    "|Score: 4. For a score of 5 it would have to explain the answer.|<think>Score: 1? No.</think>Score: 4"
    '|{"Score": "4/5", "reason": "2 and 2 is 5"}|It is fine. $\\boxed{4}$',
    2: "The overall rating for the given example is 2.|Score: 2. It says 4/5 of the cake, which is wrong."
    '|{"reason": "fine"}\nScore: 2',
    3.5: 'I\u2019d give it a 3.5 out of 5.|```json\n{"reason": "It says 1.", "rating": 3.5}\n```',
    5: "The rationale is coherent: 84 / 2 = 42.\nScore: 5|Score \u2192 5",
    None: "1. It is coherent.\n2. It is relevant.||He scored 84 points after 2 rounds, and 84 / 2 is 42.|3-4"
    "|Score: 3/5 or 4/5|I'd give it between 3 and 4.|Score: three and a half|Score: 4\nScore: 7|Score: 4/10|From 1-5"
    '|Score: 1e3|{"score": [4]}|{"score": NaN}',
}


@pytest.mark.parametrize(("score", "replies"), SCORES.items())
def test_the_score_that_a_person_reads_in_a_reply(score, replies):
    for reply in replies.split("|"):
        assert read_score(reply) == score, reply


@pytest.mark.parametrize("piece", ["Score: ", "I'd rate ", "1-", "4/", "(", "**", "out of ", '{"score":', "\n"])
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
    counts = ("n", "examples", "runs", "missing", "unread", "agreement", "temperature", "judge")
    single, repeated = summary["Ours"]["svamp"]["single"], summary["Ours"]["svamp"]["self_consistency"]
    assert [single[key] for key in counts] == [3, 4, 1, 0, 1, None, 0.0, "m"]
    assert [repeated[key] for key in counts] == [2, 3, 4, 5, 1, 0.5, 0.7, "m"]
    assert (single["mean"], single["sd"]) == pytest.approx((11 / 3, statistics.stdev([4, 2, 5])))
    assert (repeated["mean"], repeated["sd"]) == pytest.approx((3.25, 1.5 / 2**0.5))
    assert (single["alpha"], repeated["alpha"]) == (None, krippendorff_alpha([[4, 4, 4, 4], [2, 3]]))
    assert (summary["Gold"]["cqa"]["single"]["sd"], summary["Gold"]["esnli"]["single"]["mean"]) == (None, None)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


@pytest.mark.parametrize("n", [4, 25, 400])
def test_coefficients_are_those_of_scipy_in_the_whole_and_in_each_draw(n):
    correct = (np.arange(n) < n // 2).astype(int)
    quality = np.random.default_rng(n).integers(1, 5, n) + correct
    correlation = correlate(quality, correct, seed=3, draws=60)
    for name, expected in (("pearson", pearsonr(quality, correct)), ("spearman", spearmanr(quality, correct))):
        values = (correlation[name]["value"], correlation[name]["p_value"])
        assert values == pytest.approx((expected.statistic, expected.pvalue), abs=1e-12)
    z, half = np.arctanh(correlation["pearson"]["value"]), 1.959963984540054 / np.sqrt(n - 3)
    assert correlation["pearson"]["interval"] == pytest.approx((np.tanh(z - half), np.tanh(z + half)), abs=1e-9)
    rows = np.random.default_rng(3).integers(0, n, (60, n))
    resamples = [(quality[i], correct[i]) for i in rows if np.ptp(quality[i]) and np.ptp(correct[i])]
    ends = np.quantile([spearmanr(*sides).statistic for sides in resamples], [0.025, 0.975])
    assert list(correlation["spearman"]["interval"]) == pytest.approx(ends.tolist(), abs=1e-12)
    assert correlation["left_out"] == pytest.approx(1 - len(resamples) / 60)


@pytest.mark.parametrize(
    ("quality", "correct"), [([], []), ([1, 2], [1, 0]), ([0.1] * 3, [1, 0, 1]), ([1, 2, 3], [1] * 3)]
)
def test_an_undefined_correlation_has_a_reason(quality, correct):
    correlation = correlate(quality, correct)
    assert correlation["pearson"] is correlation["spearman"] is None
    assert correlation["reason"]


def naive_alpha(ratings) -> float:
    """Compute alpha from coincidences: every ordered pair of a unit's ratings, weighted by 1 / (m - 1)."""
    units = [unit for row in ratings if len(unit := [x for x in row if x is not None]) > 1]
    pairs = [(x, y, 1 / (len(unit) - 1)) for unit in units for x, y in itertools.permutations(unit, 2)]
    n = sum(weight for *_, weight in pairs)
    marginals: dict[float, float] = {}
    for x, _, weight in pairs:
        marginals[x] = marginals.get(x, 0) + weight
    observed = sum(weight * (x - y) ** 2 for x, y, weight in pairs)
    expected = sum(a * b * (x - y) ** 2 for x, a in marginals.items() for y, b in marginals.items()) / (n - 1)
    return 1 - observed / expected


def test_alpha_agrees_with_coincidences_on_random_ratings_or_is_undefined():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = rng.choice([1, 2, 3, 3.5, 4, 5], size=(rng.integers(3, 20), 4)).tolist()
        ratings = [[None if rng.random() < 0.3 else score for score in row] for row in scores] + [[1, 5]]
        assert krippendorff_alpha(ratings) == pytest.approx(naive_alpha(ratings), abs=1e-12)
    assert krippendorff_alpha([[1, 1], [5, 5], [3, 3]]) == 1
    for undefined in ([], [[]], [[4]], [[4], [2, None]], [[0.1] * 3] * 2, [[None, None]]):
        assert krippendorff_alpha(undefined) is None


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
