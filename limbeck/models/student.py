"""A student: a Hugging Face encoder-decoder and its tokenizer, with the few things limbeck asks of them.

Legend: B batch, S source tokens, T target tokens, D hidden size, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from limbeck.data import Source, View, source
from limbeck.errors import ModelError
from limbeck.models.families import DecoderInput, VocabularyHead, encode, family_of, fuse_gelu, positions
from limbeck.models.generation import Done, Engine, engine_for, trimmed, watched_search
from limbeck.models.scoring import Answer, Scores, Target, score_batch
from limbeck.models.settings import EngineName
from limbeck.models.tokenization import (
    Codec,
    Ids,
    by_length,
    end_of,
    fitted_sources,
    fitted_targets,
    pad,
    padding_mask,
)
from limbeck.schema import Example

Result = TypeVar("Result")


class Student(nn.Module):
    """Holds the plain model (`model`) and tokenizer (`tokenizer`); both save and load without limbeck.

    Raises:
        ModelError: the model is no encoder-decoder that writes text, or its configuration lacks a token's id.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_source_length: int, max_target_length: int
    ) -> None:
        super().__init__()
        self.family = family_of(model.config)
        fuse_gelu(model)
        self.model = model
        self.tokenizer = tokenizer
        self.codec = Codec(tokenizer, model.config, self.vocabulary)
        self.max_source_length = min(max_source_length, positions(model.config))
        self.max_target_length = min(max_target_length, positions(getattr(model.config, "decoder", model.config)))
        # a checkpoint's own presets (beams, a least length, forced tokens) are for the task it was made for
        model.generation_config = GenerationConfig(
            decoder_start_token_id=model.config.decoder_start_token_id,
            eos_token_id=model.config.eos_token_id,
            pad_token_id=model.config.pad_token_id,
        )

    @property
    def pad_id(self) -> int:
        """The id of padding."""
        return int(self.model.config.pad_token_id)

    @property
    def vocabulary(self) -> int:
        """The number of token ids the model has embeddings for, which may be more than its tokenizer has tokens."""
        embeddings: Any = self.model.get_input_embeddings()
        return int(embeddings.num_embeddings)

    def source_ids(self, sources: Sequence[Source | str]) -> tuple[list[Ids], list[int]]:
        """Return the token ids of inputs, and the numbers of those that were cut to `max_source_length`.

        A text alone is one segment. `limbeck/models/tokenization.py` says what is cut.
        """
        segmented = [Source("", (text,)) if isinstance(text, str) else text for text in sources]
        return fitted_sources(segmented, self.codec, self.max_source_length)

    def target_ids(self, texts: Sequence[str]) -> tuple[list[Ids], list[int]]:
        """Return the token ids of targets, none of them cut, and the numbers of those above `max_target_length`."""
        ids = self.codec.targets(texts)
        return ids, [i for i, row in enumerate(ids) if len(row) > self.max_target_length]

    def fitted_target_ids(self, examples: Sequence[Example], view: View) -> tuple[list[Ids], list[int]]:
        """Return the token ids of the examples' targets, and the numbers of those cut to `max_target_length`.

        Raises:
            DataError: a label is longer than that.
        """
        return fitted_targets(examples, view, self.codec, self.max_target_length)

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the encoder's states `[B, S, D]` of ids and mask `[B, S]`."""
        return encode(self.model, input_ids, attention_mask)

    def decode(self, labels: Tensor, memory: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the vocabulary head's input, `[B, T, D]`, under teacher forcing.

        Args:
            labels: target ids `[B, T]`, -100 on padding.
            memory: encoder states `[B, S, D]`.
            attention_mask: of the encoder states, `[B, S]`.
        """
        # shifted here, not by the model: some families' own way cannot take a row of padding alone
        start = torch.full_like(labels[:, :1], self.model.config.decoder_start_token_id)
        shifted = torch.cat([start, labels[:, :-1]], 1)
        fed = shifted.masked_fill(shifted < 0, self.pad_id)
        return self.family.states(self.model, DecoderInput(fed, memory, attention_mask))

    def head(self) -> VocabularyHead:
        """Return the vocabulary head as it is now (its weight is a view, not a copy)."""
        return self.family.head(self.model)

    def engine(self, name: EngineName) -> Engine:
        """Return what writes answers, with the weights as they are now.

        Raises:
            ModelError: CTranslate2 is not installed, or cannot run this student.
        """
        return engine_for(self.model, name)

    @torch.inference_mode()
    def generate(
        self,
        texts: Sequence[Source | str],
        *,
        max_new_tokens: int,
        batch_size: int,
        title: str | None = None,
        stop: str | None = None,
        engine: EngineName = "transformers",
    ) -> list[str]:
        """Write greedy answers to `texts`, in their order; inputs of like length share a batch.

        Args:
            texts: the inputs.
            max_new_tokens: an answer's longest length.
            batch_size: inputs at a time.
            title: of a progress bar, shown where standard error is a terminal.
            stop: an answer ends early once it holds these words, which stay in it.
            engine: what writes.

        Raises:
            ModelError: as `engine`.
        """
        write, done = self.engine(engine), self._stopping(stop)

        def answers(_: list[int], batch: list[Ids]) -> list[str]:
            return [self.text(ids) for ids in write(batch, max_new_tokens, done)]

        return self._in_batches(texts, answers, batch_size=batch_size, title=title)

    @torch.inference_mode()
    def answer(
        self,
        texts: Sequence[Source | str],
        choices: Sequence[Sequence[str]],
        *,
        max_new_tokens: int,
        batch_size: int,
        title: str | None = None,
        stop: str | None = None,
        engine: EngineName = "transformers",
    ) -> list[Answer]:
        """Write answers as `generate`, with the log-probabilities of each and of each of its text's `choices`.

        The choices are scored first. Where greedy search with `transformers` writes one of them, as its scores show,
        that is the answer, and nothing is generated; else the search tells its own log-probabilities. The answers of
        CTranslate2 are scored by the model itself, its weights not rounded.
        Where one of a text's choices is longer than the student writes, none of them is scored.

        Raises:
            ModelError: as `engine`.
        """
        write = None if engine == "transformers" else self.engine(engine)
        done = self._stopping(stop)
        targets = self._choice_ids(choices)

        def answers(rows: list[int], batch: list[Ids]) -> list[Answer]:
            options = [[targets.get(choice) for choice in choices[i]] for i in rows]
            scored = [[] if None in row else [ids for ids in row if ids] for row in options]
            encoded = self._encoded(batch)
            if write is None:
                return self._search(*encoded, scored, max_new_tokens=max_new_tokens, done=done)
            written = write(batch, max_new_tokens, done)
            scores = self._scores(*encoded, [[ids, *row] for ids, row in zip(written, scored, strict=True)])
            return [
                Answer(self.text(ids), ids, score.top, score.answers[0], score.answers[1:])
                for ids, score in zip(written, scores, strict=True)
            ]

        return self._in_batches(texts, answers, batch_size=batch_size, title=title)

    def _search(
        self,
        memory: Tensor,
        mask: Tensor,
        options: Sequence[Sequence[Target]],
        *,
        max_new_tokens: int,
        done: Done | None,
    ) -> list[Answer]:
        """Return the answers of greedy search, looked for among the scored options first."""
        scores = self._scores(memory, mask, options) if any(options) else []
        answers: dict[int, Answer] = {}
        for row, score in enumerate(scores):
            ids = () if score.greedy is None else options[row][score.greedy]
            # the search ends at the first end token, if it comes in time
            ends = end_of(ids, self.model.config) == len(ids) - 1 and len(ids) <= max_new_tokens
            if score.greedy is not None and ends and done is None:
                answers[row] = Answer(self.text(ids), ids, score.top, score.answers[score.greedy], score.answers)
        rows = [row for row in range(len(options)) if row not in answers]
        if rows:
            limits: dict[str, Any] = {"max_new_tokens": max_new_tokens, "done": done}
            for row, (ids, log_p) in zip(
                rows, watched_search(self.model, memory[rows], mask[rows], **limits), strict=True
            ):
                answers[row] = Answer(self.text(ids), ids, log_p[0], log_p, scores[row].answers if scores else [])
        return [answers[row] for row in range(len(options))]

    @torch.inference_mode()
    def score(
        self,
        texts: Sequence[Source | str],
        choices: Sequence[Sequence[str]],
        *,
        batch_size: int,
        title: str | None = None,
    ) -> list[Scores]:
        """Score each of a text's `choices` as its complete answer, the end token included; nothing is generated.

        Raises:
            ModelError: as `check_choices`.
        """
        targets = self.check_choices(choices)

        def scores(rows: list[int], batch: list[Ids]) -> list[Scores]:
            return self._scores(*self._encoded(batch), [[targets[choice] for choice in choices[i]] for i in rows])

        return self._in_batches(texts, scores, batch_size=batch_size, title=title)

    @torch.inference_mode()
    def pooled(self, examples: Sequence[Example], view: View, *, batch_size: int, title: str | None = None) -> Tensor:
        """Average the vocabulary head's input under teacher forcing over each target's tokens: `[N, D]`.

        Row i is of the source and the target of `examples[i]` in the view. On the CPU, in float32.

        Raises:
            DataError: as `fitted_target_ids`.
        """
        targets, _ = self.fitted_target_ids(examples, view)

        def means(rows: list[int], batch: list[Ids]) -> list[Tensor]:
            labels = pad([targets[i] for i in rows], -100).to(self.model.device)
            hidden = self.decode(labels, *self._encoded(batch))
            real = (labels != -100).unsqueeze(-1)
            return list((hidden.float().masked_fill(~real, 0).sum(1) / real.sum(1).clamp(min=1)).cpu())

        sources = [source(example, view) for example in examples]
        rows_ND = self._in_batches(sources, means, batch_size=batch_size, title=title)
        return torch.stack(rows_ND) if rows_ND else torch.empty(0, 1)

    def _in_batches(
        self,
        sources: Sequence[Source | str],
        compute: Callable[[list[int], list[Ids]], list[Result]],
        *,
        batch_size: int,
        title: str | None,
    ) -> list[Result]:
        """Return `compute(rows, ids)` of all sources, in their order, without dropout; like lengths share a batch."""
        ids, _ = self.source_ids(sources)
        results: dict[int, Result] = {}
        training = self.training
        self.eval()
        try:
            for rows in by_length(ids, batch_size, title):
                results |= zip(rows, compute(rows, [ids[i] for i in rows]), strict=True)
        finally:
            self.train(training)
        return [results[i] for i in range(len(ids))]

    def _encoded(self, batch: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """Return the encoder's states `[B, S, D]` of a batch, and their mask `[B, S]`."""
        mask = padding_mask(batch).to(self.model.device)
        return self.encode(pad(batch, self.pad_id).to(self.model.device), mask), mask

    def _scores(self, memory: Tensor, mask: Tensor, answers: Sequence[Sequence[Target]]) -> list[Scores]:
        return score_batch(self.family, self.model, memory, mask, answers=answers)

    def check_choices(self, choices: Sequence[Sequence[str]]) -> dict[str, Target]:
        """Return the token ids of every choice.

        Raises:
            ModelError: a choice is longer than the student writes, so that its beginning may be another's too.
        """
        targets = self._choice_ids(choices)
        if long := [choice for row in choices for choice in row if choice not in targets]:
            raise ModelError(
                f"the choice {long[0]!r:.80} has more than {self.max_target_length} tokens: "
                "train with a larger student.max_target_length, or use answers: generate"
            )
        return targets

    def _choice_ids(self, choices: Sequence[Sequence[str]]) -> dict[str, Target]:
        """Return the token ids of the choices that the student can write to their end, each tokenized once."""
        texts = list(dict.fromkeys(choice for row in choices for choice in row))
        ids, long = self.target_ids(texts)
        return {texts[i]: tuple(row) for i, row in enumerate(ids) if i not in set(long)}

    def text(self, ids: Sequence[int]) -> str:
        """Decode an answer's ids up to their end, without special tokens and the blanks around it."""
        return str(self.tokenizer.decode(trimmed(list(ids), self.model.config), skip_special_tokens=True)).strip()

    def _stopping(self, words: str | None) -> Done | None:
        """Return a test of ids whose last ones hold `words`: a token is a character at least."""
        return (lambda ids: words in self.tokenizer.decode(ids[-len(words) :])) if words else None
