"""How good predicted rationales are, by their text alone: how near to the teacher's, how long, how repetitive."""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]
from sacrebleu.metrics.bleu import BLEU

from limbeck.errors import LimbeckError
from limbeck.metrics.consistency import consistency
from limbeck.metrics.embedding import Encoder
from limbeck.schema import Example, Prediction
from limbeck.tasks import Task

LONGEST = 10_000  # characters of a rationale that are compared: ROUGE-L's work grows with their square
_ROUGES = ("rouge1", "rouge2", "rougeL")
_GRAM = 3


def quality(
    predictions: Sequence[Prediction], examples: Sequence[Example], task: Task, encoder: Encoder | None = None
) -> dict[str, Any]:
    """The predicted rationales beside the examples' own, the teacher's or gold ones.

    Returns, JSON-ready, None where a thing is undefined:
        `n`: the pairs, predictions with a rationale whose example has one, too; `blank`: rationales asked for, of which
        none came, left out of all else, as are predictions whose rationale nobody asked for (None); `cut`: pairs with a
        text of which only the first `LONGEST` characters count;
        `bleu`: `score`, of the corpus, 0 to 100 (Papineni et al. 2002, by sacrebleu), and its `signature`;
        `rouge1`, `rouge2`, `rougeL`: the mean F over the pairs, 0 to 1 (Lin 2004, by rouge-score: no stemmer, cases
        alike, the letters a-z and digits alone: in other scripts nothing is counted);
        `similarity`: the mean cosine by `encoder`, and its `encoder` name; None without one;
        `words`, `reference_words`: the mean length in words, between blanks; `length_ratio`: the one by the other;
        `repetition`, `reference_repetition`: the mean share of a text's 3-grams of words that stood in it before, `1 -
        distinct / all` (seq-rep-3, Welleck et al. 2020), over the texts of three words and more;
        `consistency`: as `limbeck.metrics.consistency`, over all predicted rationales that are not blank.

    Nearness to one teacher's text is no measure of good reasoning: a rationale as good in other words is far from it.

    Raises:
        LimbeckError: a prediction without its example, or two with one id.
    """
    given = _paired(predictions, examples)
    pairs = [(text, reference) for text, example, _ in given if (reference := (example.rationale or "").strip())]
    compared = [(text[:LONGEST], reference[:LONGEST]) for text, reference in pairs]
    return {
        "n": len(pairs),
        "blank": sum(one.rationale is not None and not one.rationale.strip() for one in predictions),
        "cut": sum(pair != whole for pair, whole in zip(compared, pairs, strict=True)),
        **_overlap(compared),
        "similarity": _similarity(compared, encoder),
        **_lengths(pairs),
        "repetition": _mean(repetition(text) for text, _ in compared),
        "reference_repetition": _mean(repetition(reference) for _, reference in compared),
        "consistency": consistency(
            [text for text, *_ in given], [answer for *_, answer in given], [example for _, example, _ in given], task
        ),
    }


def repetition(text: str) -> float | None:
    """The share of a text's 3-grams of words, cases alike, that stood in it before; None below three words."""
    words = text.casefold().split()
    grams = list(zip(*(words[start:] for start in range(_GRAM)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else None


def _paired(predictions: Sequence[Prediction], examples: Sequence[Example]) -> list[tuple[str, Example, str]]:
    """Rationale, example and answer of the predictions that have a rationale."""
    by_id = {example.id: example for example in examples}
    seen: set[str] = set()
    for prediction in predictions:
        if prediction.id not in by_id:
            raise LimbeckError(f"prediction {prediction.id!r:.60}: no example has this id")
        if prediction.id in seen:
            raise LimbeckError(f"prediction {prediction.id!r:.60}: the id stands there twice")
        seen.add(prediction.id)
    return [
        (text, by_id[prediction.id], prediction.prediction)
        for prediction in predictions
        if (text := (prediction.rationale or "").strip())
    ]


def _overlap(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    if not pairs:
        return {"bleu": None, **dict.fromkeys(_ROUGES)}
    bleu = BLEU()
    score = bleu.corpus_score([text for text, _ in pairs], [[reference for _, reference in pairs]])
    scorer = RougeScorer(list(_ROUGES), use_stemmer=False)
    rouges = [scorer.score(target=reference, prediction=text) for text, reference in pairs]
    return {
        "bleu": {"score": score.score, "signature": str(bleu.get_signature())},
        **{name: fmean(one[name].fmeasure for one in rouges) for name in _ROUGES},
    }


def _similarity(pairs: Sequence[tuple[str, str]], encoder: Encoder | None) -> dict[str, Any] | None:
    if encoder is None or not pairs:
        return None
    cosines = encoder.similarity([text for text, _ in pairs], [reference for _, reference in pairs])
    return {"mean": float(cosines.mean()), "encoder": encoder.name}


def _lengths(pairs: Sequence[tuple[str, str]]) -> dict[str, float | None]:
    words, reference = (_mean(len(pair[side].split()) for pair in pairs) for side in (0, 1))
    ratio = words / reference if words is not None and reference else None
    return {"words": words, "reference_words": reference, "length_ratio": ratio}


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None
