"""Greedy answers and the log-probabilities of answers: by the model itself, or by CTranslate2 for the T5 family.

Token ids are the border, not texts: nothing here asks a tokenizer.
Legend: B texts, T answer tokens, N tokens in all, D hidden size.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import zip_longest
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from limbeck.errors import ModelError, first_line
from limbeck.models.families import VocabularyHead
from limbeck.models.tokenization import IGNORE, Ids, end_ids, end_of, pad, padded_inputs

_CONVERTIBLE = ("t5", "mt5")
_TOKENS = 256  # whose logits are in memory at a time: twice 32 MB for T5's vocabulary, twice 256 MB for mT5's
Target = tuple[int, ...]  # an answer's ids, at least one: no start token, and the end token unless it was cut off
LogP = list[float]  # log-probabilities of an answer's tokens, the end token's among them, in nats
Done = Callable[[Ids], bool]
Engine = Callable[[Sequence[Ids], int, Done | None], list[Target]]
"""`engine(batch, max_new_tokens, done)` returns an answer to each input of a batch. An answer ends early once `done`
says so of the ids it has by then."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-probabilities of answers to one text, in nats."""

    top: float  # the highest over the vocabulary at the first token
    answers: list[LogP]
    greedy: int | None  # the number of the first answer of whose tokens each is the likeliest there


@dataclass(frozen=True, slots=True)
class Answer:
    """A student's answer to one text, with its log-probabilities and those of the text's choices."""

    text: str
    ids: Target
    top: float  # as in `Scores`
    log_p: LogP
    choices: list[LogP]


def greedy_search(
    model: Any, batch: Sequence[Ids], max_new_tokens: int, done: Done | None
) -> list[tuple[Target, LogP]]:
    """Return each input's greedy answer and its tokens' log-probabilities."""
    steps: list[Tensor] = []  # the highest log-probability, which is the written token's: [B] a step

    def watch(_: Tensor, scores: Tensor) -> Tensor:
        steps.append(scores.log_softmax(1).amax(1))
        return scores

    def is_done(ids: Tensor, *_: Any, **__: Any) -> Tensor:
        return torch.tensor([done is not None and done(row) for row in ids[:, 1:].tolist()], device=ids.device)

    inputs = padded_inputs(batch, model.config.pad_token_id)
    output = model.generate(
        **{name: tensor.to(model.device) for name, tensor in inputs.items()},
        max_new_tokens=max_new_tokens,
        do_sample=False,
        logits_processor=[watch],
        stopping_criteria=[is_done] if done else None,  # transformers' own takes no tokenizer of whole words
    )
    answers = [_answer_ids(row, model.config) for row in output[:, 1:].tolist()]
    log_p = torch.stack(steps, 1).tolist()
    return [(ids, row[: len(ids)]) for ids, row in zip(answers, log_p, strict=True)]


def _answer_ids(ids: Ids, config: Any) -> Target:
    """Return an answer's ids up to its first end token, or without the padding at its end; at least one id."""
    end = end_of(ids, config)
    if end is None:
        end = max((index for index, id in enumerate(ids) if id != config.pad_token_id), default=0)
    return tuple(ids[: end + 1])


def score_batch(
    head: VocabularyHead, states: Callable[[Tensor], Tensor], answers: Sequence[Sequence[Target]]
) -> list[Scores]:
    """Score the `answers` to each text; `states` returns the head's input `[B, T, D]` of target ids `[B, T]`."""
    scores: list[list[LogP]] = [[] for _ in answers]
    greedy: dict[int, int] = {}
    top: list[float] = []
    columns = list(zip_longest(*answers, fillvalue=())) or [((),) * len(answers)]  # () where a text has fewer answers
    for number, column in enumerate(columns):
        labels_BT = pad(column, IGNORE)
        hidden_BTD = states(labels_BT)
        top = top or head.logits(hidden_BTD[:, 0]).float().log_softmax(1).amax(1).tolist()
        labels_BT, lengths = labels_BT.to(hidden_BTD.device), [len(ids) for ids in column]
        real_BT = labels_BT != IGNORE
        log_p_N, likeliest_N = _token_scores(head, hidden_BTD[real_BT], labels_BT[real_BT])
        tokens = zip(log_p_N.split(lengths), likeliest_N.split(lengths), strict=True)
        for row, (log_p, likeliest) in enumerate(tokens):
            if lengths[row]:
                scores[row].append(log_p.tolist())
                if likeliest.all():
                    greedy.setdefault(row, number)
    return [Scores(top[row], scores[row], greedy.get(row)) for row in range(len(answers))]


