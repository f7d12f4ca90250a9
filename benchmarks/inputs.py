"""What both sides are fed with: models of random weights, batches of random tokens.

Legend: B batch, S source tokens, T target tokens.
"""

import random
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import send_to_device
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, T5ForConditionalGeneration

from benchmarks.naive import VIEWS, NaiveCollator
from limbeck.data import View
from limbeck.models import ScratchSettings
from limbeck.models.encoder_decoder import SourceCollator
from limbeck.models.loading import build_t5
from limbeck.models.tokenization import ViewIds

SMALL = ScratchSettings(vocab_size=32128, d_model=512, d_kv=64, d_ff=1024, num_layers=8, num_heads=6)
BASE = ScratchSettings(vocab_size=32128, d_model=768, d_kv=64, d_ff=2048, num_layers=12, num_heads=12)
TINY = ScratchSettings(vocab_size=300, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)


@dataclass(frozen=True)
class Shape:
    """Examples a batch, and the width of sources, labels and rationales in tokens."""

    batch: int
    source: int
    label: int
    rationale: int

    def __str__(self) -> str:
        return f"batch {self.batch}, {self.source}/{self.label}/{self.rationale}"

    def targets(self) -> dict[str, int]:
        """The width of each view's targets."""
        return {"predict": self.label, "explain": self.rationale}


def tokenizer(vocab_size: int) -> PreTrainedTokenizerBase:
    """A tokenizer of as many words, with T5's special ids: for its size and its `pad`."""
    words = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *(f"w{i}" for i in range(3, vocab_size))])}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")),  # noqa: S106
        pad_token="<pad>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
    )


def model(settings: ScratchSettings, dropout: float, seed: int = 0) -> T5ForConditionalGeneration:
    """A T5 v1.1 in training mode, its weights random by `seed`."""
    torch.manual_seed(seed)
    sized = settings.model_copy(update={"dropout_rate": dropout})
    return build_t5(sized, tokenizer(settings.vocab_size)).train()


def features(shape: Shape, vocab_size: int, seed: int) -> list[dict[str, Any]]:
    """Examples of random tokens, `input_ids` and `labels` by view.

    Lengths are uniform between 60 % and 100 % of the width, as padding in real batches; the first example is full.
    """
    rng = random.Random(seed)

    def row(width: int, full: bool) -> list[int]:
        length = width if full else rng.randint(-(-width * 6 // 10), width)
        return [rng.randrange(3, vocab_size) for _ in range(length)]

    return [
        {
            view: {"input_ids": row(shape.source, i == 0), "labels": row(width, i == 0)}
            for view, width in shape.targets().items()
        }
        for i in range(shape.batch)
    ]


def batches(
    shape: Shape, vocab_size: int, device: str, seed: int = 0
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The same examples as the naive side takes them (`naive.model_loss`) and as limbeck does (`Distiller.forward`)."""
    rows = features(shape, vocab_size, seed)
    naive = send_to_device(NaiveCollator(tokenizer(vocab_size))(rows), device)
    ids = [{View(view): [ViewIds(row[view]["input_ids"], row[view]["labels"])] for view in VIEWS} for row in rows]
    limbeck = send_to_device(SourceCollator(pad_id=0)(ids), device)
    return naive, limbeck
