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
from transformers import LogitsProcessor, StoppingCriteria
from transformers.modeling_outputs import BaseModelOutput

from limbeck.errors import ModelError
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
    return transformers_engine(model) if name == "transformers" else ctranslate2_engine(model, name)


def transformers_engine(model: Any) -> Engine:
    """Return greedy search with a cache, by `model.generate`."""

    def write(batch: Sequence[Ids], max_new_tokens: int, done: Done | None) -> list[Target]:
        inputs = {"input_ids": pad(batch, model.config.pad_token_id), "attention_mask": padding_mask(batch)}
        inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
        return _search(model, max_new_tokens, done, **inputs)

    return write


def watched_search(
    model: Any, memory_BSD: Tensor, mask_BS: Tensor, *, max_new_tokens: int, done: Done | None
) -> list[tuple[Target, LogP]]:
    """Run the same search from the encoder's states; return each answer and its tokens' log-probabilities."""
    watch = _Watch()
    inputs = {"encoder_outputs": BaseModelOutput(last_hidden_state=memory_BSD), "attention_mask": mask_BS}
    answers = _search(model, max_new_tokens, done, logits_processor=[watch], **inputs)
    log_p = torch.stack(watch.log_p, 1).tolist()
    return [(ids, row[: len(ids)]) for ids, row in zip(answers, log_p, strict=True)]


def _search(model: Any, max_new_tokens: int, done: Done | None, **inputs: Any) -> list[Target]:
    criteria = [_Criterion(done)] if done else None
    output = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, stopping_criteria=criteria)
    return [with_end(row, model.config) for row in output[:, 1:].tolist()]


class _Watch(LogitsProcessor):
    """Changes nothing; keeps each step's highest log-probability: the written token's, the search being greedy."""

    def __init__(self) -> None:
        self.log_p: list[Tensor] = []  # [B] a step

    def __call__(self, input_ids: Tensor, scores: Any) -> Any:
        self.log_p.append(scores.log_softmax(1).amax(1))
        return scores


class _Criterion(StoppingCriteria):
    """`done` as transformers asks for it; its own criterion of this kind takes no tokenizer of whole words."""

    def __init__(self, done: Done) -> None:
        self.done = done

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        return torch.tensor([self.done(row) for row in input_ids[:, 1:].tolist()], device=input_ids.device)


def trimmed(ids: Ids, config: Any) -> Ids:
    """Return the ids before the end token, without padding at their end."""
    ids = ids[: end_of(ids, config)]
    length = len(ids)
    while length and ids[length - 1] == config.pad_token_id:
        length -= 1
    return ids[:length]


def with_end(ids: Ids, config: Any) -> Target:
    """Return the ids before the padding, up to the end token where there is one; at least one id."""
    end = end_of(ids, config)
    return tuple(ids[: end + 1] if end is not None else trimmed(ids, config) or ids[:1])


def ctranslate2_engine(model: Any, name: EngineName) -> Engine:
    """Return greedy search by CTranslate2 on a copy of the weights: on the processor, with torch's number of threads.

    In float32 it writes transformers' tokens, but for ties within rounding. With int8 weights are rounded, which
    changes some answers.

    Raises:
        ModelError: CTranslate2 is not installed, or cannot run a model of this kind.
    """
    if model.config.model_type not in _CONVERTIBLE:
        kinds = " and ".join(_CONVERTIBLE)
        raise ModelError(f"engine ctranslate2 runs {kinds} students, no {model.config.model_type!r}: use transformers")
    if find_spec("ctranslate2") is None:
        raise ModelError("engine ctranslate2: not installed; `pip install 'limbeck[fast]'`")
    if model.device.type != "cpu":  # the converter reads the weights' memory, which has to be the processor's
        weights = {id(weight): torch.nn.Parameter(weight.detach().cpu()) for weight in model.parameters()}
        model = copy.deepcopy(model, weights)
    translator = _translator(model, "int8" if name == "ctranslate2-int8" else "float32")

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
        return [with_end([int(token) for token in result.hypotheses[0]], model.config) for result in results]

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
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise ModelError(f"engine ctranslate2 cannot run this student ({reason}): use transformers") from error
        spec.save(folder)
        return ctranslate2.Translator(folder, compute_type=precision, intra_threads=torch.get_num_threads())
