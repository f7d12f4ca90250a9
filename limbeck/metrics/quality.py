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

from limbeck.errors import ModelError, first_line
from limbeck.hub import where_to_load
from limbeck.metrics.consistency import consistency
from limbeck.models.families import positions
from limbeck.models.tokenization import padded_inputs
from limbeck.schema import Example, Prediction
from limbeck.tasks import Task

MAX_CHARACTERS = 10_000  # of a rationale that are compared: ROUGE-L's work grows with their square
MAX_TOKENS = 512  # of a text that are embedded, or fewer where the encoder has fewer positions
_ROUGES = ("rouge1", "rouge2", "rougeL")


class Encoder:
    """Any encoder on the Hub or in a folder, or the encoder of an encoder-decoder."""

    def __init__(self, name: str, model: Any, tokenizer: Any) -> None:
        self.name = name
        self._model = (model.get_encoder() if model.config.is_encoder_decoder else model).eval()
        self._tokenizer = tokenizer
        self.max_tokens = min(MAX_TOKENS, tokenizer.model_max_length, positions(self._model.config))

    @classmethod
    def load(cls, name: str) -> Self:
        """Load the encoder `name`, onto the GPU where there is one. Raises ModelError if that cannot be done."""
        try:
            location = where_to_load(name)
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **location)
            model, info = AutoModel.from_pretrained(
                name, trust_remote_code=False, dtype=torch.float32, output_loading_info=True, **location
            )
        except (OSError, LookupError, ValueError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
            raise ModelError(f"cannot be loaded as an encoder: {first_line(error)}", path=name) from None
        unused = ("pooler.", "decoder.")
        if info["mismatched_keys"] or not all(key.startswith(unused) for key in info["missing_keys"]):
            raise ModelError("its weights do not fit its architecture", path=name)
        return cls(name, model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]:
        """Return embeddings `[N, D]` of length 1: the mean of the last states over real tokens."""
        embeddings = np.zeros((len(texts), self._model.config.hidden_size), dtype=np.float32)
        by_length = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for start in range(0, len(texts), batch_size):
            rows = by_length[start : start + batch_size]
            encodable = [texts[row].encode(errors="replace").decode() for row in rows]  # lone surrogates are not
            ids = self._tokenizer(encodable, truncation=True, max_length=self.max_tokens)["input_ids"]
            inputs = padded_inputs(ids, self._tokenizer.pad_token_id or 0)
            inputs = {name: tensor.to(self._model.device) for name, tensor in inputs.items()}
            states = self._model(**inputs).last_hidden_state
            sums = torch.where(inputs["attention_mask"].unsqueeze(-1) > 0, states, 0).sum(dim=1)
            embeddings[rows] = torch.nn.functional.normalize(sums, dim=-1).cpu().numpy()
        return embeddings

    def similarity(self, texts: Sequence[str], references: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]:
        """Return the cosine `[N]` of each text with its reference, from -1 to 1."""
        embeddings = self.embed([*texts, *references], batch_size)
        return np.einsum("nd,nd->n", embeddings[: len(texts)], embeddings[len(texts) :])


def quality(
    predictions: Sequence[Prediction], examples: Sequence[Example], task: Task, encoder: Encoder | None = None
) -> dict[str, Any]:
    """Compare predicted rationales with the examples' own, the teacher's or gold ones.

    Returns, JSON-ready and None where undefined, measures of the `n` pairs: `bleu` (of the corpus, 0 to 100), the mean
    F of `rouge1`, `rouge2`, `rougeL`, and means of the others; `blank` rationales, left out of all else; `cut`, pairs
    with a text of which only the first `MAX_CHARACTERS` count; and the `consistency` of all rationales.
    """
    example_of = {example.id: example for example in examples}
    rationales = [(text, p) for p in predictions if (text := (p.rationale or "").strip())]
    pairs = [(text, reference) for text, p in rationales if (reference := (example_of[p.id].rationale or "").strip())]
    texts, references = ([pair[side][:MAX_CHARACTERS] for pair in pairs] for side in (0, 1))
    words, reference_words = (_mean(len(pair[side].split()) for pair in pairs) for side in (0, 1))
    similarity = None
    if encoder and pairs:
        similarity = {"mean": float(encoder.similarity(texts, references).mean()), "encoder": encoder.name}
    return {
        "n": len(pairs),
        "blank": sum(p.rationale is not None and not p.rationale.strip() for p in predictions),
        "cut": sum(max(map(len, pair)) > MAX_CHARACTERS for pair in pairs),
        **_overlap(texts, references),
        "similarity": similarity,
        "words": words,
        "reference_words": reference_words,
        "length_ratio": words / reference_words if words is not None and reference_words else None,
        "repetition": _mean(map(repetition, texts)),
        "reference_repetition": _mean(map(repetition, references)),
        "consistency": consistency([(text, str(p.prediction), example_of[p.id]) for text, p in rationales], task),
    }


def repetition(text: str) -> float | None:
    """Return the share of a text's word 3-grams that occurred in it before (seq-rep-3, Welleck et al. 2020)."""
    words = text.casefold().split()
    grams = list(zip(words, words[1:], words[2:], strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else None


def _overlap(texts: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    if not texts:
        return {"bleu": None, **dict.fromkeys(_ROUGES)}
    bleu = BLEU()
    score = bleu.corpus_score(list(texts), [list(references)])
    scorer = RougeScorer(list(_ROUGES), use_stemmer=False)
    rouges = [scorer.score(target=target, prediction=text) for text, target in zip(texts, references, strict=True)]
    return {
        "bleu": {"score": score.score, "signature": str(bleu.get_signature())},
        **{name: fmean(rouge[name].fmeasure for rouge in rouges) for name in _ROUGES},
    }


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None
