"""What writes answers: the engine's type, which its names are, and transformers' own greedy search.

Token ids are the border, not texts: no engine asks a tokenizer.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria
from transformers.modeling_outputs import BaseModelOutput

from limbeck.models.batches import pad, padding_mask
from limbeck.models.codec import Ids, end_of
from limbeck.models.scoring import LogP, Target

EngineName = Literal["transformers", "ctranslate2", "ctranslate2-int8"]
Done = Callable[[Ids], bool]
Engine = Callable[[Sequence[Ids], int, Done | None], list[Target]]
"""`engine(batch, max_new_tokens, done)` is what is written for each input of a batch: ids without the start token and
padding, the end token last where there is one. An answer ends early once `done` says so of the ids it has by then."""


def transformers_engine(model: Any) -> Engine:
    """Greedy search with a cache, by `model.generate`."""

    def write(batch: Sequence[Ids], max_new_tokens: int, done: Done | None) -> list[Target]:
        output = model.generate(
            input_ids=pad(batch, model.config.pad_token_id).to(model.device),
            attention_mask=padding_mask(batch).to(model.device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            stopping_criteria=[_Criterion(done)] if done else None,
        )
        return [with_end(row, model.config) for row in output[:, 1:].tolist()]

    return write


def watched_search(
    model: Any, memory_BSD: Tensor, mask_BS: Tensor, max_new_tokens: int, done: Done | None
) -> list[tuple[Target, LogP]]:
    """The same search from the encoder's states: what is written for each input, and its tokens' log-probabilities."""
    watch = _Watch()
    output = model.generate(
        encoder_outputs=BaseModelOutput(last_hidden_state=memory_BSD),
        attention_mask=mask_BS,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        stopping_criteria=[_Criterion(done)] if done else None,
        logits_processor=[watch],
    )
    written = [with_end(row, model.config) for row in output[:, 1:].tolist()]
    log_p = torch.stack(watch.log_p, 1).tolist()
    return [(ids, row[: len(ids)]) for ids, row in zip(written, log_p, strict=True)]


class _Watch(LogitsProcessor):
    """Changes nothing; keeps each step's highest log-probability: the written token's, the search being greedy."""

    def __init__(self) -> None:
        self.log_p: list[Tensor] = []  # [B] a step

    def __call__(self, input_ids: Tensor, scores: Any) -> Any:
        self.log_p.append(scores.log_softmax(1).amax(1))
        return scores


class _Criterion(StoppingCriteria):
    """`done` as transformers asks for it; its own criterion of this kind takes no tokenizer of whole words."""

    def __init__(self, done: Done) -> None:
        self.done = done

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        return torch.tensor([self.done(row) for row in input_ids[:, 1:].tolist()], device=input_ids.device)


def trimmed(ids: Ids, config: Any) -> Ids:
    """What stands before the end token, without padding at its end."""
    ids = ids[: end_of(ids, config)]
    length = len(ids)
    while length and ids[length - 1] == config.pad_token_id:
        length -= 1
    return ids[:length]


def with_end(ids: Ids, config: Any) -> Target:
    """Return what stands before the padding, up to the end token where there is one; never nothing."""
    end = end_of(ids, config)
    return tuple(ids[: end + 1] if end is not None else trimmed(ids, config) or ids[:1])
