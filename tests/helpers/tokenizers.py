"""Tokenizers of the kinds that students come with, made on the spot."""

import json
from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import ByT5Tokenizer, GemmaTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast, T5Tokenizer

from limbeck.models.loading import train_tokenizer

SPECIAL = ["<pad>", "</s>", "<unk>"]
TEXTS = [
    "predict: Luke scored 84 points after playing 2 rounds. How many points a round?",
    "explain: He scored 84 points in 2 rounds. 84 / 2 is 42. The answer is ( 84.0 / 2.0 )",
    "entailment neutral contradiction Answer: Rationale: yes no maybe",
    "predict: The man is (not) outside. explain: Where's a beaver's wood? Answer Choices: (a) forest (b) 3",
]


def frame(tokenizer: Tokenizer, start: str | None, end: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer with special tokens around each text, `[CLS]` and `[SEP]` by BERT's names."""
    names = {"eos_token": end} if start is None else {"bos_token": start, "eos_token": end}
    if start == "[CLS]":
        names = {"cls_token": start, "sep_token": end}
    ids = [(name, tokenizer.token_to_id(name)) for name in names.values()]
    single = f"{start or ''} $A {end}".strip()
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=ids)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", **names)


def word_tokenizer(start: str = "<s>", end: str = "</s>", words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Return a tokenizer of whole words that frames a text with `start` and `end`, as BERT's and BART's do."""
    vocabulary = [start, "<pad>", end, "<unk>", *sorted({word for text in TEXTS for word in text.split()} | set(words))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return frame(tokenizer, start, end)


def endless() -> PreTrainedTokenizerBase:
    """Return T5's kind, but it adds no end to a text, as the settings of a tokenizer may have it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="</s>")


def t5() -> PreTrainedTokenizerBase:
    """Return T5's own, with its sentinels, whose vocabulary has pieces that spell its special tokens."""
    pieces = json.loads(endless().backend_tokenizer.to_str())["model"]["vocab"]
    sentinels = [(f"<extra_id_{number}>", 0.0) for number in range(3)]
    return T5Tokenizer(vocab=[*((piece, score) for piece, score in pieces), *sentinels], extra_ids=3)


def gemma() -> PreTrainedTokenizerBase:
    """Return Gemma's own: it begins a text with `<bos>`, ends none, and writes unknown characters as bytes."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    tokenizer = GemmaTokenizer(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]])
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.bos_token_id)]
    )
    return tokenizer


def wordpiece() -> PreTrainedTokenizerBase:
    """Return BERT's kind: lower case, accents and control characters dropped, punctuation apart."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=[*SPECIAL, "[CLS]", "[SEP]"])
    tokenizer.train_from_iterator(TEXTS, trainer)
    return frame(tokenizer, "[CLS]", "[SEP]")


KINDS = {
    "byte-level": lambda: train_tokenizer(TEXTS, 320),
    "words": word_tokenizer,
    "t5": t5,
    "endless": endless,
    "gemma": gemma,
    "wordpiece": wordpiece,
    "bytes": ByT5Tokenizer,  # in Python, not fast
}
