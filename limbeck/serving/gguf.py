"""A decoder-only student as a GGUF file, which llama.cpp and Ollama run.

The names of fields and tensors are the package `gguf`'s; here is what llama.cpp computes in another way than
transformers: the order of Llama's rotary dimensions, Gemma's norms, and how text is split before merges.
"""

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, Digits, PreTokenizer, Sequence, Split
from torch import Tensor

from limbeck.errors import ModelError

_ARCHITECTURES = {"llama": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3", "gemma3_text": "GEMMA3"}  # by model_type
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def _split(digits: str) -> PreTokenizer:
    words = Split(Regex(_WORDS.replace("DIGITS", digits)), "isolated")
    return Sequence([words, ByteLevel(add_prefix_space=False, use_regex=False)])


_SPLITS = {  # by llama.cpp's name
    "gpt-2": ByteLevel(add_prefix_space=False),
    "smollm": Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]),
    "qwen2": _split(""),
    "llama-bpe": _split("{1,3}"),
}
# on which no two of them agree
_PROBE = "It's 84.5 points, DON'T\n\n\tyou'LL   see?!\r\n x  1234567 naïve 漢字 ½² (a)... <b>  \n"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def write_gguf(student: Any, path: Path, *, quantised: bool) -> None:
    """Write a decoder-only student with merged weights, in float32 or `q8_0`, to the file `path`.

    Raises ModelError where `gguf` is missing or llama.cpp cannot run the model or its tokenizer as we do.
    """
    model, config = student.model, student.model.config
    if config.model_type not in _ARCHITECTURES:
        supported = ", ".join(_ARCHITECTURES)
        raise ModelError(f"no GGUF of a {config.model_type!r} model; supported are decoders: {supported}")
    if find_spec("gguf") is None:
        raise ModelError("gguf is not installed; `pip install 'limbeck[gguf]'`")
    import gguf

    architecture = gguf.MODEL_ARCH[_ARCHITECTURES[config.model_type]]
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_type(gguf.GGUFType.MODEL)
    _add_shape(writer, config)
    _add_tokenizer(writer, student, config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if quantised else gguf.LlamaFileType.ALL_F32)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    q8_0 = gguf.GGMLQuantizationType.Q8_0
    if (factors := _rotary_factors(model)) is not None:
        writer.add_tensor(f"{gguf.TENSOR_NAMES[gguf.MODEL_TENSOR.ROPE_FREQS]}.weight", factors)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if (target := names.get_name(name, try_suffixes=(".weight", ".bias"))) is None:
            raise ModelError(f"no GGUF of this {config.model_type}: llama.cpp has no place for {name}")
        weight = _converted(name, tensor, config).float().cpu().contiguous().numpy()
        small = weight.ndim == 1 or weight.shape[-1] % 32 != 0  # which llama.cpp leaves alone, or cannot divide
        data, kind = (weight, None) if small or not quantised else (gguf.quants.quantize(weight, q8_0), q8_0)
        writer.add_tensor(target, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def adds_bos(student: Any) -> bool:
    """Return True if the tokenizer begins each text with a token of its own, and the student's prompts begin so too."""
    bos, (prompt,) = student.tokenizer.bos_token_id, student.source_ids(["a"])[0]
    return bos is not None and student.tokenizer("a")["input_ids"][0] == bos == prompt[0]


def _add_shape(writer: Any, config: Any) -> None:
    """Add the model's numbers; raise ModelError where llama.cpp has others built in."""
    gemma, rotary = config.model_type == "gemma3_text", config.rope_parameters
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layers = ["sliding_attention" if (layer + 1) % 6 else "full_attention" for layer in range(config.num_hidden_layers)]
    expected = {"hidden_act": "silu", "use_sliding_window": False}
    if gemma:
        expected = {"hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": head_dim, "layer_types": layers}
        local, rotary = rotary["sliding_attention"], rotary["full_attention"]
        writer.add_sliding_window(config.sliding_window)
        writer.add_rope_freq_base_swa(local["rope_theta"])
        if config.final_logit_softcapping:
            writer.add_final_logit_softcapping(config.final_logit_softcapping)
    present = {name: getattr(config, name, value) for name, value in expected.items()}
    present["rope_type"] = rotary["rope_type"]
    expected["rope_type"] = "llama3" if config.model_type == "llama" and rotary["rope_type"] == "llama3" else "default"
    if differ := [f"{name} {present[name]!r:.60}" for name, value in expected.items() if present[name] != value]:
        raise ModelError(f"no GGUF of this {config.model_type}: llama.cpp does not know its {', '.join(differ)}")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(rotary["rope_theta"])
    writer.add_vocab_size(config.vocab_size)


def _rotary_factors(model: Any) -> np.ndarray[Any, Any] | None:
    """Return what Llama 3 divides the rotary frequencies by, `[head_dim / 2]`, if it does."""
    rotary = model.config.rope_parameters
    if rotary.get("rope_type") != "llama3":
        return None
    scaled = model.model.rotary_emb.inv_freq.float().cpu()
    plain = rotary["rope_theta"] ** -(torch.arange(len(scaled), dtype=torch.float32) / len(scaled))
    return (plain / scaled).numpy()


def _converted(name: str, tensor: Tensor, config: Any) -> Tensor:
    """Return a weight as llama.cpp has it."""
    if config.model_type == "gemma3_text" and name.endswith("norm.weight"):
        return tensor + 1  # transformers adds it in each pass
    if config.model_type == "llama" and (side := re.search(r"\.([qk])_proj\.", name)):
        # llama.cpp rotates neighbouring dimensions of Llama's heads, transformers a half with the other
        heads = config.num_attention_heads if side[1] == "q" else config.num_key_value_heads
        return tensor.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
    return tensor


def _add_tokenizer(writer: Any, student: Any, size: int) -> None:
    """Add a vocabulary of `size` tokens, how text is split and merged, the special tokens and the chat template."""
    import gguf

    tokenizer, kinds = student.tokenizer, gguf.TokenType
    state = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else {"model": {}}
    model = state["model"]
    if model.get("type") != "BPE":
        raise ModelError(f"no GGUF of a tokenizer of the kind {model.get('type')}; supported is BPE")
    tokens, types = [f"[PAD{id}]" for id in range(size)], [kinds.UNUSED] * size
    entries = [(token, id, kinds.NORMAL) for token, id in model["vocab"].items()]
    for token in state["added_tokens"]:
        kind = kinds.CONTROL if token["special"] else kinds.USER_DEFINED
        text = token["content"].replace("▁", " ") if kind is kinds.USER_DEFINED else token["content"]
        entries.append((text, token["id"], kind))
    for text, id, kind in entries:
        if id < size:  # Gemma's has one more, for images
            tokens[id], types[id] = text, kind
    if model["byte_fallback"]:
        _add_scores(writer, tokenizer, model=model, tokens=tokens, types=types)
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(_pre_tokenizer(tokenizer, model))
        writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    specials = dict(zip(("eos", "eot"), student.codec.ends, strict=False))  # llama.cpp stops at both
    specials |= {"bos": tokenizer.bos_token_id, "unk": tokenizer.unk_token_id, "pad": student.pad_id}
    for name, id in specials.items():
        if id is not None:
            getattr(writer, f"add_{name}_token_id")(id)
    writer.add_add_bos_token(adds_bos(student))
    writer.add_add_eos_token(False)
    if template := getattr(tokenizer, "chat_template", None):
        writer.add_chat_template(template)


def _pre_tokenizer(tokenizer: Any, model: dict[str, Any]) -> str:
    """Return llama.cpp's name of the split before merges; raise ModelError where it has none."""
    backend = tokenizer.backend_tokenizer
    changed = backend.normalizer is not None and backend.normalizer.normalize_str(_PROBE) != _PROBE
    pieces = backend.pre_tokenizer and backend.pre_tokenizer.pre_tokenize_str(_PROBE)
    for name, split in _SPLITS.items():
        whole_words = name == "llama-bpe"  # are looked up before they are merged
        if not changed and pieces == split.pre_tokenize_str(_PROBE) and model["ignore_merges"] == whole_words:
            return name
    raise ModelError(f"no GGUF of a tokenizer that splits text as this one; known are those of {', '.join(_SPLITS)}")


def _add_scores(writer: Any, tokenizer: Any, *, model: dict[str, Any], tokens: list[str], types: list[Any]) -> None:
    """Add a SentencePiece vocabulary, whose `types` are refined: there a token's score takes the place of merges."""
    import gguf

    if not tokenizer.tokenize(" a")[0].startswith("▁") or tokenizer.tokenize("a")[0] != "a":
        raise ModelError("no GGUF of a SentencePiece tokenizer that puts a blank before a text; supported is Gemma's")
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(model["merges"]):
        ranks.setdefault("".join(pair), rank)
    for id, token in enumerate(tokens):
        if _BYTE.fullmatch(token):
            types[id] = gguf.TokenType.BYTE
        elif token == model["unk_token"]:
            types[id] = gguf.TokenType.UNKNOWN
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_add_space_prefix(False)
    writer.add_token_scores([-float(ranks.get(token, len(ranks))) for token in tokens])
