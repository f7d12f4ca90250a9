"""The offline engine: a Hugging Face causal language model on this machine, asked in batches."""

import asyncio
import json
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Any

import torch
from transformers import StoppingCriteria

from limbeck.errors import first_line
from limbeck.llm.chat import check_extra, generation_config, load_chat, render
from limbeck.llm.engine import Failure, Message, Reply
from limbeck.llm.settings import SamplingSettings, TeacherSettings

LINGER = 0.05  # seconds that a batch waits to be filled: callers come back one by one, and an answer takes far longer

_CLOSED = Failure("closed", "the teacher was closed before it answered")

Prompt = list[int]


@dataclass(frozen=True, slots=True)
class _Question:
    messages: Sequence[Message]
    answer: "Future[Reply | Failure]"


class LocalEngine:
    """A chat model from the Hub or a folder, on the GPU if there is one, in the precision that it was saved in.

    Where `sampling` says nothing, the model's own generation settings hold, as with the usual servers. One thread
    encodes, generates and decodes, so that the caller's event loop stays free. At a temperature above 0 torch's global
    generator is seeded anew: every process starts with the same seed, and several would draw the same answers.

    Raises:
        LimbeckError: no such model, one that is no chat model, or an unknown field in `sampling.extra`.
    """

    def __init__(self, settings: TeacherSettings, sampling: SamplingSettings) -> None:
        self._name, self._batch_size, self._max_tokens = settings.name, settings.batch_size, sampling.max_tokens
        check_extra(sampling)
        self._model, self._tokenizer = load_chat(settings.name)
        self._config = generation_config(self._model, self._tokenizer, settings.name, sampling)
        self._positions = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        if sampling.heat > 0:
            torch.seed()
        self._closing, self._lock = Event(), Lock()
        self._waiting: SimpleQueue[_Question | None] = SimpleQueue()
        self._thread = Thread(target=self._serve, name="limbeck-teacher", daemon=True)
        self._thread.start()

    async def ask(self, messages: Sequence[Message]) -> Reply | Failure:
        """The model's answer. An answer without an end, and a prompt that leaves no room for one, are failures."""
        question = _Question(messages, Future())
        with self._lock:  # nothing may come after the None that ends the thread
            if self._closing.is_set():
                return _CLOSED
            self._waiting.put(question)
        return await asyncio.wrap_future(question.answer)

    async def close(self) -> None:
        """Stop, at the next token, and let go of the model. Whoever is still waiting gets a failure."""
        with self._lock:
            if not self._closing.is_set():
                self._closing.set()
                self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _serve(self) -> None:
        """The thread: one batch after the other, until None."""
        while (first := self._waiting.get()) is not None:
            batch = [one for one in self._batch(first) if one.answer.set_running_or_notify_cancel()]
            for question, answer in zip(batch, self._answers([one.messages for one in batch]), strict=True):
                question.answer.set_result(answer)

    def _batch(self, first: _Question) -> list[_Question]:
        """`first` and what else is waiting, or comes in a moment."""
        batch, deadline = [first], time.monotonic() + LINGER
        while len(batch) < self._batch_size:
            try:
                question = self._waiting.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                break
            if question is None:
                self._waiting.put(None)
                break
            batch.append(question)
        return batch

    def _answers(self, conversations: Sequence[Sequence[Message]]) -> list[Reply | Failure]:
        """An answer or a failure for each; raises nothing, for then its callers would wait for ever."""
        prompts = [self._prompt(messages) for messages in conversations]
        written = iter(self._write([prompt for prompt in prompts if not isinstance(prompt, Failure)]))
        return [prompt if isinstance(prompt, Failure) else next(written) for prompt in prompts]

    def _prompt(self, messages: Sequence[Message]) -> Prompt | Failure:
        try:
            ids: Prompt = self._tokenizer(render(self._tokenizer, messages), add_special_tokens=False)["input_ids"]
        except Exception as error:
            message = f"the chat template of {self._name} does not take this conversation: {first_line(error)}"
            return Failure("chat template", message, again=False)
        if self._positions is not None and len(ids) + self._max_tokens > self._positions:
            message = (
                f"{self._name} has {self._positions} positions, too few for a prompt of {len(ids)} tokens and "
                f"an answer of up to {self._max_tokens}: lower sampling.max_tokens or shorten the prompt"
            )
            return Failure("prompt too long", message, again=False)
        return ids

    def _write(self, prompts: list[Prompt]) -> list[Reply | Failure]:
        if not prompts or self._closing.is_set():
            return [_CLOSED] * len(prompts)
        try:
            outputs = self._generate(prompts)
            return [self._read(len(prompt), ids) for prompt, ids in zip(prompts, outputs, strict=True)]
        except torch.OutOfMemoryError:
            failure = Failure(
                "out of memory", f"the GPU has no memory for {len(prompts)} conversations: lower teacher.batch_size"
            )
        except Exception as error:  # whatever a model's own code raises
            failure = Failure("generation failed", f"{self._name}: {type(error).__name__}: {first_line(error)}")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return [failure] * len(prompts)

    @torch.inference_mode()
    def _generate(self, prompts: list[Prompt]) -> list[list[int]]:
        """What is written after each prompt: its end token and padding included."""
        width = max(map(len, prompts))
        # Padding is hidden from the model, but no_repeat_ngram_size and its like look at every id: each row is
        # padded with a token that it begins with anyway.
        ids = [[prompt[0]] * (width - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        output = self._model.generate(
            input_ids=torch.tensor(ids, device=self._model.device),
            attention_mask=torch.tensor(mask, device=self._model.device),
            generation_config=self._config,
            stopping_criteria=[_Stop(self._closing)],
        )
        return output[:, width:].tolist()

    def _read(self, prompt_tokens: int, ids: list[int]) -> Reply | Failure:
        end = next((place for place, id in enumerate(ids) if id in self._config.eos_token_id), None)
        if end is None and len(ids) < self._max_tokens:
            return _CLOSED
        text = self._tokenizer.decode(ids[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        reason, tokens = ("length", len(ids)) if end is None else ("stop", end + 1)
        raw = json.dumps({
            "model": self._name, "text": text, "finish_reason": reason,
            "prompt_tokens": prompt_tokens, "completion_tokens": tokens,
        })  # fmt: skip
        if end is None:
            message = f"the answer was not at its end after sampling.max_tokens ({self._max_tokens})"
            return Failure("cut off", message, False, None, raw, prompt_tokens, tokens)
        return Reply(text, raw, reason, prompt_tokens, tokens)


class _Stop(StoppingCriteria):
    """Ends every answer once the engine is being closed."""

    def __init__(self, closing: Event) -> None:
        self._closing = closing

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:  # noqa: ARG002 - transformers' signature
        return torch.full((len(input_ids),), self._closing.is_set(), device=input_ids.device)