def _token_scores(head: VocabularyHead, hidden_ND: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor]:
    """Compute each token's log-probability, and True if it is the likeliest: `[N]` each, on the CPU."""
    log_p, likeliest = [], []
    for hidden, labels in zip(hidden_ND.split(_TOKENS), labels_N.split(_TOKENS), strict=True):
        logits = head.logits(hidden).float()
        log_p.append(-cross_entropy(logits, labels, reduction="none"))
        likeliest.append(logits.argmax(1) == labels)
    return torch.cat(log_p).cpu(), torch.cat(likeliest).cpu()


def ct2_engine(model: Any, precision: str) -> Engine:
    """Return greedy search by CTranslate2 on a copy of the weights as they are now, on the processor.

    In `float32` it writes transformers' tokens, but for ties within rounding; `int8` changes some answers. Raises
    ModelError where CTranslate2 is not installed, or cannot run this model.
    """
    if model.config.model_type not in _CONVERTIBLE:
        raise ModelError(f"engine ctranslate2 cannot run {model.config.model_type!r} students: use transformers")
    if find_spec("ctranslate2") is None:
        raise ModelError("engine ctranslate2: not installed; `pip install 'limbeck[fast]'`")
    # the converter reads the weights' memory, which has to be the processor's
    translator = _translator(model if model.device.type == "cpu" else copy.deepcopy(model).cpu(), precision)

    def write(batch: Sequence[Ids], max_new_tokens: int, done: Done | None) -> list[Target]:
        answers: list[Ids] = [[] for _ in batch]

        def is_done(step: Any) -> bool:
            answers[step.batch_id].append(step.token_id)
            return done is not None and done(answers[step.batch_id])

        results = translator.translate_batch(
            [[f"s{id}" for id in ids] for ids in batch],
            beam_size=1,
            max_decoding_length=max_new_tokens,
            min_decoding_length=0,  # an answer may be empty
            max_input_length=0,  # inputs are cut already
            end_token=[str(end) for end in end_ids(model.config)],
            return_end_token=True,
            callback=is_done if done else None,  # a call for every token takes time
        )
        return [_answer_ids([int(token) for token in result.hypotheses[0]], model.config) for result in results]

    return write


def _translator(model: Any, precision: str) -> Any:
    """Convert the model, its vocabulary being the ids as numbers: not every id has a token, nor one of its own.

    A source's ids have other names than a target's: CTranslate2 would take the end token alone for an empty input.
    """
    import ctranslate2
    from ctranslate2.converters.transformers import T5Loader

    config, ids = model.config, range(model.config.vocab_size)
    with torch.no_grad(), TemporaryDirectory() as folder:
        try:
            spec = T5Loader().get_model_spec(model)
            spec.register_source_vocabulary([f"s{id}" for id in ids])
            spec.register_target_vocabulary([str(id) for id in ids])
            spec.config.decoder_start_token = spec.config.bos_token = str(config.decoder_start_token_id)
            spec.config.eos_token = str(end_ids(config)[0])
            spec.config.unk_token = str(config.pad_token_id)  # it has to be one of them; no id is unknown
            spec.config.layer_norm_epsilon = config.layer_norm_epsilon
            spec.validate()
            spec.optimize()
        except (LookupError, AttributeError, NotImplementedError, ValueError) as error:
            raise ModelError(f"engine ctranslate2: {first_line(error)}; use transformers") from error
        spec.save(folder)
        return ctranslate2.Translator(folder, compute_type=precision, intra_threads=torch.get_num_threads())
