"""The scores in a judge's replies: means, agreement, and correlation with right answers."""

import json
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # loads `stats` on use: half a second
from numpy.typing import ArrayLike
from pydantic import TypeAdapter, ValidationError

from limbeck.errors import DataError
from limbeck.files import read_jsonl
from limbeck.llm.text import json_object, plain
from limbeck.schema import Judgement
from limbeck.stats.intervals import DRAWS, Floats, Interval, Ints, block_sizes, percentiles

LOWEST, HIGHEST = 1.0, 5.0
TASK_NAMES: Mapping[str, str] = {"svamp": "SVAMP", "cqa": "CQA", "esnli": "e-SNLI", "anli1": "ANLI"}

_JUDGEMENT, _COLUMNS = TypeAdapter(Judgement), {*Judgement.__dataclass_fields__}
Summary = dict[str, dict[str, dict[str, dict[str, Any]]]]  # by run, task and sampling
Ratings = Sequence[Sequence[float | None]]  # by unit; None: not rated

_MAX_REPLY = 20_000  # last characters
_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_WORD = "|".join(_WORDS)
_NUMBER = rf"(?<![\w.,+/^-])(?P<number>\d+(?:\.\d+)?(?!\w|\.\d)|(?:{_WORD})\b)"
_SIGNS = r"[\s*_`\"'()\[\]]{0,8}"
_PER_FIVE = r"(?:/|\bout\s{1,2}of\b)\s{0,2}(?:5(?:\.0)?(?![\d.]*\d)|five\b)"
_AND = r"(?:-|\u2013|,|\bto\b|\band\b|\bor\b)"
# "from 1 to 5", "(1-5)"; and "out of 5" where no number stands before it
_SCALE = re.compile(
    rf"(?<![\w.,/-])1\s{{0,2}}{_AND}\s{{0,2}}5(?![\w/]|\.\d)"
    rf"|(?P<score>(?:\d|\b(?:{_WORD}))[*_`\"')\]]{{0,3}}\s{{0,2}})?{_PER_FIVE}",
    re.IGNORECASE,
)
# follows a number that is no score: a second number, another scale, an equation, per cent
_UNCLEAR = re.compile(
    rf"(?:{_SIGNS}{_PER_FIVE})?+{_SIGNS}+(?:{_AND}{_SIGNS}(?:\d|(?:{_WORD}|a\shalf)\b)|[%+^=/]|\bout\sof\b)",
    re.IGNORECASE,
)
_NOUN = r"\b(?:score|rating|grade|overall(?=[\s*_]{0,4}:))\b"
_GIVEN = r"(?:\bI(?:'d|'ll|\swould|\swill)?\s(?:rate|give)\b[^\d.\n]{0,60}?|\bdeserves\san?\s)"
# the clearest way to give a score first
_PATTERNS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_NOUN}[^\n.:=\d]{{0,60}}?(?:[:=\n\u2192]|->|\b(?:is|be)\b(?:\san?\b)?){_SIGNS}{_NUMBER}",
        rf"(?:{_NOUN}\sof\s|{_GIVEN}|\\boxed\{{){_SIGNS}{_NUMBER}",
        rf"{_NUMBER}(?={_SIGNS}{_PER_FIVE})",
    )
]
_ALONE = re.compile(rf"(?:#{{1,6}}\s)?{_SIGNS}{_NUMBER}{_SIGNS}(?:stars?|points?)?[.!]?{_SIGNS}", re.IGNORECASE)
_OPENING = re.compile(rf"{_SIGNS}{_NUMBER}(?={_SIGNS}[.:)]\s)", re.IGNORECASE)
_FIELDS = ("score", "rating", "final_score", "overall_score")


def read_score(reply: str) -> float | None:
    """Read the score from 1 to 5 that a judge gave; None where none is clear: no number, two, another scale.

    In this order: a JSON field; "Score: 4"; "a score of 4", "I'd give it 3.5"; "4/5", "4 out of 5"; a number alone on
    the last line or the first, or that opens the reply. The last of a kind counts.
    """
    text = plain(reply)[-_MAX_REPLY:]
    block, _ = json_object(text) or ({}, "")
    fields = {name.casefold(): value for name, value in block.items()}
    if (value := next((fields[name] for name in _FIELDS if name in fields), None)) is not None:
        text = "" if isinstance(value, bool | list | dict) else str(value)
    text = _SCALE.sub(lambda match: match[0] if match["score"] else " ", text)
    for pattern in _PATTERNS:
        if matches := list(pattern.finditer(text)):
            return None if _UNCLEAR.match(text, matches[-1].end("number")) else _valid(matches[-1]["number"])
    lines = [line for line in text.split("\n") if line.strip()]
    matches = [match for line in lines[-1:] + lines[:1] if (match := _ALONE.fullmatch(line))]
    openings = [match for line in lines if (match := _OPENING.match(line))]
    if len(openings) == 1 and openings[0].string is lines[0]:  # else a numbered list
        matches += openings
    return _valid(matches[0]["number"]) if matches else None


def _valid(number: str) -> float | None:
    value = float(_WORDS.get(number.casefold(), number))
    return value if LOWEST <= value <= HIGHEST else None


