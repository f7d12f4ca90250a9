"""Engines that write answers: transformers' own greedy search, and CTranslate2 for students of the T5 family.

Token ids are the border, not texts: no engine asks a tokenizer.
"""

import copy
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from limbeck.errors import ModelError, first_line
from limbeck.models.scoring import LogP, Target
from limbeck.models.settings import EngineName
from limbeck.models.tokenization import Ids, end_ids, end_of, pad, padding_mask

Done = Callable[[Ids], bool]
Engine = Callable[[Sequence[Ids], int, Done | None], list[Target]]
"""`engine(batch, max_new_tokens, done)` returns an answer to each input of a batch: ids without the start token and
padding, the end token last where there is one. An answer ends early once `done` says so of the ids it has by then."""

_CONVERTIBLE = ("t5", "mt5")


def engine_for(model: Any, name: EngineName) -> Engine:
    """Return an engine with the model's weights as they are now.

    Raises:
        ModelError: CTranslate2 is not installed, or cannot run this model.
    """
    if name != "transformers":
        return _ctranslate2_engine(model, "int8" if name == "ctranslate2-int8" else "float32")
    return lambda batch, max_new_tokens, done: [ids for ids, _ in greedy_search(model, batch, max_new_tokens, done)]


def greedy_search(
    model: Any, batch: Sequence[Ids], max_new_tokens: int, done: Done | None
) -> list[tuple[Target, LogP]]:
    """Search as the engine `transformers` does; return each answer and its tokens' log-probabilities."""
    steps: list[Tensor] = []  # the highest log-probability, which is the written token's: [B] a step

    def watch(_: Tensor, scores: Tensor) -> Tensor:
        steps.append(scores.log_softmax(1).amax(1))
        return scores

    def is_done(ids: Tensor, *_: Any, **__: Any) -> Tensor:
        return torch.tensor([done is not None and done(row) for row in ids[:, 1:].tolist()], device=ids.device)

    output = model.generate(
        input_ids=pad(batch, model.config.pad_token_id).to(model.device),
        attention_mask=padding_mask(batch).to(model.device),
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
    if end is not None:
        return tuple(ids[: end + 1])
    while len(ids) > 1 and ids[-1] == config.pad_token_id:
        ids = ids[:-1]
    return tuple(ids)


def _ctranslate2_engine(model: Any, precision: str) -> Engine:
    """Return greedy search by CTranslate2 on a copy of the weights: on the processor, with torch's number of threads.

    In float32 it writes transformers' tokens, but for ties within rounding. With int8 weights are rounded, which
    changes some answers.
    """
    if model.config.model_type not in _CONVERTIBLE:
        kinds = " and ".join(_CONVERTIBLE)
        raise ModelError(f"engine ctranslate2 runs {kinds} students, no {model.config.model_type!r}: use transformers")
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
            callback=is_done if done else None,  # a call for every token costs time
        )
        return [_answer_ids([int(token) for token in result.hypotheses[0]], model.config) for result in results]

    return write


def _translator(model: Any, precision: str) -> Any:
    """Convert the model.

    The vocabulary is the ids themselves, written as numbers, so that no token is mistaken for another: models have
    more ids than their tokenizer has tokens, and tokenizers may give several ids the same text. In a source an id has
    another name than in a target: CTranslate2 would take the end token alone for an empty input.
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
            raise ModelError(
                f"engine ctranslate2 cannot run this student ({first_line(error)}): use transformers"
            ) from error
        spec.save(folder)
        return ctranslate2.Translator(folder, compute_type=precision, intra_threads=torch.get_num_threads())
