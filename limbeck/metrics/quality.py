"""Quality of predicted rationales as texts: nearness to the teacher's, length, repetition, consistency."""

import re
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]
from sacrebleu.metrics.bleu import BLEU
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer

from limbeck.errors import ModelError, first_line
from limbeck.hub import where_to_load
from limbeck.llm.replies import stated_answer
from limbeck.models.families import positions
from limbeck.models.tokenization import padded_inputs
from limbeck.schema import Example, Prediction
from limbeck.tasks import Task, evaluate, nli, same_value

MAX_CHARACTERS = 10_000  # of a rationale: ROUGE-L takes their square
MAX_TOKENS = 512  # of a text, or the encoder's limit
BATCH_SIZE = 64
_ROUGES = ("rouge1", "rouge2", "rougeL")
_MAX_NUMBERS = 200  # the last of a rationale

_SIGNS = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-", "$": " "})
_TIMES = re.compile(r"(?<=[\d)])\s?[xX]\s?(?=[\d(])")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3}){1,9}(?![\d,])")
_ARITHMETIC = re.compile(r"(?<![\w.])[(\d.-](?:[\d+\-*/() \t]|\.(?!\s))*", re.ASCII)
_OPERATOR = re.compile(r"[\d)]\s{0,3}[+\-*/]")
_WORD = re.compile(r"\w+")
_ENDING = re.compile(r"(?<=\w{3})(?:ies|es|s|e|y)$")  # cities and city, boxes and box

# phrases that go with their label in nine of ten of PaLM's e-SNLI rationales
_RELATIONS = {
    label: re.compile(phrases, re.IGNORECASE)
    for label, phrases in {
        "neutral": r"\bneutral\b|\bnot\s(?:necessarily|specified|stated|mentioned|known|clear|enough)\b|\bunclear\b"
        r"|\b(?:do|does|is)(?:\snot|n't)\s(?:\w{1,12}ly\s)?(?:mean|mention|say|specify|imply|entail|contradict)\b",
        "contradiction": r"(?<!not )(?<!n't )\bcontradict(?:s|ory|ions?)?\b|\bimpossible\b|\bmutually\sexclusive\b"
        r"|\b(?:cannot|can't|not)\s[^.\n]{1,100}\s(?:at\sthe\ssame\stime|simultaneously|at\sonce)\b",
        "entailment": r"(?<!not )(?<!n't )\b(?:entail(?:s|ed|ment)?|implies)\b|\b(?:type|kind|form)\sof\b"
        r"|\bsynonym|\banother\sway\sof\b",
    }.items()
}


