"""Answers, greedy by the model or by CTranslate2 or sampled from the model, and the log-probabilities of answers.

Inputs and answers are token ids.
Legend: B texts, T answer tokens, N tokens in all, D hidden size, V vocabulary.
"""

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import zip_longest
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from limbeck.errors import ModelError, first_line
from limbeck.models.families import VocabularyHead
from limbeck.models.lora import has_adapter, merged
from limbeck.models.tokenization import IGNORE, Ids, end_of, pad, padded_inputs

_TOKENS = 256  # with logits in memory at a time: twice 32 MB for T5, twice 256 MB for mT5
Target = tuple[int, ...]  # an answer's ids, at least one: no start token, the end token unless it was cut off
LogP = list[float]  # log-probabilities of an answer's tokens and its end token, in nats
Done = Callable[[Ids], bool]
Sampler = Callable[[Tensor, int], Tensor]  # of scores [B, V] and the step: the tokens to write [B]
Engine = Callable[[Sequence[Ids], int, Done | None], list[tuple[Target, LogP]]]
"""`engine(batch, max_new_tokens, done)` answers each input, with log-probabilities; early, once `done(its ids)`."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-probabilities of answers to a text."""

    top: float  # the highest over the vocabulary at the first token
    answers: list[LogP]
    greedy: int | None  # the number of the first answer that greedy search would write


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a text, with its log-probabilities and those of the text's choices."""

    text: str
    ids: Target
    top: float  # as in `Scores`
    log_p: LogP
    choices: list[LogP]


def generate(model: Any, batch: Sequence[Ids], *, pad_id: int, options: Mapping[str, Any]) -> list[Ids]:
    """Return the ids that `model.generate(**options)` writes to each input, their padding included."""
    decoder_only = not model.config.is_encoder_decoder  # whose output begins with the prompt
    inputs = padded_inputs(batch, pad_id, left=decoder_only)
    tensors = {name: ids.to(model.device) for name, ids in inputs.items()}
    output = model.generate(**tensors, **options, synced_gpus=False)  # processes write answers of their own
    begin = inputs["input_ids"].shape[1] if decoder_only else 1
    return output[:, begin:].tolist()


def search(
    model: Any, batch: Sequence[Ids], max_new_tokens: int, done: Done | None, *, draw: Sampler | None = None
) -> list[tuple[Target, LogP]]:
    """Return each input's answer, greedy or of the tokens that `draw` returns, and its log-probabilities."""
    steps: list[Tensor] = []  # the written token's log-probability: [B] a step

    def watch(_: Tensor, scores: Tensor) -> Tensor:
        log_p_BV = scores.log_softmax(1)
        tokens_B = draw(scores, len(steps)) if draw else scores.argmax(1)
        steps.append(log_p_BV.gather(1, tokens_B.unsqueeze(1)).squeeze(1))
        return scores.scatter(1, tokens_B.unsqueeze(1), math.inf) if draw else scores

    def is_done(ids: Tensor, *_: Any, **__: Any) -> Tensor:
        written = ids[:, -len(steps) :].tolist()
        return torch.tensor([done is not None and done(row) for row in written], device=ids.device)

    config = model.generation_config
    options = {
        "max_new_tokens": max_new_tokens,
        "do_sample": False,
        "logits_processor": [watch],
        "stopping_criteria": [is_done] if done else None,  # transformers' own refuses word-level tokenizers
    }
    answers = [_answer_ids(row, config) for row in generate(model, batch, pad_id=config.pad_token_id, options=options)]
    return [(ids, row[: len(ids)]) for ids, row in zip(answers, torch.stack(steps, 1).tolist(), strict=True)]


