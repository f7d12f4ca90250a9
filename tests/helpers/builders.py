"""Real small models, made on the spot and saved to disk as any checkpoint is."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    MT5Config,
    MT5ForConditionalGeneration,
    PegasusConfig,
    PegasusForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5ForConditionalGeneration,
    T5GemmaConfig,
    T5GemmaForConditionalGeneration,
)

from limbeck.models.loading import train_tokenizer

TEXTS = [
    "predict: Luke scored 84 points after playing 2 rounds. How many points a round?",
    "explain: He scored 84 points in 2 rounds. 84 / 2 is 42. The answer is ( 84.0 / 2.0 )",
    "entailment neutral contradiction Answer: Rationale: yes no maybe",
]


def word_tokenizer(start: str, end: str, words: list[str] | None = None) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words that frames a text with `start` and `end`, as BERT's and BART's do."""
    special = [start, "<pad>", end, "<unk>"]
    known = sorted({word for text in TEXTS for word in text.split()} | set(words or []))
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*special, *known])}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, 0), (end, 2)]
    )
    names = {"cls_token": start, "sep_token": end} if start == "[CLS]" else {"bos_token": start, "eos_token": end}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", **names)


def save(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def t5(folder: Path, version: str = "1.1", mt5: bool = False) -> Path:
    """A T5 1.0 (tied and scaled head), a v1.1 (a head of its own), or an mT5."""
    tokenizer = train_tokenizer(TEXTS, 300)
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "vocab_size": len(tokenizer) + 5}
    ids = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    torch.manual_seed(0)
    if mt5:
        return save(folder, MT5ForConditionalGeneration(MT5Config(**sizes, **ids)), tokenizer)
    if version == "1.0":
        return save(folder, T5ForConditionalGeneration(T5Config(**sizes, **ids)), tokenizer)
    config = T5Config(**sizes, **ids, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight))
    config.tie_word_embeddings = False
    return save(folder, model, tokenizer)


def bart(folder: Path, words: list[str] | None = None, always: str | None = None) -> Path:
    """A BART with a bias on its logits; with `always` it says that word whatever it is asked."""
    tokenizer = word_tokenizer("<s>", "</s>", words)
    config = BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=300,
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    model = BartForConditionalGeneration(config)
    model.final_logits_bias.copy_(torch.randn_like(model.final_logits_bias))
    if always is not None:
        model.final_logits_bias[0, tokenizer.convert_tokens_to_ids(always)] = 1e4
    return save(folder, model, tokenizer)


def t5gemma(folder: Path) -> Path:
    """A T5Gemma, whose logits are capped softly."""
    tokenizer = word_tokenizer("<s>", "</s>")
    stack = {
        "vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 64,
        "final_logit_softcapping": 3.0, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    torch.manual_seed(0)
    config = T5GemmaConfig(encoder=stack, decoder=stack, vocab_size=len(tokenizer), decoder_start_token_id=0)
    return save(folder, T5GemmaForConditionalGeneration(config), tokenizer)


def pegasus(folder: Path) -> Path:
    """A Pegasus: an encoder-decoder whose head nobody has said how to take out."""
    tokenizer = word_tokenizer("<s>", "</s>")
    config = PegasusConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=300,
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=1, forced_eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    return save(folder, PegasusForConditionalGeneration(config), tokenizer)


def encoder(folder: Path, kind: str, width: int = 16) -> Path:
    """A BERT or a RoBERTa encoder."""
    start, end = ("[CLS]", "[SEP]") if kind == "bert" else ("<s>", "</s>")
    tokenizer = word_tokenizer(start, end)
    config_class, model_class = (BertConfig, BertModel) if kind == "bert" else (RobertaConfig, RobertaModel)
    config = config_class(
        vocab_size=len(tokenizer), hidden_size=width, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, bos_token_id=0, pad_token_id=1, eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    return save(folder, model_class(config), tokenizer)
