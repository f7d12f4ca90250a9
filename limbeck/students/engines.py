"""What writes answers: the engine's type, which its names are, and transformers' own greedy search.

Token ids are the border, not texts: no engine asks a tokenizer.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import StoppingCriteria

from limbeck.students.batches import pad, padding_mask

EngineName = Literal["transformers", "ctranslate2", "ctranslate2-int8"]
Ids = list[int]
Done = Callable[[Ids], bool]
Engine = Callable[[Sequence[Ids], int, Done | None], list[Ids]]
"""`engine(batch, max_new_tokens, done)` is what is written for each input of a batch: ids without the start token, the
end token and padding at the end. An answer ends early once `done` says so of the ids it has by then."""


def transformers_engine(model: Any) -> Engine:
    """Greedy search with a cache, by `model.generate`."""

    def write(batch: Sequence[Ids], max_new_tokens: int, done: Done | None) -> list[Ids]:
        output = model.generate(
            input_ids=pad(batch, model.config.pad_token_id).to(model.device),
            attention_mask=padding_mask(batch).to(model.device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            stopping_criteria=[_Criterion(done)] if done else None,
        )
        return [trimmed(row, model.config) for row in output[:, 1:].tolist()]

    return write


class _Criterion(StoppingCriteria):
    """`done` as transformers asks for it; its own criterion of this kind takes no tokenizer of whole words."""

    def __init__(self, done: Done) -> None:
        self.done = done

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        return torch.tensor([self.done(row) for row in input_ids[:, 1:].tolist()], device=input_ids.device)


def trimmed(ids: Ids, config: Any) -> Ids:
    """What stands before the end token, without padding at its end."""
    if config.eos_token_id in ids:
        ids = ids[: ids.index(config.eos_token_id)]
    length = len(ids)
    while length and ids[length - 1] == config.pad_token_id:
        length -= 1
    return ids[:length]
