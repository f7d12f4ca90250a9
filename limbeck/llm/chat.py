"""A chat model as transformers loads it: its weights, its template, and how it is to write."""

from collections.abc import Sequence
from typing import Any

import torch
from jinja2 import TemplateError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from limbeck.errors import LimbeckError, first_line, unknown
from limbeck.hub import where_to_load
from limbeck.llm.engine import Message
from limbeck.llm.settings import SamplingSettings

EXTRA = (  # generation arguments that shape what is drawn; the others would change what comes back, and how much
    "bad_words_ids", "begin_suppress_tokens", "epsilon_cutoff", "eta_cutoff", "exponential_decay_length_penalty",
    "min_new_tokens", "min_p", "no_repeat_ngram_size", "repetition_penalty", "suppress_tokens", "top_h", "top_k",
    "typical_p",
)  # fmt: skip


def load_chat(name: str) -> tuple[Any, Any]:
    """Model and tokenizer, on the GPU if there is one, in the precision that they were saved in.

    Raises:
        LimbeckError: no such model, or one that is no chat model.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        where = where_to_load(name)
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **where)
        if not getattr(tokenizer, "chat_template", None):
            raise LimbeckError(f"{name}: its tokenizer has no chat template; use a model trained to chat (`-Instruct`)")
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name, dtype="auto", device_map=device, trust_remote_code=False, output_loading_info=True, **where
        )
    except (OSError, LookupError, ValueError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        raise LimbeckError(
            f"{name}: cannot be loaded as a teacher: {first_line(error)}; give a folder that `save_pretrained` wrote "
            "(a causal language model and its tokenizer), or a name on the Hugging Face Hub and a connection to it"
        ) from None
    model, info = loaded
    if lacking := sorted(info["missing_keys"]):
        raise LimbeckError(f"{name}: {len(lacking)} of its weights are missing, {lacking[0]} the first: no whole model")
    return model.eval(), tokenizer


def render(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The conversation in the tokenizer's own chat template, up to where the answer begins.

    Some templates refuse a system turn (Gemma's), others drop it: then its text goes before the first user's.

    Raises:
        TemplateError: the template refuses the conversation.
    """
    first = messages[0]
    try:
        text: str = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        if first["role"] != "system" or first["content"].strip() in text:
            return text
    except TemplateError:
        if first["role"] != "system":
            raise
    user = {**messages[1], "content": f"{first['content']}\n\n{messages[1]['content']}"}
    return tokenizer.apply_chat_template([user, *messages[2:]], tokenize=False, add_generation_prompt=True)


def check_extra(sampling: SamplingSettings) -> None:
    """Raise a LimbeckError for a field of `sampling.extra` that is none of EXTRA."""
    for field in sampling.extra:
        if field not in EXTRA:
            raise LimbeckError(f"sampling.extra: {unknown('generation argument of engine local', field, EXTRA)}")


def generation_config(model: Any, tokenizer: Any, name: str, sampling: SamplingSettings) -> GenerationConfig:
    """How the model is to write, over what its own settings say.

    Raises:
        LimbeckError: a model without end token, or values in `sampling.extra` that do not fit.
    """
    own = model.generation_config
    own.max_length = None  # of prompt and answer together; beside max_new_tokens every call would warn of it
    ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
    ends = [id for id in dict.fromkeys([*ends, tokenizer.eos_token_id]) if id is not None]
    if not ends:
        raise LimbeckError(f"{name}: names no end token, so that no answer would end; set its tokenizer's eos_token")
    drawn: dict[str, Any] = {}
    if sampling.heat > 0:  # top_k would by transformers' default be 50
        drawn = {"temperature": sampling.heat, "top_p": sampling.top_p, "top_k": own.top_k or 0}
    try:
        config = GenerationConfig(
            **(drawn | sampling.extra), do_sample=sampling.heat > 0, max_new_tokens=1, eos_token_id=ends,
            pad_token_id=ends[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
            num_return_sequences=1, return_dict_in_generate=False,
        )  # fmt: skip
        if sampling.extra:  # its values are looked at only now
            ids = torch.tensor([ends[:1]], device=model.device)
            model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)
    except (ValueError, TypeError) as error:
        raise LimbeckError(f"sampling.extra: {first_line(error)}") from None
    config.max_new_tokens = sampling.max_tokens
    return config
