"""Quality of predicted rationales by their text alone: nearness to the teacher's, length, repetition."""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]
from sacrebleu.metrics.bleu import BLEU
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer

from limbeck.errors import DataError, ModelError, first_line
from limbeck.hub import where_to_load
from limbeck.metrics.consistency import consistency
from limbeck.models.families import positions
from limbeck.models.tokenization import by_length, pad, padding_mask
from limbeck.schema import Example, Prediction
from limbeck.tasks import Task

MAX_CHARACTERS = 10_000  # of a rationale that are compared: ROUGE-L's work grows with their square
MAX_TOKENS = 512  # of a text that are embedded, or fewer where the encoder has fewer positions
_ROUGES = ("rouge1", "rouge2", "rougeL")
_GRAM = 3

_Pair = tuple[str, str]
"""A rationale and its reference."""


class Encoder:
    """Any encoder on the Hub or in a folder, or the encoder of an encoder-decoder; loaded once, used for many texts."""

    def __init__(self, name: str, model: Any, tokenizer: Any) -> None:
        self.name = name
        self._model = (model.get_encoder() if model.config.is_encoder_decoder else model).eval()
        self._tokenizer = tokenizer
        self.max_tokens = min(MAX_TOKENS, tokenizer.model_max_length, positions(self._model.config))

    @classmethod
    def load(cls, name: str) -> Self:
        """Load the encoder `name`, onto the GPU where there is one.

        Raises:
            ModelError: there is none, or weights are missing.
        """
        try:
            location = where_to_load(name)
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **location)
            model, info = AutoModel.from_pretrained(
                name, trust_remote_code=False, dtype=torch.float32, output_loading_info=True, **location
            )
        except (OSError, LookupError, ValueError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
            raise ModelError(f"cannot be loaded as an encoder: {first_line(error)}", path=name) from None
        # a pooler or a decoder is not used here
        missing = sorted(key for key in info["missing_keys"] if not key.startswith(("pooler.", "decoder.")))
        if missing or info["mismatched_keys"]:
            raise ModelError(f"weights do not fit the architecture ({len(missing)} are missing)", path=name)
        return cls(name, model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]:
        """Return embeddings `[N, D]` of length 1: the mean of the last states over real tokens, padding left out.

        Texts of similar length are run together. A text without any token has the embedding 0.
        """
        encodable = [text.encode(errors="replace").decode() for text in texts]  # lone surrogates are not
        ids = self._tokenizer(encodable, truncation=True, max_length=self.max_tokens)["input_ids"] if texts else []
        embeddings = np.zeros((len(texts), self._model.config.hidden_size), dtype=np.float32)
        nonempty = [index for index in range(len(ids)) if ids[index]]
        for batch in by_length([ids[index] for index in nonempty], batch_size, None):
            rows = [nonempty[index] for index in batch]
            embeddings[rows] = self._means([ids[row] for row in rows])
        return embeddings

    def similarity(self, texts: Sequence[str], references: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]:
        """Return the cosine `[N]` of each text with its reference, from -1 to 1; 0 where either has no token."""
        embeddings = self.embed([*texts, *references], batch_size)
        return np.einsum("nd,nd->n", embeddings[: len(texts)], embeddings[len(texts) :])

    def _means(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        device = self._model.device
        tokens = pad(ids, self._tokenizer.pad_token_id or 0).to(device)
        mask = padding_mask(ids).to(device)
        states = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state
        means = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return torch.nn.functional.normalize(means, dim=-1).float().cpu().numpy()


def quality(
    predictions: Sequence[Prediction], examples: Sequence[Example], task: Task, encoder: Encoder | None = None
) -> dict[str, Any]:
    """Compare predicted rationales with the examples' own, the teacher's or gold ones.

    Nearness to one teacher's text is no measure of good reasoning: a good rationale in other words is far from it.

    Returns:
        JSON-ready, None where undefined: `n`, the pairs of a predicted rationale and its example's; `blank`, rationales
        asked for that came out blank, left out of everything else, as are predictions whose rationale nobody asked for
        (None); `cut`, pairs with a text of which only the first `MAX_CHARACTERS` count;
        `bleu`: `score` of the corpus, 0 to 100 (Papineni et al. 2002, by sacrebleu), and its `signature`;
        `rouge1`, `rouge2`, `rougeL`: the mean F over the pairs, 0 to 1 (Lin 2004, by rouge-score: no stemmer, no case,
        the letters a-z and digits alone);
        `similarity`: the `mean` cosine by `encoder`, and its name;
        `words`, `reference_words`: the mean length in words; `length_ratio`: their ratio;
        `repetition`, `reference_repetition`: the mean share of a text's word 3-grams that occurred in it before
        (seq-rep-3, Welleck et al. 2020);
        `consistency`: as `limbeck.metrics.consistency`, over all predicted rationales that are not blank.

    Raises:
        DataError: a prediction without its example, or two with one id.
    """
    example_of = {example.id: example for example in examples}
    ids = [prediction.id for prediction in predictions]
    if len(set(ids)) < len(ids) or not example_of.keys() >= set(ids):
        raise DataError("each prediction needs an example of its own", field="'id'")
    rationales = [(text, p) for p in predictions if (text := (p.rationale or "").strip())]
    pairs = [(text, reference) for text, p in rationales if (reference := (example_of[p.id].rationale or "").strip())]
    compared = [(text[:MAX_CHARACTERS], reference[:MAX_CHARACTERS]) for text, reference in pairs]
    return {
        "n": len(pairs),
        "blank": sum(p.rationale is not None and not p.rationale.strip() for p in predictions),
        "cut": sum(short != pair for short, pair in zip(compared, pairs, strict=True)),
        **_overlap(compared),
        "similarity": _similarity(compared, encoder),
        **_lengths(pairs),
        "repetition": _mean(repetition(text) for text, _ in compared),
        "reference_repetition": _mean(repetition(reference) for _, reference in compared),
        "consistency": consistency([(text, str(p.prediction), example_of[p.id]) for text, p in rationales], task),
    }


def repetition(text: str) -> float | None:
    """Return the share of a text's word 3-grams, without case, that occurred in it before; None below three words."""
    words = text.casefold().split()
    grams = list(zip(*(words[start:] for start in range(_GRAM)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else None


def _overlap(pairs: Sequence[_Pair]) -> dict[str, Any]:
    if not pairs:
        return {"bleu": None, **dict.fromkeys(_ROUGES)}
    bleu = BLEU()
    score = bleu.corpus_score([text for text, _ in pairs], [[reference for _, reference in pairs]])
    scorer = RougeScorer(list(_ROUGES), use_stemmer=False)
    rouges = [scorer.score(target=reference, prediction=text) for text, reference in pairs]
    return {
        "bleu": {"score": score.score, "signature": str(bleu.get_signature())},
        **{name: fmean(rouge[name].fmeasure for rouge in rouges) for name in _ROUGES},
    }


def _similarity(pairs: Sequence[_Pair], encoder: Encoder | None) -> dict[str, Any] | None:
    if encoder is None or not pairs:
        return None
    cosines = encoder.similarity([text for text, _ in pairs], [reference for _, reference in pairs])
    return {"mean": float(cosines.mean()), "encoder": encoder.name}


def _lengths(pairs: Sequence[_Pair]) -> dict[str, float | None]:
    words, reference = (_mean(len(pair[side].split()) for pair in pairs) for side in (0, 1))
    ratio = words / reference if words is not None and reference else None
    return {"words": words, "reference_words": reference, "length_ratio": ratio}


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None
