"""A student: a Hugging Face model and its tokenizer.

Training uses token ids, batches (`collator`), the vocabulary head's input (`hidden_states`) and the head; evaluation
uses answers and their likelihoods. Neither knows a student's kind.
Legend: B batch, T target tokens, N those of a batch, D hidden size.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from limbeck.data import Source, View, source
from limbeck.distributed import gather, process_count, process_index
from limbeck.errors import ModelError
from limbeck.models.families import VocabularyHead
from limbeck.models.generation import Answer, Done, Engine, Scores, Target, ct2_engine, sampler, score_batch, search
from limbeck.models.settings import EngineName, Prompts
from limbeck.models.tokenization import IGNORE, Codec, ExampleIds, Ids, end_of, pad, progress
from limbeck.schema import Example

Texts = Sequence[Source | str]
Choices = Sequence[Sequence[str]]
Result = TypeVar("Result")
log = logging.getLogger(__name__)


class Student(nn.Module, ABC):
    """A model and the codec of its texts; model and tokenizer load without limbeck."""

    def __init__(
        self,
        model: PreTrainedModel,
        codec: Codec,
        generation_config: GenerationConfig,
        *,
        max_source_length: int,
        max_target_length: int,
    ) -> None:
        """Take a configuration with the ids of padding and start, in place of the checkpoint's.

        A checkpoint's presets (sampling, beams, forced tokens) are for its own task. Raises ModelError for a token
        that is none of the model's.
        """
        super().__init__()
        generation_config.eos_token_id = list(codec.ends)
        rows = model.get_input_embeddings().num_embeddings
        ids = generation_config.pad_token_id, generation_config.decoder_start_token_id
        if not all(id is None or 0 <= id < rows for id in ids):
            raise ModelError(f"{model.name_or_path}: of {rows} tokens, config.json pads and starts with {ids}")
        model.generation_config = generation_config
        self.model, self.codec, self.tokenizer = model, codec, codec.tokenizer
        self.pad_id = int(generation_config.pad_token_id)
        self.max_source_length = max_source_length
        self.max_target_length = max_target_length
        self._engine: Engine | None = None  # in place of those by name

    prompts: Prompts | None = None  # of a decoder-only student

    @abstractmethod
    def collator(self, reads_padding: bool = False) -> Callable[[Sequence[ExampleIds]], dict[str, Any]]:
        """Return a function that makes a batch of examples' ids by view.

        By view it has `labels`, the target ids one example after the other, `[N]`; their `weights`, and the number of
        their `rows` among the example's, `[N]`; `sizes`, their number by example; `index`, their places among the
        labels, `[B, T]`, -1 after the last. Where a loss `reads_padding`, IGNORE pads non-empty targets to one length.
        """

    @abstractmethod
    def hidden_states(self, batch: Mapping[str, Any]) -> dict[View, Tensor]:
        """Return the head's input for each of a collator's `labels`, `[N, D]` by view."""

    @abstractmethod
    def target_states(self, batch: Sequence[Ids], columns: Sequence[Sequence[Target]]) -> Iterable[Tensor]:
        """Yield the vocabulary head's input `[B, T, D]` for each column of targets to the sources of a batch.

        An empty target has a state too, where its first token would be.
        """

    @abstractmethod
    def head(self) -> VocabularyHead:
        """Return the vocabulary head, its weights not copied."""

    def source_ids(self, sources: Texts) -> tuple[list[Ids], list[int]]:
        """Return the token ids of inputs, and the numbers of those cut to `max_source_length`."""
        texts = [Source(None, (text,)) if isinstance(text, str) else text for text in sources]
        return self.codec.fitted_sources(texts, self.max_source_length)

    def target_ids(self, texts: Sequence[str]) -> list[Ids]:
        """Return the token ids of targets, uncut."""
        return self.codec.targets(texts)

    def fitted_target_ids(self, examples: Sequence[Example], view: View) -> tuple[list[Ids], list[int]]:
        """Return `Codec.fitted_targets`, cut to `max_target_length`."""
        return self.codec.fitted_targets(examples, view, self.max_target_length)

    def engine(self, name: EngineName) -> Engine:
        """Return the engine for the present weights; raise ModelError if it cannot run them."""
        if self._engine is not None:
            return self._engine
        if name != "transformers":
            self.check_window()
            return ct2_engine(self.model, "int8" if name == "ctranslate2-int8" else "float32")
        return partial(search, self.model)

    def use_engine(self, engine: Engine) -> None:
        """Answer by this engine from now on, whatever its name: the weights do not change any more."""
        self._engine = engine

    def check_window(self) -> None:
        """Raise ModelError where texts may be longer than the model's sliding window, which CTranslate2 lacks."""
        window = getattr(self.model.config.get_text_config(), "sliding_window", None)
        if window is not None and window < self.max_source_length + self.max_target_length:
            raise ModelError(
                f"ctranslate2 lacks the model's sliding window of {window} tokens: lower student.max_source_length and "
                "max_target_length below it, or use transformers"
            )

    def generate(
        self, texts: Texts, *, batch_size: int, title: str | None = None, engine: EngineName = "transformers"
    ) -> list[str]:
        """Write greedy answers of at most `max_target_length` tokens; `title` is a progress bar's."""
        write = self.engine(engine)

        def answers(_: list[int], batch: list[Ids]) -> list[str]:
            return [self.text(ids) for ids, _ in write(batch, self.max_target_length, None)]

        return self._in_batches(texts, answers, batch_size=batch_size, title=title)

    def answer(
        self,
        texts: Texts,
        choices: Choices,
        *,
        batch_size: int,
        title: str | None = None,
        stop: str | None = None,
        engine: EngineName = "transformers",
    ) -> list[Answer]:
        """Write answers as `generate`, with the log-probabilities of each and of its text's `choices`.

        The choices are scored first, by the model itself: where the engine `transformers` would write one, it is taken.
        Where a choice is longer than the student writes, none of its text is scored. An answer ends once it contains
        `stop`.
        """
        write, done = self.engine(engine), self._done(stop)
        targets = self.choice_ids(choices)

        def answers(rows: list[int], batch: list[Ids]) -> list[Answer]:
            options = [targets[i] for i in rows]
            scores = self._scores(batch, options) if any(options) else [Scores(0.0, [], None)] * len(batch)
            answers: dict[int, Answer] = {}
            for row, (score, choices) in enumerate(zip(scores, options, strict=True)):
                if score.greedy is None or engine != "transformers" or stop:
                    continue
                ids = choices[score.greedy]
                if end_of(ids, self.codec.ends) == len(ids) - 1:  # where the search ends
                    answers[row] = Answer(self.text(ids), ids, score.top, score.answers[score.greedy], score.answers)
            unanswered = [row for row in range(len(batch)) if row not in answers]
            inputs = [batch[row] for row in unanswered]
            written = write(inputs, self.max_target_length, done) if inputs else []
            for row, (ids, log_p) in zip(unanswered, written, strict=True):
                answers[row] = Answer(self.text(ids), ids, log_p[0], log_p, scores[row].answers)
            return [answers[row] for row in range(len(batch))]

        return self._in_batches(texts, answers, batch_size=batch_size, title=title)

    def sample(
        self,
        texts: Texts,
        count: int,
        *,
        temperature: float,
        seed: int,
        batch_size: int,
        title: str | None = None,
        stop: str | None = None,
    ) -> list[list[Answer]]:
        """Sample `count` answers to each text as `sampler` does, the same in batches of any size but for rounding.

        An answer ends once it contains `stop`.
        """
        done, limit = self._done(stop), self.max_target_length

        def answers(rows: list[int], batch: list[Ids]) -> list[Answer]:
            numbers = [row % count for row in rows]
            draw = sampler(batch, numbers, limit, temperature=temperature, seed=seed)
            written = search(self.model, batch, limit, done, draw=draw)
            return [Answer(self.text(ids), ids, log_p[0], log_p, []) for ids, log_p in written]

        copies = [text for text in texts for _ in range(count)]
        samples = self._in_batches(copies, answers, batch_size=batch_size, title=title)
        return [samples[start : start + count] for start in range(0, len(samples), count)]

    def _done(self, stop: str | None) -> Done | None:
        # a token is at least a character
        return (lambda ids: stop in self.tokenizer.decode(ids[-len(stop) :])) if stop else None

    def score(self, texts: Texts, choices: Choices, *, batch_size: int, title: str | None = None) -> list[Scores]:
        """Score each of a text's `choices`, the end token included, as its answer; none where one is too long."""
        targets = self.choice_ids(choices)

        def scores(rows: list[int], batch: list[Ids]) -> list[Scores]:
            return self._scores(batch, [targets[i] for i in rows])

        return self._in_batches(texts, scores, batch_size=batch_size, title=title)

    def pooled(self, examples: Sequence[Example], view: View, *, batch_size: int, title: str | None = None) -> Tensor:
        """Average the vocabulary head's input over each example's target, `[N, D]`, on the CPU."""
        targets, _ = self.fitted_target_ids(examples, view)

        def means(rows: list[int], batch: list[Ids]) -> list[Tensor]:
            column = [tuple(targets[i]) for i in rows]
            (hidden,) = self.target_states(batch, [column])
            real = (pad(column, IGNORE) != IGNORE).unsqueeze(-1).to(hidden.device)
            return list((hidden.float().masked_fill(~real, 0).sum(1) / real.sum(1).clamp(min=1)).cpu())

        sources = [source(example, view) for example in examples]
        rows_ND = self._in_batches(sources, means, batch_size=batch_size, title=title)
        return torch.stack(rows_ND) if rows_ND else torch.empty(0, 1)

    def choice_ids(self, choices: Choices) -> list[list[Target]]:
        """Return the token ids of each text's choices; none where one is too long to write."""
        unique = list(dict.fromkeys(choice for row in choices for choice in row))
        targets = dict(zip(unique, map(tuple, self.target_ids(unique)), strict=True))
        rows = [[targets[choice] for choice in row] for row in choices]
        return [row if all(len(ids) <= self.max_target_length for ids in row) else [] for row in rows]

    def text(self, ids: Sequence[int]) -> str:
        """Decode an answer's ids up to their end, without special tokens and outer blanks."""
        answer = list(ids[: end_of(ids, self.codec.ends)])
        return str(self.tokenizer.decode(answer, skip_special_tokens=True)).strip()

    def _scores(self, batch: Sequence[Ids], answers: Sequence[Sequence[Target]]) -> list[Scores]:
        return score_batch(self.head(), partial(self.target_states, batch), answers)

    @torch.inference_mode()
    def _in_batches(
        self,
        sources: Texts,
        compute: Callable[[list[int], list[Ids]], list[Result]],
        *,
        batch_size: int,
        title: str | None,
    ) -> list[Result]:
        """Return `compute(rows, ids)` of all sources in order, without dropout; batches shrink where memory is short.

        Each process of a run computes its share of the batches and has all results. Raises ModelError where memory is
        too short for one source.
        """
        ids, _ = self.source_ids(sources)
        results: dict[int, Result] = {}
        training = self.training
        self.eval()
        try:
            order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))  # similar lengths share a batch
            batches = [order[i : i + batch_size] for i in range(0, len(ids), batch_size)]
            for batch in progress(batches[process_index() :: process_count()], title):
                while rows := batch[:batch_size]:
                    try:
                        computed = compute(rows, [ids[i] for i in rows])
                    except torch.OutOfMemoryError:
                        if len(rows) == 1:
                            reason = "a single input is too long for the GPU's memory: lower student.max_source_length"
                            raise ModelError(f"{reason} or max_target_length") from None
                        batch_size = len(rows) // 2
                        log.warning("%d inputs fill the GPU's memory: from here on %d at a time", len(rows), batch_size)
                    else:
                        results |= zip(rows, computed, strict=True)
                        del batch[:batch_size]
        finally:
            self.train(training)
        everywhere = dict(gather(list(results.items())))
        return [everywhere[i] for i in range(len(ids))]
