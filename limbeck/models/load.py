"""Loading a student as its settings say, with one clear line where that cannot be done."""

from collections.abc import Iterable
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    EncoderDecoderModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from limbeck.errors import LimbeckError, first_line
from limbeck.hub import where_to_load
from limbeck.models.families import PAIRABLE, family_of
from limbeck.models.scratch import build_t5, train_tokenizer
from limbeck.models.settings import StudentSettings
from limbeck.models.student import Student


def load(settings: StudentSettings, texts: Iterable[str]) -> Student:
    """The student of `settings`; new weights come from torch's global seed.

    Args:
        texts: the training text, which a `scratch` student's tokenizer is trained on; not read by the others.

    Raises:
        LimbeckError: no such checkpoint, or one that is no encoder-decoder that writes text.
    """
    if settings.scratch is not None:
        tokenizer = train_tokenizer(texts, settings.scratch.vocab_size)
        model: PreTrainedModel = build_t5(settings.scratch, tokenizer)
    elif settings.name is not None:
        model, tokenizer = _pretrained(settings.name)
    else:
        assert settings.encoder is not None and settings.decoder is not None  # the settings' own check
        model, tokenizer = _pair(settings.encoder, settings.decoder)
    return Student(model, tokenizer, settings.max_source_length, settings.max_target_length)


def _pretrained(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    where = where_to_load(name)
    config = _checkpoint(AutoConfig, name, **where)
    family_of(config)  # refuse before the weights are read
    loader = EncoderDecoderModel if config.model_type == "encoder-decoder" else AutoModelForSeq2SeqLM
    # float32 whatever the checkpoint was saved in: mixed precision is the trainer's business
    model, info = _checkpoint(loader, name, dtype=torch.float32, output_loading_info=True, **where)
    if lacking := sorted(info["missing_keys"] | {key for key, *_ in info["mismatched_keys"]}):
        raise LimbeckError(
            f"{name}: the checkpoint's weights do not fit its {config.model_type!r} architecture: "
            f"{len(lacking)} are missing or of another shape, {lacking[0]} the first"
        )
    return model, _checkpoint(AutoTokenizer, name, **where)


def _pair(encoder: str, decoder: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """An encoder-decoder from two encoder checkpoints; its cross-attention is new."""
    sides = {name: where_to_load(name) for name in (encoder, decoder)}
    configs = [_checkpoint(AutoConfig, name, **sides[name]) for name in (encoder, decoder)]
    for name, config in zip((encoder, decoder), configs, strict=True):
        if config.model_type not in PAIRABLE:
            raise LimbeckError(f"{name}: a {config.model_type!r} model; a pair is made of {', '.join(PAIRABLE)}")
    tokenizer, other = (_checkpoint(AutoTokenizer, name, **sides[name]) for name in (encoder, decoder))
    if tokenizer.get_vocab() != other.get_vocab():
        raise LimbeckError(f"{encoder} and {decoder} have different vocabularies; a pair needs the same")
    try:
        model: Any = EncoderDecoderModel.from_encoder_decoder_pretrained(
            encoder,
            decoder,
            encoder_trust_remote_code=False,
            decoder_trust_remote_code=False,
            **{f"encoder_{option}": value for option, value in sides[encoder].items()},
            **{f"decoder_{option}": value for option, value in sides[decoder].items()},
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise LimbeckError(f"{encoder}, {decoder}: cannot be made into a pair: {first_line(error)}") from None
    model = model.float()
    model.config.decoder_start_token_id = _first(tokenizer.cls_token_id, tokenizer.bos_token_id)
    model.config.eos_token_id = _first(tokenizer.sep_token_id, tokenizer.eos_token_id)
    model.config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer


def _checkpoint(loader: Any, name: str, **options: Any) -> Any:
    """`loader.from_pretrained`, its many exceptions turned into one line."""
    try:
        return loader.from_pretrained(name, trust_remote_code=False, **options)
    except (OSError, LookupError, ValueError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        raise LimbeckError(
            f"{name}: cannot be loaded as a student: {first_line(error)}; give a folder that "
            "`save_pretrained` wrote (model and tokenizer), or a name on the Hugging Face Hub and a connection to it"
        ) from None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
