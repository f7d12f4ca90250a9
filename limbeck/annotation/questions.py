"""A job's examples as a teacher is asked about them, and as the store finds its replies again."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from limbeck.annotation.prompts import Prompt
from limbeck.annotation.sifting import Asked, Sample
from limbeck.llm.messages import ChatMessage, Tokens, completion_thoughts, estimate
from limbeck.llm.runner import Request
from limbeck.llm.settings import SamplingSettings
from limbeck.llm.store import Key, Store
from limbeck.schema import Example


class Questions:
    """The questions that a prompt makes of examples, for one model.

    What stands before a question, and how answers are sampled, is hashed into `prompt`; `sent` is the same in full. How
    long an answer may get is not in it: after it was raised, only what had been cut off is asked again.
    """

    def __init__(self, examples: Sequence[Example], prompt: Prompt, model: str, sampling: SamplingSettings) -> None:
        """
        Raises:
            LimbeckError: the prompt shows an input that an example has not.
        """
        self.examples, self._prompt, self._model, self._sampling = examples, prompt, model, sampling
        *opening, _ = prompt.messages(examples[0])
        self.sent = {
            "messages": opening,
            "temperature": sampling.heat,
            "top_p": sampling.top_p,
            "extra": sampling.extra,
        }
        self.prompt = _hash(self.sent)
        self._questions = {example.id: self._question(example, hint=False) for example in examples}

    def requests(self, examples: Sequence[Example], hint: bool = False) -> list[Request]:
        """All the answers wanted to these examples: the first sample of each, then the second; one with a hint."""
        samples = 1 if hint else self._sampling.samples
        asked = [(example, self._question(example, hint), self._most(example, hint)) for example in examples]
        return [
            Request(Key(self._model, self.prompt, question, sample), example, hint, most)
            for sample in range(samples)
            for example, question, most in asked
        ]

    def messages(self, request: Request) -> list[ChatMessage]:
        """What is sent for a request."""
        return self._prompt.messages(request.example, request.hint)

    def asked(self, store: Store) -> list[Asked]:
        """Every example with what the store has of it; hinted samples only where there are any."""
        replies, failures = store.texts(self._model, self.prompt), store.failures(self._model, self.prompt)
        bodies = store.bodies(self._model, self.prompt)

        def sample(question: str, index: int, hinted: bool) -> Sample:
            place = (question, index)
            kind, reason = failures.get(place, (None, None))
            return Sample(replies.get(place), kind, reason, hinted, completion_thoughts(bodies.get(place, "")))

        found = []
        for example in self.examples:
            question = self._questions[example.id]
            samples = [sample(question, index, False) for index in range(self._sampling.samples)]
            if example.label:
                hinted = sample(self._question(example, hint=True), 0, True)
                samples += [hinted] if hinted.text is not None or hinted.failure is not None else []
            found.append(Asked(example, tuple(samples)))
        return found

    def _question(self, example: Example, hint: bool) -> str:
        return _hash(self._prompt.messages(example, hint)[-1]["content"])

    def _most(self, example: Example, hint: bool) -> Tokens:
        return Tokens(estimate(self._prompt.messages(example, hint)), self._sampling.max_tokens)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