def sampler(batch: Sequence[Ids], numbers: Sequence[int], limit: int, *, temperature: float, seed: int) -> Sampler:
    """Return a sampler of up to `limit` tokens by their probabilities at a temperature, without top-k or top-p.

    Inverts the cumulative distribution at a uniform number, one a token. They come from a generator for each input,
    seeded by `seed`, the sample's number and the input's ids: what is drawn depends on no other input of the batch.
    """
    seeds = [[seed, number, *ids] for number, ids in zip(numbers, batch, strict=True)]
    uniform_BT = torch.from_numpy(np.stack([np.random.default_rng(s).random(limit, np.float32) for s in seeds]))

    def draw(scores_BV: Tensor, step: int) -> Tensor:
        cumulative_BV = (scores_BV / temperature).softmax(1).cumsum(1)
        point_B1 = uniform_BT[:, step, None].to(scores_BV.device) * cumulative_BV[:, -1:]
        return (cumulative_BV <= point_B1).sum(1).clamp(max=scores_BV.shape[1] - 1)  # rounding may reach the end

    return draw


def _answer_ids(ids: Ids, config: Any) -> Target:
    """Return an answer's ids, at least one, up to its first end token or without the padding at its end."""
    end = end_of(ids, config.eos_token_id)
    if end is None:
        end = max((index for index, id in enumerate(ids) if id != config.pad_token_id), default=0)
    return tuple(ids[: end + 1])


def score_batch(
    head: VocabularyHead,
    target_states: Callable[[Sequence[Sequence[Target]]], Iterable[Tensor]],
    answers: Sequence[Sequence[Target]],
) -> list[Scores]:
    """Score the `answers` to each text; `target_states` yields the head's input `[B, T, D]` by column of answers."""
    scores: list[list[LogP]] = [[] for _ in answers]
    greedy: dict[int, int] = {}
    top: list[float] = []
    columns = list(zip_longest(*answers, fillvalue=())) or [((),) * len(answers)]  # () where a text has fewer answers
    for number, (column, hidden_BTD) in enumerate(zip(columns, target_states(columns), strict=True)):
        labels_BT, lengths = pad(column, IGNORE).to(hidden_BTD.device), [len(ids) for ids in column]
        top = top or head.logits(hidden_BTD[:, 0]).float().log_softmax(1).amax(1).tolist()
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
    """Compute each token's log-probability and whether it is the likeliest, `[N]` each, on the CPU."""
    log_p, likeliest = [], []
    for hidden, labels in zip(hidden_ND.split(_TOKENS), labels_N.split(_TOKENS), strict=True):
        logits = head.logits(hidden).float()
        log_p.append(-cross_entropy(logits, labels, reduction="none"))
        likeliest.append(logits.argmax(1) == labels)
    return torch.cat(log_p).cpu(), torch.cat(likeliest).cpu()


def ct2_engine(model: Any, precision: str) -> Engine:
    """Return greedy search by CTranslate2 on the processor, with a copy of the present weights.

    In `float32` it writes transformers' tokens but for ties within rounding; `int8` changes some answers. Raises
    ModelError where CTranslate2 is missing or cannot run the model.
    """
    with TemporaryDirectory() as folder:
        convert_to_ct2(merged(model) if has_adapter(model) else copy.deepcopy(model), folder)
        return open_ct2(folder, model, precision)


def open_ct2(folder: str, model: Any, precision: str, tokenizer: Any = None) -> Engine:
    """Return greedy search by what `convert_to_ct2` made of `model` with this `tokenizer`."""
    import ctranslate2

    config = model.generation_config
    kind = ctranslate2.Translator if model.config.is_encoder_decoder else ctranslate2.Generator
    engine = kind(folder, compute_type=precision, intra_threads=torch.get_num_threads())

    def names(ids: Sequence[int], prefix: str = "") -> list[str]:
        return tokenizer.convert_ids_to_tokens(ids) if tokenizer else [f"{prefix}{id}" for id in ids]

    def write(batch: Sequence[Ids], max_new_tokens: int, done: Done | None) -> list[tuple[Target, LogP]]:
        answers: list[tuple[Ids, LogP]] = [([], []) for _ in batch]

        def watch(step: Any) -> bool:
            ids, log_p = answers[step.batch_id]
            ids.append(step.token_id)
            log_p.append(step.log_prob)
            return done is not None and done(ids)

        options = {
            "beam_size": 1,
            "end_token": names(config.eos_token_id),
            "return_end_token": True,
            "return_scores": True,
            "callback": watch,
        }
        if model.config.is_encoder_decoder:
            engine.translate_batch(
                [names(ids, "s") for ids in batch],
                max_decoding_length=max_new_tokens,
                min_decoding_length=0,  # an answer may be empty
                max_input_length=0,  # inputs are cut already
                **options,
            )
        else:
            engine.generate_batch(
                [names(ids) for ids in batch],
                max_length=max_new_tokens,
                include_prompt_in_result=False,
                **options,
            )
        written = [(_answer_ids(ids, config), log_p) for ids, log_p in answers]
        return [(ids, log_p[: len(ids)]) for ids, log_p in written]

    def write_apart(batch: Sequence[Ids], max_new_tokens: int, done: Done | None) -> list[tuple[Target, LogP]]:
        # beside a prompt of one token, CTranslate2 4.8 counts a longer one's tokens as written
        answers: dict[int, tuple[Target, LogP]] = {}
        for is_long in (False, True):
            rows = [row for row, ids in enumerate(batch) if (len(ids) > 1) == is_long]
            part = [batch[row] for row in rows]
            answers |= zip(rows, write(part, max_new_tokens, done) if part else [], strict=True)
        return [answers[row] for row in range(len(batch))]

    return write if model.config.is_encoder_decoder else write_apart