def summarise(judgements: Sequence[Judgement]) -> Summary:
    """Summarise the scores of each run on each task: `summary[run][task]["single" or "self_consistency"]`.

    `mean` and `sd` are over the `n` of `examples` with a score; `missing` replies did not arrive, `unread` ones have no
    clear score; `agreement` (exact) and `alpha` are between the `runs`. None where undefined.
    """
    groups = defaultdict(list)
    for judgement in judgements:
        sampling = "single" if judgement.single else "self_consistency"
        groups[judgement.run, judgement.task, sampling].append(judgement)
    summary: Summary = {}
    for (run, task, sampling), group in groups.items():
        means = [judgement.score for judgement in group if judgement.score is not None]
        ratings = [judgement.scores for judgement in group]
        repeated = _rated_twice(ratings)
        missing = sum(judgement.replies.count(None) for judgement in group)
        summary.setdefault(run, {}).setdefault(task, {})[sampling] = {
            "mean": statistics.fmean(means) if means else None,
            "sd": statistics.stdev(means) if len(means) > 1 else None,
            "n": len(means),
            "examples": len(group),
            "runs": max(map(len, ratings)),
            "missing": missing,
            "unread": sum(scores.count(None) for scores in ratings) - missing,
            "alpha": krippendorff_alpha(ratings),
            "agreement": sum(len(set(unit)) == 1 for unit in repeated) / len(repeated) if repeated else None,
            "judge": group[0].judge,
            "temperature": group[0].temperature,
        }
    return summary


def correlate(quality: ArrayLike, correct: ArrayLike, *, seed: int = 0, draws: int = DRAWS) -> dict[str, Any]:
    """Correlate `quality` [N] with `correct` [N], true or false; None with a `reason` where undefined.

    `pearson`, here the point-biserial coefficient, has Fisher's interval; `spearman` the bootstrap's, without the share
    `left_out` of draws in which a side is constant.
    """
    q, y = np.asarray(quality, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    n = len(q)
    if n < 3 or np.ptp(q) == 0 or np.ptp(y) == 0:
        reason = "a correlation needs three answers" if n < 3 else "a side is the same for every answer"
        return {"n": n, **dict.fromkeys(("pearson", "spearman", "left_out")), "reason": reason}
    linear, ranked = scipy.stats.pearsonr(q, y), scipy.stats.spearmanr(q, y)
    fisher = linear.confidence_interval(0.95) if n > 3 and abs(linear.statistic) < 1 else None
    rng = np.random.default_rng(seed)
    resampled = np.concatenate([_rank_correlations(q, y, rng.integers(0, n, (d, n))) for d in block_sizes(n, draws)])
    defined = resampled[~np.isnan(resampled)]
    return {
        "n": n,
        "pearson": _coefficient(linear, fisher and (float(fisher.low), float(fisher.high))),
        "spearman": _coefficient(ranked, percentiles(defined) if len(defined) else None),
        "left_out": 1 - len(defined) / draws,
        "reason": None,
    }


def _rank_correlations(quality: Floats, correct: Floats, rows_DN: Ints) -> Floats:
    """Return each draw's Spearman coefficient [D]; NaN where a side is constant."""
    ranks = scipy.stats.rankdata(quality[rows_DN], axis=1)
    # correctness has two values, so it correlates as its ranks do
    q, y = (side - side.mean(axis=1, keepdims=True) for side in (ranks, correct[rows_DN]))
    with np.errstate(invalid="ignore"):
        return (q * y).sum(axis=1) / np.sqrt((q**2).sum(axis=1) * (y**2).sum(axis=1))


def _coefficient(result: Any, interval: Interval | None) -> dict[str, Any]:
    return {"value": float(result.statistic), "p_value": float(result.pvalue), "interval": interval}


def krippendorff_alpha(ratings: Ratings) -> float | None:
    """Return Krippendorff's alpha for interval data (2011), `1 - D_o / D_e`; None where it is undefined.

    D_o is sum_u m_u var(u) / n over units u of m_u >= 2 ratings, D_e the variance of these n.
    """
    units = _rated_twice(ratings)
    values = [rating for unit in units for rating in unit]
    if len(set(values)) < 2:
        return None
    within = sum(len(unit) * float(np.var(unit, ddof=1)) for unit in units if len(set(unit)) > 1)
    return 1 - within / (len(values) * float(np.var(values, ddof=1)))


def _rated_twice(ratings: Ratings) -> list[list[float]]:
    units = [[rating for rating in row if rating is not None] for row in ratings]
    return [unit for unit in units if len(unit) >= 2]


def read_judgements(path: Path) -> list[Judgement]:
    """Read a file of `limbeck judge`. Raises DataError for a row that is no judgement."""
    judgements = []
    for line, row in read_jsonl(path):
        try:
            if row.keys() - _COLUMNS:
                raise ValueError
            judgements.append(_JUDGEMENT.validate_json(json.dumps(row), strict=True))
        except (ValidationError, ValueError):
            raise DataError("no judgement; run `limbeck judge` again", path=path, line=line) from None
    return judgements
