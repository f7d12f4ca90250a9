"""A student: a Hugging Face encoder-decoder and its tokenizer, with the few things limbeck asks of them.

Legend: B batch, S source tokens, T target tokens, D hidden size, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from limbeck.data import Source, View, source
from limbeck.errors import LimbeckError
from limbeck.models.batches import by_length, pad, padding_mask
from limbeck.models.codec import Codec, Ids, end_of
from limbeck.models.engines import Done, Engine, EngineName, transformers_engine, trimmed, watched_search
from limbeck.models.families import VocabularyHead, family_of, positions
from limbeck.models.fast import ctranslate2_engine
from limbeck.models.lengths import fitted_sources, fitted_targets
from limbeck.models.scoring import Answer, Scores, Target, score_batch
from limbeck.schema import Example


class Student(nn.Module):
    """Holds the plain model (`model`) and tokenizer (`tokenizer`); both save and load without limbeck.

    Raises:
        LimbeckError: the model is no encoder-decoder that writes text, or its configuration lacks a token's id.
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
        return int(self.model.config.pad_token_id)

    @property
    def vocabulary(self) -> int:
        """How many token ids the model has embeddings for, which may be more than its tokenizer has tokens."""
        embeddings: Any = self.model.get_input_embeddings()
        return int(embeddings.num_embeddings)

    def source_ids(self, sources: Sequence[Source | str]) -> tuple[list[Ids], list[int]]:
        """Return the token ids of inputs, and the numbers of those that were cut to `max_source_length`.

        A text alone is one segment. limbeck/models/lengths.py says what is cut.
        """
        whole = [Source("", (text,)) if isinstance(text, str) else text for text in sources]
        return fitted_sources(whole, self.codec, self.max_source_length)

    def target_ids(self, texts: Sequence[str]) -> tuple[list[Ids], list[int]]:
        """Return the token ids of targets, none of them cut, and the numbers of those above `max_target_length`."""
        ids = self.codec.targets(texts)
        return ids, [i for i, row in enumerate(ids) if len(row) > self.max_target_length]

    def fitted_target_ids(self, examples: Sequence[Example], view: View) -> tuple[list[Ids], list[int]]:
        """Return the token ids of the examples' targets, and the numbers of those cut to `max_target_length`.

        Raises:
            LimbeckError: a label is longer than that.
        """
        return fitted_targets(examples, view, self.codec, self.max_target_length)

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
        return self.family.states(self.model, fed, memory, attention_mask, None)

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
        texts: Sequence[Source | str],
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
            for rows in by_length(ids, batch_size, title):
                written = write([ids[i] for i in rows], max_new_tokens, self._says(stop) if stop else None)
                for i, row in zip(rows, written, strict=True):
                    answers[i] = self.text(row)
        return answers

    @torch.inference_mode()
    def answer(
        self,
        texts: Sequence[Source | str],
        choices: Sequence[Sequence[str]],
        max_new_tokens: int,
        batch_size: int,
        title: str | None = None,
        stop: str | None = None,
        engine: EngineName = "transformers",
    ) -> list[Answer]:
        """As `generate`, with how likely each answer is, and each of its text's `choices`, of which there may be none.

        The choices are scored first. Where one of them is what greedy search with `transformers` writes, as its scores
        show, that is the answer, and nothing is generated; else the search tells its own log-probabilities. What
        CTranslate2 writes is scored after it by the model itself, its weights not rounded.
        Where one of a text's choices is longer than the student writes, none of them is scored.

        Raises:
            LimbeckError: as `engine`.
        """
        write = None if engine == "transformers" else self.engine(engine)
        done = self._says(stop) if stop else None
        ids, _ = self.source_ids(texts)
        whole = self._whole(choices)
        targets = [[whole[one] for one in among] if whole.keys() >= set(among) else [] for among in choices]
        answers: dict[int, Answer] = {}
        with self._evaluating():
            for rows in by_length(ids, batch_size, title):
                batch, among = [ids[i] for i in rows], [targets[i] for i in rows]
                if write is None:
                    found = self._searched(batch, among, max_new_tokens, done)
                else:
                    found = self._scored(batch, among, write(batch, max_new_tokens, done))
                answers |= dict(zip(rows, found, strict=True))
        return [answers[i] for i in range(len(ids))]

    def _searched(
        self, batch: Sequence[Ids], among: Sequence[Sequence[Target]], max_new_tokens: int, done: Done | None
    ) -> list[Answer]:
        """What greedy search writes, looked for among the choices first."""
        memory, mask = self._encoded(batch)
        answers: dict[int, Answer] = {}
        scores: dict[int, Scores] = {}
        if any(among):
            scores = dict(enumerate(score_batch(self.family, self.model, memory, mask, among)))
        for row, found in scores.items():
            if found.greedy is not None and done is None and self._is_whole(among[row][found.greedy], max_new_tokens):
                said = among[row][found.greedy]
                answers[row] = Answer(self.text(said), said, found.top, found.answers[found.greedy], found.answers)
        rest = [row for row in range(len(batch)) if row not in answers]
        if rest:
            written = watched_search(self.model, memory[rest], mask[rest], max_new_tokens, done)
            for row, (said, log_p) in zip(rest, written, strict=True):
                choices = scores[row].answers if row in scores else []
                answers[row] = Answer(self.text(said), said, log_p[0], log_p, choices)
        return [answers[row] for row in range(len(batch))]

    def _scored(
        self, batch: Sequence[Ids], among: Sequence[Sequence[Target]], written: Sequence[Target]
    ) -> list[Answer]:
        """What another engine wrote."""
        asked = [[said, *choices] for said, choices in zip(written, among, strict=True)]
        scores = score_batch(self.family, self.model, *self._encoded(batch), asked)
        return [
            Answer(self.text(said), said, one.top, one.answers[0], one.answers[1:])
            for said, one in zip(written, scores, strict=True)
        ]

    @torch.inference_mode()
    def score(
        self,
        texts: Sequence[Source | str],
        choices: Sequence[Sequence[str]],
        batch_size: int,
        title: str | None = None,
    ) -> list[Scores]:
        """How likely each of a text's `choices` is as the whole answer, its end token included.

        Nothing is generated, each text is encoded once, and the decoder gets a choice of each text at a time.

        Raises:
            LimbeckError: as `check_choices`.
        """
        ids, _ = self.source_ids(texts)
        whole = self.check_choices(choices)
        scores: dict[int, Scores] = {}
        with self._evaluating():
            for rows in by_length(ids, batch_size, title):
                encoded = self._encoded([ids[i] for i in rows])
                among = [[whole[one] for one in choices[i]] for i in rows]
                found = score_batch(self.family, self.model, *encoded, among)
                scores |= dict(zip(rows, found, strict=True))
        return [scores[i] for i in range(len(ids))]

    @torch.inference_mode()
    def pooled(self, examples: Sequence[Example], view: View, batch_size: int, title: str | None = None) -> Tensor:
        """What the vocabulary head is fed with under teacher forcing, averaged over each target's tokens: `[N, D]`.

        Row i is of the source and the target of `examples[i]` in the view. On the CPU, in float32.

        Raises:
            LimbeckError: as `fitted_target_ids`.
        """
        ids, _ = self.source_ids([source(example, view) for example in examples])
        written, _ = self.fitted_target_ids(examples, view)
        rows_ND: list[Tensor] = [torch.empty(0)] * len(ids)
        with self._evaluating():
            for rows in by_length(ids, batch_size, title):
                labels = pad([written[i] for i in rows], -100).to(self.model.device)
                hidden = self.decode(labels, *self._encoded([ids[i] for i in rows]))
                real = (labels != -100).unsqueeze(-1)
                means = hidden.float().masked_fill(~real, 0).sum(1) / real.sum(1).clamp(min=1)
                for i, row in zip(rows, means.cpu(), strict=True):
                    rows_ND[i] = row
        return torch.stack(rows_ND) if rows_ND else torch.empty(0, 1)

    def _encoded(self, batch: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """The encoder's states `[B, S, D]` of a batch, and their mask `[B, S]`."""
        mask = padding_mask(batch).to(self.model.device)
        return self.encode(pad(batch, self.pad_id).to(self.model.device), mask), mask

    def check_choices(self, choices: Sequence[Sequence[str]]) -> dict[str, Target]:
        """The token ids of every choice.

        Raises:
            LimbeckError: a choice is longer than the student writes, so that what is left of it may be another's too.
        """
        whole = self._whole(choices)
        for choice in (one for among in choices for one in among if one not in whole):
            raise LimbeckError(
                f"the choice {choice!r:.80} has more than {self.max_target_length} tokens: "
                "train with a larger student.max_target_length, or use answers: generate"
            )
        return whole

    def _whole(self, choices: Sequence[Sequence[str]]) -> dict[str, Target]:
        """The token ids of every choice, each tokenised once, that the student can write to its end."""
        every = list(dict.fromkeys(choice for among in choices for choice in among))
        ids, cut = self.target_ids(every)
        left_out = set(cut)
        return {every[i]: tuple(row) for i, row in enumerate(ids) if i not in left_out}

    def _is_whole(self, ids: Target, max_new_tokens: int) -> bool:
        """Whether a search that meets these tokens ends with the last of them: at the first end token, in time."""
        return end_of(ids, self.model.config) == len(ids) - 1 and len(ids) <= max_new_tokens

    def text(self, ids: Sequence[int]) -> str:
        """What written ids say up to their end, without special tokens and the blanks around it."""
        return str(self.tokenizer.decode(trimmed(list(ids), self.model.config), skip_special_tokens=True)).strip()

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
