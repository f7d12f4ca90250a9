"""A Hugging Face chat model on this machine, asked in batches."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import torch
from jinja2 import TemplateError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from limbeck.errors import ModelError, first_line
from limbeck.hub import where_to_load
from limbeck.llm.messages import ChatMessage, Failure, Reply
from limbeck.llm.settings import SamplingSettings, TeacherSettings

LINGER = 0.05  # seconds that a batch waits to be filled: callers come back one by one, and an answer takes far longer

_CLOSED = Failure("closed", "the teacher was closed before it answered")


class LocalClient:
    """A chat model from the Hub or a folder, on the GPU if there is one, in the precision that it was saved in.

    The model's own generation settings decide what `sampling` leaves open. Torch's global generator is seeded anew, or
    several processes would draw the same answers.
    """

    def __init__(self, teacher: TeacherSettings, sampling: SamplingSettings) -> None:
        """Load the model.

        Raises:
            ModelError: no such model, or one that is no chat model.
        """
        self._name, self._batch_size, self._max_tokens = teacher.name, teacher.batch_size, sampling.max_tokens
        self._model, self._tokenizer = _load(teacher.name)
        config = self._model.generation_config
        config.max_length = None  # beside max_new_tokens every call would warn of it
        own_ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        self._ends = [end for end in {*own_ends, self._tokenizer.eos_token_id} if end is not None]
        self._options: dict[str, Any] = {"do_sample": sampling.heat > 0}
        if sampling.heat > 0:  # transformers' own default of top_k is 50
            self._options |= {"temperature": sampling.heat, "top_p": sampling.top_p, "top_k": config.top_k or 0}
            torch.seed()
        self._options |= sampling.extra
        self._waiting: list[tuple[Sequence[ChatMessage], asyncio.Future[Reply | Failure]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    async def ask(self, messages: Sequence[ChatMessage]) -> Reply | Failure:
        """Return the model's answer; one without an end, or a prompt that leaves no room for one, is a failure."""
        answer: asyncio.Future[Reply | Failure] = asyncio.get_running_loop().create_future()
        self._waiting.append((messages, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def close(self) -> None:
        """Stop at the next token and release the model; whoever still waits gets a failure."""
        self._closed = True
        if self._worker is not None:
            await self._worker
        self._model = None

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(LINGER)
            batch, self._waiting = self._waiting[: self._batch_size], self._waiting[self._batch_size :]
            results = await asyncio.to_thread(self._answer, [messages for messages, _ in batch])
            for (_, answer), result in zip(batch, results, strict=True):
                if not answer.done():
                    answer.set_result(result)

    def _answer(self, conversations: Sequence[Sequence[ChatMessage]]) -> list[Reply | Failure]:
        """Return a result for each conversation; raises nothing, for its callers would wait for ever."""
        try:
            prompts = [self._encode(messages) for messages in conversations]
            answers = iter(self._generate([prompt for prompt in prompts if isinstance(prompt, list)]))
            return [self._read(prompt, next(answers)) if isinstance(prompt, list) else prompt for prompt in prompts]
        except Exception as error:  # raised by the model's code, its template, sampling.extra, or a full GPU
            advice = "; lower teacher.batch_size" if isinstance(error, torch.OutOfMemoryError) else ""
            message = f"{self._name}: {type(error).__name__}: {first_line(error)}{advice}"
            return [Failure("generation failed", message)] * len(conversations)

    def _encode(self, messages: Sequence[ChatMessage]) -> list[int] | Failure:
        text = render(self._tokenizer, messages)
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        positions = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        if positions is None or len(ids) + self._max_tokens <= positions:
            return ids
        message = f"{len(ids)} tokens and an answer do not fit {positions} positions: lower sampling.max_tokens"
        return Failure("prompt too long", message, again=False)

    @torch.inference_mode()
    def _generate(self, prompts: list[list[int]]) -> list[list[int]]:
        """Return what the model writes after each prompt, its end token and padding included."""
        if not prompts or self._closed:
            return [[] for _ in prompts]
        width = max(map(len, prompts))
        # Padding is masked, but repetition penalties look at every id: pad with a token that the row has anyway.
        ids = [[prompt[0]] * (width - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        output = self._model.generate(
            input_ids=torch.tensor(ids, device=self._model.device),
            attention_mask=torch.tensor(mask, device=self._model.device),
            max_new_tokens=self._max_tokens,
            eos_token_id=self._ends,
            pad_token_id=self._ends[0],
            stopping_criteria=[lambda ids, _scores, **_: torch.full((len(ids),), self._closed, device=ids.device)],
            **self._options,
        )
        return output[:, width:].tolist()

    def _read(self, prompt: list[int], ids: list[int]) -> Reply | Failure:
        end = next((position for position, token in enumerate(ids) if token in self._ends), None)
        if end is None and len(ids) < self._max_tokens:
            return _CLOSED
        text = self._tokenizer.decode(ids[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        reason, count = ("length", len(ids)) if end is None else ("stop", end + 1)
        raw = json.dumps({
            "model": self._name, "text": text, "finish_reason": reason,
            "prompt_tokens": len(prompt), "completion_tokens": count,
        })  # fmt: skip
        if end is None:
            return Failure("cut off", "the answer reached sampling.max_tokens", False, None, raw, len(prompt), count)
        return Reply(text, raw, reason, len(prompt), count)


def render(tokenizer: Any, messages: Sequence[ChatMessage]) -> str:
    """Return the conversation in the tokenizer's own chat template, up to where the answer begins.

    Some templates refuse a system turn (Gemma's), others drop it: then its text goes before the first user's.

    Raises:
        TemplateError: the template refuses the conversation.
    """
    first, *turns = messages
    try:
        text: str = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        if first["role"] != "system" or first["content"].strip() in text:
            return text
    except TemplateError:
        if first["role"] != "system":
            raise
    merged = {**turns[0], "content": f"{first['content']}\n\n{turns[0]['content']}"}
    return tokenizer.apply_chat_template([merged, *turns[1:]], tokenize=False, add_generation_prompt=True)


def _load(name: str) -> tuple[Any, Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        where = where_to_load(name)
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **where)
        model: Any = AutoModelForCausalLM.from_pretrained(
            name, dtype="auto", device_map=device, trust_remote_code=False, **where
        )
    except (OSError, LookupError, ValueError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        advice = "give a causal language model and its tokenizer: a folder, or a name on the Hugging Face Hub"
        raise ModelError(f"{name}: cannot be loaded as a teacher: {first_line(error)}; {advice}") from None
    if not getattr(tokenizer, "chat_template", None) or tokenizer.eos_token_id is None:
        raise ModelError(f"{name}: its tokenizer has no chat template or no end token; use a model trained to chat")
    return model.eval(), tokenizer
