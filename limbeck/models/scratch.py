"""A student from nothing: a small T5 v1.1 and a tokenizer trained on the task's own text."""

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from limbeck.models.settings import ScratchSettings

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer that gives every text back unchanged and never merges digits with anything else.

    A frequent number is one token, which a small student learns to copy far sooner than a row of digits.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, END, UNKNOWN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
    )


def build_t5(settings: ScratchSettings, tokenizer: PreTrainedTokenizerBase) -> T5ForConditionalGeneration:
    """A T5 v1.1 of random weights (torch's global seed) for `tokenizer`, its head apart from its embeddings."""
    values: dict[str, Any] = settings.model_dump(exclude={"vocab_size"}) | {
        "vocab_size": len(tokenizer),
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,  # only switches the output scaling off: transformers 5 ties all the same
        "decoder_start_token_id": tokenizer.pad_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = T5Config(**values)
    model = T5ForConditionalGeneration(config)
    # untie by hand; T5's own start for a free head, deviation 1, would give logits of deviation sqrt(D)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight) * config.d_model**-0.5)
    config.tie_word_embeddings = False
    return model
