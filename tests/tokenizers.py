"""Tokenizers of every kind that students come with, made on the spot."""

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import ByT5Tokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from limbeck.students.scratch import train_tokenizer
from tests import builders

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


def wordpiece() -> PreTrainedTokenizerBase:
    """BERT's kind: lower case, accents and control characters dropped, punctuation apart."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [*SPECIAL, "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=special))
    return _framed(tokenizer, "[CLS]", "[SEP]")


def merging() -> PreTrainedTokenizerBase:
    """A BPE that knows no words: it merges a prefix with what follows, here `n: The` but not `t: The`."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(["explain: The man", "explain: Luke", "predict: he", *TEXTS[:1]] * 3, trainer)
    return _framed(tokenizer)


KINDS = {
    "byte-level": lambda: train_tokenizer(TEXTS, 320),
    "bert-words": lambda: builders.word_tokenizer("[CLS]", "[SEP]"),
    "bart-words": lambda: builders.word_tokenizer("<s>", "</s>"),
    "unigram": unigram,
    "wordpiece": wordpiece,
    "merging": merging,
    "bytes": ByT5Tokenizer,  # in Python, not fast
}
EXACT_WAY = ("merging", "bytes")  # prefixes cannot be exchanged
