"""The `[fast]` engine: CTranslate2 (github.com/OpenNMT/CTranslate2) for students of the T5 family."""

import copy
from collections.abc import Sequence
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any

import torch

from limbeck.errors import LimbeckError
from limbeck.models.codec import Ids, end_ids
from limbeck.models.engines import Done, Engine, with_end
from limbeck.models.scoring import Target

_CONVERTED = ("t5", "mt5")


def ctranslate2_engine(model: Any, int8: bool) -> Engine:
    """Greedy search on a copy of the model's weights as they are now: on the processor, with torch's number of threads.

    In float32 it writes transformers' tokens, but for ties within rounding. With `int8` weights are rounded, which
    changes some answers.

    Raises:
        LimbeckError: CTranslate2 is not installed, or cannot run a model of this kind.
    """
    _check(model.config)
    if model.device.type != "cpu":  # the converter reads the weights' memory, which has to be the processor's
        here = {id(weight): torch.nn.Parameter(weight.detach().cpu()) for weight in model.parameters()}
        model = copy.deepcopy(model, here)
    translator = _translator(model, "int8" if int8 else "float32")

    def write(batch: Sequence[Ids], max_new_tokens: int, done: Done | None) -> list[Target]:
        written: list[Ids] = [[] for _ in batch]

        def ends(step: Any) -> bool:
            written[step.batch_id].append(step.token_id)
            return done is not None and done(written[step.batch_id])

        results = translator.translate_batch(
            [[f"s{id}" for id in ids] for ids in batch],
            beam_size=1,
            max_decoding_length=max_new_tokens,
            min_decoding_length=0,  # an answer may be empty
            max_input_length=0,  # inputs are cut already
            end_token=[str(end) for end in end_ids(model.config)],
            return_end_token=True,
            callback=ends if done else None,  # a call for every token costs time
        )
        return [with_end([int(token) for token in result.hypotheses[0]], model.config) for result in results]

    return write


def _check(config: Any) -> None:
    """Refuse what cannot be converted, before any weight is touched."""
    if config.model_type not in _CONVERTED:
        kinds = " and ".join(_CONVERTED)
        raise LimbeckError(f"engine ctranslate2 runs {kinds} students, no {config.model_type!r}: use transformers")
    if find_spec("ctranslate2") is None:
        raise LimbeckError("engine ctranslate2: not installed; `pip install 'limbeck[fast]'`")


def _translator(model: Any, precision: str) -> Any:
    """A translator with the model's weights."""
    import ctranslate2
    from ctranslate2.converters.transformers import T5Loader

    with torch.no_grad(), TemporaryDirectory() as folder:
        _spec(T5Loader(), model).save(folder)
        return ctranslate2.Translator(folder, compute_type=precision, intra_threads=torch.get_num_threads())


def _spec(loader: Any, model: Any) -> Any:
    """The model as CTranslate2 describes it."""
    try:
        spec = loader.get_model_spec(model)
        _name_ids(spec, model.config)
        spec.config.layer_norm_epsilon = model.config.layer_norm_epsilon
        spec.validate()
        spec.optimize()
        return spec
    except (LookupError, AttributeError, NotImplementedError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise LimbeckError(f"engine ctranslate2 cannot run this student ({reason}): use transformers") from error


def _name_ids(spec: Any, config: Any) -> None:
    """Make the vocabulary the ids themselves, written as numbers, so that no token is mistaken for another.

    Models have more ids than their tokenizer has tokens, and tokenizers may give several ids the same text. In a source
    an id is named otherwise than in a target: CTranslate2 would take the end token alone for an empty input.
    """
    ids = range(config.vocab_size)
    spec.register_source_vocabulary([f"s{id}" for id in ids])
    spec.register_target_vocabulary([str(id) for id in ids])
    spec.config.decoder_start_token = spec.config.bos_token = str(config.decoder_start_token_id)
    spec.config.eos_token = str(end_ids(config)[0])
    spec.config.unk_token = str(config.pad_token_id)  # it has to be one of them; no id is unknown
