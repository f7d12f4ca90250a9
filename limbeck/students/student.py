"""A student: a Hugging Face encoder-decoder and its tokenizer, with the few things limbeck asks of them.

Legend: B batch, S source tokens, T target tokens, D hidden size, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteria

from limbeck.students.families import VocabularyHead, family_of


class Student(nn.Module):
    """Holds the plain model (`model`) and tokenizer (`tokenizer`); both save and load without limbeck.

    Raises:
        LimbeckError: the model's architecture is of no family limbeck knows.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_source_length: int, max_target_length: int
    ) -> None:
        super().__init__()
        self.family = family_of(model.config)
        if self.family.prepare is not None:
            self.family.prepare(model)
        self.model = model
        self.tokenizer = tokenizer
        self.max_source_length = min(max_source_length, _positions(model.config))
        self.max_target_length = min(max_target_length, _positions(getattr(model.config, "decoder", model.config)))
        # a checkpoint's own presets (beams, a least length, forced tokens) are for the task it was made for
        model.generation_config = GenerationConfig(
            decoder_start_token_id=model.config.decoder_start_token_id,
            eos_token_id=model.config.eos_token_id,
            pad_token_id=model.config.pad_token_id,
        )

    @property
    def separator(self) -> str:
        """What joins the segments of an input: the tokenizer's end-of-sequence (BERT: separator) token."""
        return str(self.tokenizer.eos_token or self.tokenizer.sep_token)

    @property
    def pad_id(self) -> int:
        return int(self.model.config.pad_token_id)

    def source_ids(self, texts: Sequence[str]) -> tuple[list[list[int]], list[int]]:
        """Token ids of inputs, and the numbers of those that were cut to `max_source_length`."""
        return self._ids(texts, self.max_source_length)

    def target_ids(self, texts: Sequence[str]) -> tuple[list[list[int]], list[int]]:
        """Token ids of targets, and the numbers of those that were cut to `max_target_length`.

        A first token that is the decoder's start token (BERT's `[CLS]`) is left out: the decoder is fed it anyway.
        """
        ids, cut = self._ids(texts, self.max_target_length)
        start = self.model.config.decoder_start_token_id
        return [row[1:] if row and row[0] == start else row for row in ids], cut

    def _ids(self, texts: Sequence[str], limit: int) -> tuple[list[list[int]], list[int]]:
        if not texts:
            return [], []
        unused = {"return_attention_mask": False, "return_token_type_ids": False}  # to make them takes as long again
        ids = self.tokenizer(list(texts), truncation=False, verbose=False, **unused)["input_ids"]
        cut = [i for i, row in enumerate(ids) if len(row) > limit]
        for i in cut:  # again, so that a cut text keeps its end token
            ids[i] = self.tokenizer(texts[i], truncation=True, max_length=limit)["input_ids"]
        return ids, cut

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The encoder's states `[B, S, D]` of ids and mask `[B, S]`."""
        return self.family.encode(self.model, input_ids, attention_mask)

    def decode(self, labels: Tensor, memory: Tensor, attention_mask: Tensor) -> Tensor:
        """What the vocabulary head is fed with, `[B, T, D]`, under teacher forcing.

        Args:
            labels: target ids `[B, T]`, -100 on padding.
            memory: encoder states `[B, S, D]`, with their mask `[B, S]`.
        """
        # shifted here, not by the model: some families' own way cannot take a row of padding alone
        start = torch.full_like(labels[:, :1], self.model.config.decoder_start_token_id)
        shifted = torch.cat([start, labels[:, :-1]], 1)
        fed = shifted.masked_fill(shifted < 0, self.pad_id)
        return self.family.states(self.model, fed, memory, attention_mask)

    def head(self) -> VocabularyHead:
        """The vocabulary head as it is now (its weight is a view, not a copy)."""
        return self.family.head(self.model)

    @torch.inference_mode()
    def generate(
        self,
        texts: Sequence[str],
        max_new_tokens: int,
        batch_size: int,
        title: str | None = None,
        stop: str | None = None,
    ) -> list[str]:
        """Greedy answers to `texts`, in their order; inputs of like length share a batch.

        `title` names a progress bar, shown where standard error is a terminal. An answer ends early once it holds the
        words `stop`, which stay in it.
        """
        console = Console(stderr=True)
        quiet = title is None or not console.is_terminal
        training = self.training
        self.eval()
        ids, _ = self.source_ids(texts)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        answers = [""] * len(ids)
        batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        for rows in track(batches, title or "", console=console, disable=quiet, transient=True):
            batch = pad([ids[i] for i in rows], self.pad_id)
            output = self.model.generate(  # type: ignore[operator]
                input_ids=batch.to(self.model.device),
                attention_mask=(padding_mask([ids[i] for i in rows])).to(self.model.device),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                stopping_criteria=[_Says(stop, self.tokenizer)] if stop else None,
            )
            for i, text in zip(rows, self.tokenizer.batch_decode(output, skip_special_tokens=True), strict=True):
                answers[i] = text.strip()
        self.train(training)
        return answers


class _Says(StoppingCriteria):
    """Ends a sequence whose last tokens hold `words`; transformers' own takes no tokenizer of whole words."""

    def __init__(self, words: str, tokenizer: PreTrainedTokenizerBase) -> None:
        self.words = words
        self.tokenizer = tokenizer

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        tails = self.tokenizer.batch_decode(input_ids[:, -len(self.words) :])  # a token is a character at least
        return torch.tensor([self.words in tail for tail in tails], device=input_ids.device)


def pad(rows: Sequence[Sequence[int]], value: int, multiple: int = 1) -> Tensor:
    """`rows` right-padded with `value` to their longest, rounded up to a `multiple`: `[B, longest]`, int64."""
    longest = max((len(row) for row in rows), default=0)
    width = max(-(-longest // multiple) * multiple, 1)
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def padding_mask(rows: Sequence[Sequence[int]], multiple: int = 1) -> Tensor:
    """1 on tokens and 0 on the padding that `pad` would add: `[B, longest]`, int64."""
    return pad([[1] * len(row) for row in rows], 0, multiple)


def _positions(config: Any) -> int:
    """How many positions a model's embeddings know; T5's are relative and know no limit."""
    config = getattr(config, "encoder", config)
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return 2**31
    offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta") else 0
    return int(positions) - offset
