"""What judgements come to, against published and hand-made figures, and the paper's table."""

import itertools
import json
import statistics

import numpy as np
import pytest

from limbeck.errors import LimbeckError
from limbeck.metrics.judged import read_judgements, summarise, table
from limbeck.schema import Judgement
from limbeck.stats.agreement import exact_agreement, krippendorff_alpha

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: four observers, twelve units.
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def test_alpha_is_the_published_one():
    alpha = krippendorff_alpha(list(zip(*PUBLISHED, strict=True)))
    assert alpha == pytest.approx(0.849, abs=5e-4)


def naive_alpha(ratings) -> float:
    """By coincidences: every ordered pair of a unit's ratings, weighted by 1 / (m - 1)."""
    pairs = [
        (x, y, 1 / (len(unit) - 1))
        for row in ratings
        if len(unit := [x for x in row if x is not None]) > 1
        for x, y in itertools.permutations(unit, 2)
    ]
    n = sum(weight for *_, weight in pairs)
    marginals: dict[float, float] = {}
    for x, _, weight in pairs:
        marginals[x] = marginals.get(x, 0) + weight
    observed = sum(weight * (x - y) ** 2 for x, y, weight in pairs)
    expected = sum(a * b * (x - y) ** 2 for x, a in marginals.items() for y, b in marginals.items()) / (n - 1)
    return 1 - observed / expected


def test_alpha_agrees_with_coincidences_on_random_ratings():
    draw = np.random.default_rng(0)
    for _ in range(50):
        scores = draw.choice([1, 2, 3, 3.5, 4, 5], size=(draw.integers(3, 20), 4)).tolist()
        ratings = [[None if draw.random() < 0.3 else score for score in row] for row in scores] + [[1, 5]]
        assert krippendorff_alpha(ratings) == pytest.approx(naive_alpha(ratings), abs=1e-12)


def test_alpha_at_its_ends_and_where_it_is_undefined():
    assert krippendorff_alpha([[1, 1], [5, 5], [3, 3]]) == 1
    # n = 4: within units 4 * (1 - 5)^2 = 64 over 4 ratings; between all, 2 of the 3 others of each differ
    assert krippendorff_alpha([[1, 5], [1, 5]]) == pytest.approx(1 - 16 / (128 / 12))
    assert krippendorff_alpha([[0.1, 0.1, 0.1], [0.1, 0.1, 0.1]]) is None
    for undefined in ([], [[]], [[4]], [[4], [2, None]], [[4, 4], [4, 4]], [[None, None]]):
        assert krippendorff_alpha(undefined) is None
    draw = np.random.default_rng(1)
    assert abs(krippendorff_alpha(draw.integers(1, 6, (20_000, 4)).tolist())) < 0.02


def test_exact_agreement_counts_examples_that_all_runs_score_alike():
    assert exact_agreement([[4, 4, 4, 4], [4, 4, None, 4], [4, 4, 4, 5], [3, None, None, None]]) == 2 / 3
    assert exact_agreement([[4], [None]]) is None


def judgement(run, scores, task="svamp", replies=None, id="1") -> Judgement:
    said = tuple("said" for _ in scores) if replies is None else replies
    return Judgement(id, task, run, "x", "Because.", "m", 0.0 if len(scores) == 1 else 0.7, said, tuple(scores))


JUDGED = [
    *(judgement("Ours", [score]) for score in (4.0, 2.0, 5.0, None)),
    judgement("Ours", [4.0, 4.0, 4.0, 4.0]),
    judgement("Ours", [2.0, 3.0, None, None], replies=("a", "b", "c", None)),
    judgement("Ours", [None] * 4, replies=(None,) * 4),
    judgement("Gold", [5.0], task="cqa"),
    judgement("Gold", [None], task="esnli"),
    judgement("mine", [3.0], task="arithmetic"),
]


def test_a_summary_has_means_deviations_and_what_is_lacking():
    summary = summarise(JUDGED)
    single = summary["Ours"]["svamp"]["single"]
    assert single["mean"] == pytest.approx(11 / 3)
    assert single["sd"] == pytest.approx(statistics.stdev([4, 2, 5]))
    assert (single["n"], single["examples"], single["runs"]) == (3, 4, 1)
    assert (single["missing"], single["unread"], single["alpha"], single["agreement"]) == (0, 1, None, None)
    several = summary["Ours"]["svamp"]["self_consistency"]
    assert (several["mean"], several["n"], several["examples"], several["runs"]) == (3.25, 2, 3, 4)
    assert several["sd"] == pytest.approx(1.5 / 2**0.5)
    assert (several["missing"], several["unread"], several["agreement"]) == (5, 1, 0.5)
    assert several["alpha"] == pytest.approx(naive_alpha([[4, 4, 4, 4], [2, 3]]))
    assert (several["judge"], several["temperature"]) == ("m", 0.7)
    assert summary["Gold"]["cqa"]["single"]["sd"] is None
    assert summary["Gold"]["esnli"]["single"]["mean"] is None
    assert summarise([]) == {}
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_the_table_has_the_papers_rows_and_columns():
    found = table(summarise(JUDGED))
    assert found[0] == ["Model", "SVAMP", "CQA", "e-SNLI", "ANLI", "arithmetic"]
    assert [row[0] for row in found[1:]] == ["Gold", "++", "DSS", "++", "Ours", "++", "mine", "++"]
    assert found[1][1:] == ["not run", "5.00 (1)", "no score", "not run", "not run"]
    assert found[5][1] == "3.67±1.53 (3)"
    assert found[6][1] == "3.25±1.06 (2)"
    assert found[7][5] == "3.00 (1)"
    assert set(found[3][1:] + found[4][1:]) == {"not run"}
    named = table(summarise(JUDGED), rows=["Ours"], columns=["svamp"])
    assert named == [["Model", "SVAMP"], ["Ours", "3.67±1.53 (3)"], ["++", "3.25±1.06 (2)"]]
    assert len(table({})) == 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ["1"]},
        {"task": {}},
        {"run": 3},
        {"rationale": None},
        {"temperature": "0"},
        {"scores": [float("nan")]},
        {"scores": [True]},
        {"scores": [3]},
        {"scores": []},
        {"replies": [1]},
        {"replies": 1},
        {"more": 1},
    ],
    ids=str,
)
def test_a_row_that_is_no_judgement_is_named(wrong, tmp_path):
    row = {"id": "1", "task": "a", "run": "b", "label": "c", "rationale": "d", "judge": "e", "temperature": 0.7}
    row |= {"replies": ["3", None], "scores": [3, None]}
    path = tmp_path / "judge.jsonl"
    path.write_text(json.dumps(row) + "\n")
    assert read_judgements(path)[0].score == 3
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | wrong) + "\n")
    with pytest.raises(LimbeckError, match=r"judge.jsonl:2: no judgement; have it written anew by `limbeck judge`"):
        read_judgements(path)
