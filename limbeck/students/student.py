"""A student: a Hugging Face encoder-decoder and its tokenizer, with the few things limbeck asks of them.

Legend: B batch, S source tokens, T target tokens, D hidden size, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from limbeck.errors import LimbeckError
from limbeck.students.batches import pad, padding_mask
from limbeck.students.engines import Done, Engine, EngineName, Ids, transformers_engine
from limbeck.students.families import VocabularyHead, family_of
from limbeck.students.fast import ctranslate2_engine
from limbeck.students.scoring import log_probabilities


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

    @property
    def vocabulary(self) -> int:
        """How many token ids the model has embeddings for, which may be more than its tokenizer has tokens."""
        embeddings: Any = self.model.get_input_embeddings()
        return int(embeddings.num_embeddings)

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

    def engine(self, name: EngineName) -> Engine:
        """What writes answers, with the weights as they are now.

        Raises:
            LimbeckError: CTranslate2 is not installed, or cannot run this student.
        """
        if name == "transformers":
            return transformers_engine(self.model)
        return ctranslate2_engine(self.model, int8=name == "ctranslate2-int8")

    @torch.inference_mode()
    def generate(
        self,
        texts: Sequence[str],
        max_new_tokens: int,
        batch_size: int,
        title: str | None = None,
        stop: str | None = None,
        engine: EngineName = "transformers",
    ) -> list[str]:
        """Greedy answers to `texts`, in their order; inputs of like length share a batch.

        `title` names a progress bar, shown where standard error is a terminal. An answer ends early once it holds the
        words `stop`, which stay in it.

        Raises:
            LimbeckError: as `engine`.
        """
        write = self.engine(engine)
        ids, _ = self.source_ids(texts)
        answers = [""] * len(ids)
        with self._evaluating():
            for rows in _batches(ids, batch_size, title):
                written = write([ids[i] for i in rows], max_new_tokens, self._says(stop) if stop else None)
                for i, text in zip(rows, self.tokenizer.batch_decode(written, skip_special_tokens=True), strict=True):
                    answers[i] = text.strip()
        return answers

    @torch.inference_mode()
    def score(
        self, texts: Sequence[str], choices: Sequence[Sequence[str]], batch_size: int, title: str | None = None
    ) -> list[list[float]]:
        """How likely each of a text's `choices` is as the whole answer: log-probability, in nats.

        It is the sum over the choice's tokens, the end token included, in one pass: nothing is generated, each text is
        encoded once, and the decoder gets `batch_size` pairs of text and choice at a time.

        Raises:
            LimbeckError: a choice is longer than the student writes, so that what is left of it may be another's too.
        """
        ids, _ = self.source_ids(texts)
        scores: list[list[float]] = [[] for _ in ids]
        with self._evaluating():
            for rows in _batches(ids, batch_size, title):
                batch = [ids[i] for i in rows]
                mask = padding_mask(batch).to(self.model.device)
                memory = self.encode(pad(batch, self.pad_id).to(self.model.device), mask)
                targets = [(row, target) for row, i in enumerate(rows) for target in self._whole(choices[i])]
                for begin in range(0, len(targets), batch_size):
                    of, said = zip(*targets[begin : begin + batch_size], strict=True)
                    labels = pad(said, -100).to(self.model.device)
                    hidden = self.decode(labels, memory[list(of)], mask[list(of)])
                    for row, log_p in zip(of, log_probabilities(self.head(), hidden, labels).tolist(), strict=True):
                        scores[rows[row]].append(log_p)
        return scores

    @torch.inference_mode()
    def pooled(self, texts: Sequence[str], targets: Sequence[str], batch_size: int, title: str | None = None) -> Tensor:
        """What the vocabulary head is fed with under teacher forcing, averaged over each target's tokens: `[N, D]`.

        Row i is of `texts[i]` and `targets[i]`, cut to the student's limits. On the CPU, in float32.
        """
        ids, _ = self.source_ids(texts)
        written, _ = self.target_ids(targets)
        rows_ND: list[Tensor] = [torch.empty(0)] * len(ids)
        with self._evaluating():
            for rows in _batches(ids, batch_size, title):
                batch = [ids[i] for i in rows]
                mask = padding_mask(batch).to(self.model.device)
                labels = pad([written[i] for i in rows], -100).to(self.model.device)
                hidden = self.decode(labels, self.encode(pad(batch, self.pad_id).to(self.model.device), mask), mask)
                real = (labels != -100).unsqueeze(-1)
                means = hidden.float().masked_fill(~real, 0).sum(1) / real.sum(1).clamp(min=1)
                for i, row in zip(rows, means.cpu(), strict=True):
                    rows_ND[i] = row
        return torch.stack(rows_ND) if rows_ND else torch.empty(0, 1)

    def _whole(self, choices: Sequence[str]) -> list[Ids]:
        """The choices' token ids, none of them cut."""
        ids, cut = self.target_ids(choices)
        if cut:
            raise LimbeckError(
                f"the choice {choices[cut[0]]!r:.80} has more than {self.max_target_length} tokens: "
                "train with a larger student.max_target_length, or use answers: generate"
            )
        return ids

    def _says(self, words: str) -> Done:
        """Whether the last of some ids hold `words`: a token is a character at least."""
        return lambda ids: words in self.tokenizer.decode(ids[-len(words) :])

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Without dropout inside."""
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)


def _batches(ids: Sequence[Ids], batch_size: int, title: str | None) -> Iterator[list[int]]:
    """Indices of `ids`, those of like length together, the longest first; with a progress bar named `title`."""
    console = Console(stderr=True)
    quiet = title is None or not console.is_terminal
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    yield from track(batches, title or "", console=console, disable=quiet, transient=True)


def _positions(config: Any) -> int:
    """How many positions a model's embeddings know; T5's are relative and know no limit."""
    config = getattr(config, "encoder", config)
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return 2**31
    offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta") else 0
    return int(positions) - offset