class Encoder:
    """An encoder, or that of an encoder-decoder, on a GPU if there is one."""

    def __init__(self, name: str) -> None:
        """Load the encoder `name`, on the Hub or in a folder. Raises ModelError."""
        try:
            options: dict[str, Any] = {"trust_remote_code": False, **where_to_load(name)}
            self._tokenizer = AutoTokenizer.from_pretrained(name, **options)
            model, info = AutoModel.from_pretrained(name, dtype=torch.float32, output_loading_info=True, **options)
        except (OSError, LookupError, ValueError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
            raise ModelError(f"cannot be loaded as an encoder: {first_line(error)}", path=name) from None
        if info["mismatched_keys"] or not all(key.startswith(("pooler.", "decoder.")) for key in info["missing_keys"]):
            raise ModelError("its weights do not fit its architecture", path=name)
        self.name = name
        self._model = model.get_encoder() if model.config.is_encoder_decoder else model
        self._model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        self.max_tokens = min(MAX_TOKENS, self._tokenizer.model_max_length, positions(self._model.config))

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return embeddings `[N, D]` of length 1: the mean of the last states over real tokens."""
        encodable = [text.encode(errors="replace").decode() for text in texts]  # no lone surrogates
        sums = torch.zeros(len(texts), self._model.config.hidden_size, device=self._model.device)
        by_length = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for start in range(0, len(texts), BATCH_SIZE):
            rows = by_length[start : start + BATCH_SIZE]
            batch = [encodable[row] for row in rows]
            ids = self._tokenizer(batch, truncation=True, max_length=self.max_tokens)["input_ids"]
            inputs = padded_inputs(ids, self._tokenizer.pad_token_id or 0)
            inputs = {name: tensor.to(self._model.device) for name, tensor in inputs.items()}
            states = self._model(**inputs).last_hidden_state
            sums[rows] = torch.where(inputs["attention_mask"].unsqueeze(-1) > 0, states, 0).sum(dim=1)
        return torch.nn.functional.normalize(sums, dim=-1).cpu().numpy()

    def similarity(self, texts: Sequence[str], references: Sequence[str]) -> NDArray[np.float32]:
        """Return the cosine `[N]` of each text with its reference, from -1 to 1."""
        return np.einsum("nd,nd->n", *np.split(self.embed([*texts, *references]), 2))


def quality(
    predictions: Sequence[Prediction], examples: Sequence[Example], task: Task, encoder: Encoder | None = None
) -> dict[str, Any]:
    """Compare predicted rationales with the examples' own; None where undefined.

    Of the `n` pairs `bleu` (0 to 100) is the corpus's, all else a mean; `cut` counts pairs compared by their first
    `MAX_CHARACTERS`, `blank` rationales that are left out; `consistency` is of all rationales.
    """
    by_id = {example.id: example for example in examples}
    answers = [(text, str(p.prediction), by_id[p.id]) for p in predictions if (text := (p.rationale or "").strip())]
    pairs = [(text, reference) for text, _, row in answers if (reference := (row.rationale or "").strip())]
    texts, references = ([pair[side][:MAX_CHARACTERS] for pair in pairs] for side in (0, 1))
    overlap: dict[str, Any] = dict.fromkeys(("bleu", *_ROUGES, "similarity"))
    if pairs:
        bleu, scorer = BLEU(), RougeScorer(list(_ROUGES), use_stemmer=False)
        score = bleu.corpus_score(texts, [references])
        overlap["bleu"] = {"score": score.score, "signature": str(bleu.get_signature())}
        rouges = [scorer.score(target=target, prediction=text) for text, target in zip(texts, references, strict=True)]
        overlap |= {name: fmean(rouge[name].fmeasure for rouge in rouges) for name in _ROUGES}
        if encoder:
            similarity = encoder.similarity(texts, references)
            overlap["similarity"] = {"mean": float(similarity.mean()), "encoder": encoder.name}
    return {
        "n": len(pairs),
        "blank": sum(p.rationale is not None and not p.rationale.strip() for p in predictions),
        "cut": sum(max(map(len, pair)) > MAX_CHARACTERS for pair in pairs),
        **overlap,
        "words": _mean(len(text.split()) for text, _ in pairs),
        "reference_words": _mean(len(reference.split()) for _, reference in pairs),
        "repetition": _mean(map(repetition, texts)),
        "reference_repetition": _mean(map(repetition, references)),
        "consistency": consistency(answers, task),
    }


def repetition(text: str) -> float | None:
    """Return the share of word 3-grams that occurred before in the text (seq-rep-3, Welleck et al. 2020)."""
    words = text.casefold().split()
    grams = list(zip(words, words[1:], words[2:], strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else None


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None


def consistency(rationales: Sequence[tuple[str, str, Example]], task: Task) -> dict[str, Any]:
    """Measure how often a rationale's conclusion equals the answer that came with it, right or not.

    `rationales` have answer and example; `consistency` is over those whose conclusion can be `read`.
    """
    conclusions = [(conclusion(text, example, task), answer) for text, answer, example in rationales]
    agreeing = [task.equal(label, answer) for label, answer in conclusions if label is not None]
    n, read = len(conclusions), len(agreeing)
    return {
        "consistency": sum(agreeing) / read if read else None,
        "readable": read / n if n else None,
        "read": read,
        "n": n,
    }


def conclusion(rationale: str, example: Example, task: Task) -> str | None:
    """Return the label that a rationale (its end, if it is long) concludes; None where none is clear.

    A sentence that states the answer comes first. Otherwise of equations it is the last expression with an operator,
    `45 - 3` in "So 45 - 3 = 41 are left", or else the last number; in natural language inference the relation that all
    its phrases name; of other choices the last one named, singular or plural ("not a dam" names the dam).
    """
    text = rationale[-MAX_CHARACTERS:]
    if (stated := stated_answer(text, task, example)) is not None:
        return stated
    choices = example.choices or task.choices
    if task.equal is same_value:
        return _last_value(text)
    if set(choices) == set(nli.LABELS):
        relations = [label for label, phrases in _RELATIONS.items() if phrases.search(text)]
        return relations[0] if len(relations) == 1 else None
    return _last_named(text, choices)


def _last_value(text: str) -> str | None:
    text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text.translate(_SIGNS))
    runs = _ARITHMETIC.findall(_TIMES.sub("*", text))[-_MAX_NUMBERS:]
    values = [value for run in reversed(runs) if (value := _equation(run)) is not None]
    return next(filter(_OPERATOR.search, values), values[0] if values else None)


def _equation(run: str) -> str | None:
    """Return the expression in a run of numbers and signs; its outer parentheses may be the sentence's."""
    run = run.strip(" \t+*/").rstrip("-. \t")
    return next((text for text in (run, run.lstrip("( "), run.rstrip(") ")) if evaluate(text) is not None), None)


def _last_named(text: str, choices: Sequence[str]) -> str | None:
    """Return the longest choice that ends last in the text: "music store" before "store"."""
    words = _stems(text)
    by_length = sorted(((stems, choice) for choice in choices if (stems := _stems(choice))), key=lambda c: -len(c[0]))
    ends = range(len(words), 0, -1)
    return next((choice for end in ends for stems, choice in by_length if words[:end][-len(stems) :] == stems), None)


def _stems(text: str) -> list[str]:
    return [_ENDING.sub("", word) for word in _WORD.findall(text.casefold())]
