"""A Hugging Face chat model on this machine as a teacher, asked in batches."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from jinja2 import TemplateError

from limbeck.errors import ModelError, first_line
from limbeck.llm.messages import ChatMessage, Failure, Reply, Tokens
from limbeck.llm.settings import SamplingSettings, TeacherSettings
from limbeck.models.generation import generate
from limbeck.models.loading import pretrained
from limbeck.models.tokenization import Ids, end_ids, end_of


class LocalClient:
    """A chat model on the GPU if there is one; its own settings decide what `sampling` leaves open."""

    def __init__(self, teacher: TeacherSettings, sampling: SamplingSettings) -> None:
        """Load the model. Raises ModelError if it cannot be loaded, or is no chat model."""
        self._name, self._batch_size, self._max_tokens = teacher.name, teacher.batch_size, sampling.max_tokens
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model, self._tokenizer = pretrained(self._name, {"dtype": "auto", "device_map": device})
        self._model.eval()  # an adapter is loaded to be trained
        if not getattr(self._tokenizer, "chat_template", None) or self._tokenizer.eos_token_id is None:
            raise ModelError(f"{self._name}: no chat template or end token; use a model trained to chat")
        self._positions = getattr(self._model.config.get_text_config(), "max_position_embeddings", None) or 10**9
        config = self._model.generation_config
        config.max_length = None  # else every call warns of it beside max_new_tokens
        # the model's end is often a document's, the tokenizer's a turn's
        self._ends = list({*end_ids(config), self._tokenizer.eos_token_id} - {None})
        options: dict[str, Any] = {"do_sample": sampling.heat > 0}
        if sampling.heat > 0:  # transformers' own default of top_k is 50
            options |= {"temperature": sampling.heat, "top_p": sampling.top_p, "top_k": config.top_k or 0}
            torch.seed()  # or several processes would draw the same answers
        # the budget, the positions and Ctrl-C rest on what comes after `extra`
        options |= {**sampling.extra, "max_new_tokens": sampling.max_tokens, "stopping_criteria": [self._stop]}
        self._options = options | {"eos_token_id": self._ends, "pad_token_id": self._ends[0]}
        self._batch: list[Ids] = []  # of prompts; it grows while another is generated
        self._results: asyncio.Task[list[Reply | Failure]] | None = None
        self._generating = asyncio.Lock()
        self._closed = False

    async def ask(self, messages: Sequence[ChatMessage]) -> Reply | Failure:
        """Return the model's answer. Raises ModelError if the template refuses the conversation or generation fails."""
        prompt = self._tokenizer(render(self._tokenizer, messages), add_special_tokens=False)["input_ids"]
        if len(prompt) + self._max_tokens > self._positions:
            text = f"{len(prompt)} tokens and an answer exceed {self._positions} positions: lower sampling.max_tokens"
            return Failure("prompt too long", text, again=False)
        if self._results is None or len(self._batch) in (0, self._batch_size):
            self._batch = []
            self._results = asyncio.create_task(self._answers(self._batch))
        self._batch.append(prompt)
        results, index = self._results, len(self._batch) - 1
        return (await results)[index]

    async def close(self) -> None:
        self._closed = True

    def _stop(self, ids: torch.Tensor, _scores: Any, **_options: Any) -> torch.Tensor:
        """Stop at the next token once the client is closed."""
        return torch.full((len(ids),), self._closed, device=ids.device)

    async def _answers(self, batch: list[Ids]) -> list[Reply | Failure]:
        async with self._generating:
            if batch is self._batch:
                self._batch = []
            return await asyncio.to_thread(self._generate, batch)

    @torch.inference_mode()
    def _generate(self, prompts: list[Ids]) -> list[Reply | Failure]:
        pad_id = prompts[0][0]  # every prompt begins with it: repetition penalties look at padding too
        try:
            rows = generate(self._model, prompts, pad_id=pad_id, options=self._options)
        except Exception as error:  # raised by the model's code, sampling.extra, or a full GPU
            advice = "; lower teacher.batch_size" if isinstance(error, torch.OutOfMemoryError) else ""
            raise ModelError(f"{self._name}: {type(error).__name__}: {first_line(error)}{advice}") from error
        return [self._read(len(prompt), row) for prompt, row in zip(prompts, rows, strict=True)]

    def _read(self, prompt_tokens: int, ids: Ids) -> Reply | Failure:
        end = end_of(ids, self._ends)
        text = str(self._tokenizer.decode(ids[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False))
        tokens = Tokens(prompt_tokens, len(ids) if end is None else end + 1)
        raw = json.dumps({"model": self._name, "text": text, "finished": end is not None})
        if end is None:
            return Failure("cut off", "the answer reached sampling.max_tokens", again=False, raw=raw, tokens=tokens)
        return Reply(text, raw, tokens)


def render(tokenizer: Any, messages: Sequence[ChatMessage]) -> str:
    """Apply the chat template; a system turn that it refuses or drops goes into the user's."""
    system, conversations = messages[0]["content"], [list(messages)]
    if messages[0]["role"] == "system":
        user = messages[1] | {"content": f"{system}\n\n{messages[1]['content']}"}
        conversations.append([user, *messages[2:]])
    for conversation in conversations:
        with suppress(TemplateError):
            text: str = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
            if system.strip() in text or conversation is conversations[-1]:
                return text
    raise ModelError(f"{tokenizer.name_or_path}: its chat template refuses the conversation")