def convert_to_ct2(model: Any, folder: str, tokenizer: Any = None, precision: str = "float32") -> None:
    """Write the model, which is changed, for CTranslate2, with its tokens, or without `tokenizer` its ids for tokens.

    Not every id has a token, nor one of its own. An encoder's ids have other names: CTranslate2 takes an end token
    alone for an empty input. Raises as `ct2_engine`.
    """
    if find_spec("ctranslate2") is None:
        raise ModelError("ctranslate2 is not installed; `pip install 'limbeck[fast]'`")
    from ctranslate2.converters import transformers as converters

    model = model.cpu()  # where a loader reads
    config, tokens = model.config, [str(id) for id in range(len(model.get_input_embeddings().weight))]
    if rotary := getattr(config, "rope_parameters", None):  # the loaders look where transformers 4 had it
        local, rotary = rotary.get("sliding_attention"), rotary.get("full_attention", rotary)
        with warnings.catch_warnings(action="ignore"):  # transformers' own, that this is the old name
            config.rope_scaling = None if rotary["rope_type"] == "default" else rotary
        config.rope_theta = rotary["rope_theta"]
        config.rope_local_base_freq = local and local["rope_theta"]
    with torch.no_grad():
        try:
            loader = converters._MODEL_LOADERS[type(config).__name__]
            if isinstance(loader, converters.T5Loader):  # it takes every tied head for one that is scaled
                config.tie_word_embeddings = getattr(config, "scale_decoder_outputs", False)
            spec = loader.get_model_spec(model)
            if tokenizer:
                loader.set_config(spec.config, model, tokenizer)
                tokens = loader.get_vocabulary(model, tokenizer)
                loader.set_vocabulary(spec, tokens)
            elif config.is_encoder_decoder:
                spec.register_source_vocabulary([f"s{token}" for token in tokens])
                spec.register_target_vocabulary(tokens)
            else:
                spec.register_vocabulary(tokens)
            # these have to be tokens; of the ids none is unknown
            first = padding = tokens[model.generation_config.pad_token_id]
            if config.is_encoder_decoder:
                first = spec.config.decoder_start_token = tokens[config.decoder_start_token_id]
            spec.config.bos_token = getattr(tokenizer, "bos_token", None) or first
            spec.config.unk_token = getattr(tokenizer, "unk_token", None) or padding
            spec.config.eos_token = tokens[model.generation_config.eos_token_id[0]]
            epsilons = ("layer_norm_epsilon", "rms_norm_eps")
            spec.config.layer_norm_epsilon = next(getattr(config, name) for name in epsilons if hasattr(config, name))
            spec.validate()
            spec.optimize(quantization=precision)
        except (LookupError, AttributeError, NotImplementedError, ValueError, StopIteration) as error:
            raise ModelError(f"ctranslate2 cannot run {config.model_type!r}: {first_line(error)}") from error
        spec.save(folder)
