"""Tokenizers of every kind that students come with, made on the spot."""

import json

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    ByT5Tokenizer,
    GemmaTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    T5Tokenizer,
)

from limbeck.models.loading import train_tokenizer
from tests.helpers import builders

SPECIAL = ["<pad>", "</s>", "<unk>"]
TEXTS = [
    *builders.TEXTS,
    "predict: The man is (not) outside. explain: Where's a beaver's wood? Answer Choices: (a) forest (b) 3",
]


def _framed(tokenizer: Tokenizer, start: str | None = None, end: str = "</s>") -> PreTrainedTokenizerFast:
    names = [name for name in (start, end) if name]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start or ''} $A {end}".strip(), special_tokens=[(name, tokenizer.token_to_id(name)) for name in names]
    )
    kinds = {"cls_token": start, "sep_token": end} if start else {"eos_token": end}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", **kinds)


def unigram() -> PreTrainedTokenizerBase:
    """T5's kind."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return _framed(tokenizer)


def t5() -> PreTrainedTokenizerBase:
    """T5's own, with its sentinels, whose vocabulary has pieces that spell its special tokens."""
    pieces = json.loads(unigram().backend_tokenizer.to_str())["model"]["vocab"]
    sentinels = [(f"<extra_id_{number}>", 0.0) for number in range(3)]
    return T5Tokenizer(vocab=[*((piece, score) for piece, score in pieces), *sentinels], extra_ids=3)


def endless() -> PreTrainedTokenizerBase:
    """T5's kind, but it adds no end to a text, as the settings of a tokenizer may have it."""
    tokenizer = unigram()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    return tokenizer


def gemma() -> PreTrainedTokenizerBase:
    """Gemma's own: it begins a text with `<bos>`, ends none, and writes unknown characters as bytes."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    tokenizer = GemmaTokenizer(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]])
    begin = ("<bos>", tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[begin]
    )
    return tokenizer


def wordpiece() -> PreTrainedTokenizerBase:
    """BERT's kind: lower case, accents and control characters dropped, punctuation apart."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [*SPECIAL, "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=special))
    return _framed(tokenizer, "[CLS]", "[SEP]")


def merging() -> PreTrainedTokenizerBase:
    """A BPE that knows no words: in `explain: Luke` one piece reaches over the colon, in `predict: Luke` none does."""
    letters = sorted(set("".join(TEXTS)))
    merges = [(" ", "L"), ("n", ":"), ("n:", " L")]
    pieces = [*SPECIAL, *letters, *("".join(pair) for pair in merges)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return _framed(Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>")))


def rewriting(what: str = "(?<=explain: )yes", by: str = "no") -> PreTrainedTokenizerBase:
    """Whole words, but a normaliser changes one of them: as a default the first after a prefix."""
    tokenizer = builders.word_tokenizer("<s>", "</s>")
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace(Regex(what), by)
    return tokenizer


KINDS = {
    "byte-level": lambda: train_tokenizer(TEXTS, 320),
    "bert-words": lambda: builders.word_tokenizer("[CLS]", "[SEP]"),
    "bart-words": lambda: builders.word_tokenizer("<s>", "</s>"),
    "unigram": unigram,
    "t5": t5,
    "endless": endless,
    "gemma": gemma,
    "wordpiece": wordpiece,
    "merging": merging,
    "rewriting": rewriting,
    "bytes": ByT5Tokenizer,  # in Python, not fast
}
EXACT_WAY = ("gemma", "merging", "rewriting", "bytes")  # prefixes cannot be exchanged
