"""Causal language models as students: the target follows a prompt.

The common beginning of a question's prompts is computed once: a row of a batch is that beginning, then a branch for
each view, the rest of its prompt and its target. A token attends to the beginning and its branch, and has the position
of a separate row, so that its state is the same.
Legend: R rows, S tokens of a row, N target tokens of a batch, D hidden size.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from limbeck.errors import ModelError, first_line
from limbeck.models.families import VocabularyHead, positions
from limbeck.models.generation import Target
from limbeck.models.prompts import PromptCodec
from limbeck.models.settings import Prompts
from limbeck.models.student import Student
from limbeck.models.tokenization import IGNORE, MULTIPLE, Ids, Row, ViewIds, end_ids, pad, token_columns, with_padding

log = logging.getLogger(__name__)
_SHARED, _PADDING = 0, -1  # in `branches`


class Layout(NamedTuple):
    """A row's tokens, their positions and branches, and by branch the index of the token before each of the target."""

    ids: Ids
    positions: Ids
    branches: Ids
    places: list[Ids]


def lay_out(views: Sequence[ViewIds]) -> Layout:
    """Lay out a question's views, at least one, behind the common beginning of their sources."""
    sources = [list(view.source) for view in views]
    shared = common_length([view.source for view in views])
    row = Layout(sources[0][:shared], list(range(shared)), [_SHARED] * shared, [])
    for number, (source, (_, target, _)) in enumerate(zip(sources, views, strict=True), 1):
        begin, suffix = len(row.ids), source[shared:]
        last = begin + len(suffix) - 1 if suffix else shared - 1  # of the prompt
        branch = [*suffix, *target[:-1]]
        row.ids.extend(branch)
        row.positions.extend(range(shared, shared + len(branch)))
        row.branches.extend([number] * len(branch))
        row.places.append([last, *range(begin + len(suffix), len(row.ids))])
    return row


def common_length(sources: Sequence[Row]) -> int:
    """Return how many tokens all sources begin with."""
    length = min(map(len, sources))
    for source in sources[1:]:
        differences = np.not_equal(sources[0][:length], source[:length])
        length = int(differences.argmax()) if differences.any() else length
    return length


def rows_of(branches: Sequence[ViewIds]) -> list[list[int]]:
    """Return the numbers of the branches of each row: those with the same question, or sources mostly alike."""
    rows: list[list[int]] = []
    for number, branch in enumerate(branches):
        for row in rows:
            pair = [branches[row[0]].source, branch.source]
            if 2 * common_length(pair) >= min(map(len, pair)):
                row.append(number)
                break
        else:
            rows.append([number])
    return rows


@dataclass(frozen=True)
class BranchCollator:
    """Lays out examples, given as ids by view, as a batch of int64 tensors for `Student.hidden_states`.

    `input_ids`, `position_ids` and `branches` are `[R, S]`: a row for each question or, without `shared`, each of its
    views. By view `places` has the index among R * S of the token before each of the `labels`, `[N]`.
    """

    pad_id: int
    shared: bool
    reads_padding: bool = False

    def __call__(self, examples: Sequence[Mapping[Any, Sequence[ViewIds]]]) -> dict[str, Any]:
        examples = with_padding(examples) if self.reads_padding else examples
        rows: list[Layout] = []
        labels: dict[Any, Ids] = {view: [] for view in examples[0]}
        places: dict[Any, list[tuple[int, int]]] = {view: [] for view in labels}  # row number, index in the row
        for example in examples:
            views = [view for view, shown in example.items() for ids in shown if len(ids.target)]
            branches = [ids for shown in example.values() for ids in shown if len(ids.target)]
            placed: dict[int, list[tuple[int, int]]] = {}  # by branch
            for numbers in rows_of(branches) if self.shared else [[number] for number in range(len(branches))]:
                row = lay_out([branches[number] for number in numbers])
                for number, indices in zip(numbers, row.places, strict=True):
                    placed[number] = [(len(rows), index) for index in indices]
                rows.append(row)
            for number, (view, ids) in enumerate(zip(views, branches, strict=True)):
                labels[view].extend(ids.target)
                places[view].extend(placed[number])
        input_ids = pad([row.ids for row in rows], IGNORE, MULTIPLE)
        width = input_ids.shape[1]
        return {
            "input_ids": input_ids.masked_fill(input_ids == IGNORE, self.pad_id),
            "position_ids": pad([row.positions for row in rows], 0, MULTIPLE),
            "branches": pad([row.branches for row in rows], _PADDING, MULTIPLE),
            "places": {view: _int64(row * width + index for row, index in pairs) for view, pairs in places.items()},
            "labels": {view: _int64(ids) for view, ids in labels.items()},
            **token_columns(examples),
        }


def _int64(values: Iterable[int]) -> Tensor:
    return torch.from_numpy(np.fromiter(values, np.int64))


def room_for_sources(config: Any, max_target_length: int) -> int:
    """Return how many tokens of a prompt a model has positions for; raise ModelError where there are none."""
    room = positions(config) - max_target_length
    if room < 1:
        raise ModelError(f"student.max_target_length leaves no room in {positions(config)} positions: lower it")
    return room


class DecoderStudent(Student):
    """A causal language model with its prompts.

    Raises ModelError if it lacks a head for its logits, an end token or positions, or its template fails.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        prompts: Prompts,
        *,
        max_source_length: int,
        max_target_length: int,
    ) -> None:
        embeddings: Any = model.get_input_embeddings()
        config: Any = model.config.get_text_config(decoder=True)  # of a multimodal model the part for text
        ends = [*end_ids(model.config), *end_ids(config), *end_ids(model.generation_config)]
        vocabulary = int(embeddings.num_embeddings)
        codec = PromptCodec(tokenizer, ends, vocabulary, prompts=prompts)
        # padding is masked everywhere: any token will do
        pad_ids = (config.pad_token_id, tokenizer.pad_token_id, codec.end)
        pad_id = next(id for id in pad_ids if id is not None and 0 <= id < vocabulary)
        super().__init__(
            model,
            codec,
            GenerationConfig(bos_token_id=config.bos_token_id, pad_token_id=pad_id),
            max_source_length=min(max_source_length, room_for_sources(config, max_target_length)),
            max_target_length=max_target_length,
        )
        self.prompts = prompts
        self._config = config
        self._scale = 1.0
        self._probe()

    def collator(self, reads_padding: bool = False) -> BranchCollator:
        return BranchCollator(self.pad_id, self.shared, reads_padding)

    def head(self) -> VocabularyHead:
        linear: Any = self.model.get_output_embeddings()
        if linear is None:
            raise ModelError(f"a {self.model.config.model_type!r} model without a vocabulary head cannot be a student")
        soft_cap = getattr(self._config, "final_logit_softcapping", None)
        return VocabularyHead(linear.weight, getattr(linear, "bias", None), soft_cap)

    def hidden_states(self, batch: Mapping[str, Any]) -> dict[Any, Tensor]:
        branches, position_ids = batch["branches"], batch["position_ids"]
        mask = self._masks(position_ids, branches) if self.shared else (branches != _PADDING).long()
        base: Any = self.model.base_model
        backbone = base.get_decoder()
        output = backbone(input_ids=batch["input_ids"], attention_mask=mask, position_ids=position_ids, use_cache=False)
        states = output[0].flatten(0, 1)
        return {view: states[places] * self._scale for view, places in batch["places"].items()}

    def target_states(self, batch: Sequence[Ids], columns: Sequence[Sequence[Target]]) -> list[Tensor]:
        empty = (self.codec.end,)  # whose state precedes the first token
        examples = [
            {number: [ViewIds(prompt, column[row] or empty)] for number, column in enumerate(columns)}
            for row, prompt in enumerate(batch)
        ]
        inputs = send_to_device(self.collator()(examples), self.model.device)
        states = self.hidden_states(inputs)
        return [pad_sequence(states[view].split(sizes), True) for view, sizes in inputs["sizes"].items()]

    def _masks(self, position_ids: Tensor, branches: Tensor) -> Any:
        """Return the attention mask, `[R, 1, S, S]`, or one for each of several kinds of layer."""
        length = branches.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=branches.device).tril()
        keys, queries = branches.unsqueeze(1), branches.unsqueeze(2)
        full = causal & ((keys == _SHARED) | (keys == queries))
        sliding, window = full, getattr(self._config, "sliding_window", None)
        if window is not None:
            sliding = full & (position_ids.unsqueeze(2) - position_ids.unsqueeze(1) < window)
        if getattr(self._config, "layer_types", None):
            return {"full_attention": self._mask(full), "sliding_attention": self._mask(sliding)}
        return self._mask(sliding)

    def _mask(self, visible: Tensor) -> Tensor:
        """Return `visible`, `[R, S, S]`, as the model's attention takes it."""
        visible = visible.unsqueeze(1)
        if self._config._attn_implementation == "sdpa":
            return visible
        dtype = self.model.dtype
        return torch.zeros_like(visible, dtype=dtype).masked_fill(~visible, torch.finfo(dtype).min)

    @torch.no_grad()
    def _probe(self) -> None:
        """Find, with a few tokens, the head's scale and if prompts can be shared; raise ModelError for other heads."""
        kind, head = self.model.config.model_type, self.head()
        ids = [(17 + 29 * i) % len(head.weight) for i in range(12)]
        batch, columns = [ids[:6], ids[1:5]], [[tuple(ids[6:9]), tuple(ids[9:])], [tuple(ids[8:]), tuple(ids[2:4])]]
        training = self.training
        self.eval()
        try:
            self.shared = False
            try:
                separate = self.target_states(batch, columns)
            except (LookupError, ValueError, TypeError, RuntimeError, AttributeError) as error:  # of the model's code
                raise ModelError(f"a {kind!r} model cannot be a student: {first_line(error)}") from error
            # more tokens than in the row, to find a model that looks ahead
            output: Any = self.model(input_ids=torch.tensor([ids], device=self.model.device))
            logits, linear = output.logits[0, 5:8].float(), head.logits(separate[0][0]).float()
            if not _close(linear, logits):
                self._scale = float((logits * linear).sum() / linear.square().sum())
                if not _close(linear * self._scale, logits):
                    raise ModelError(f"a {kind!r} model cannot be a student: its head is not linear")
                separate = self.target_states(batch, columns)
            self.shared = True
            try:
                self.shared = all(map(_close, self.target_states(batch, columns), separate))
            except (LookupError, ValueError, TypeError, RuntimeError, AttributeError):  # of the model's own code
                self.shared = False
        finally:
            self.train(training)
        # windows counted by rows, not positions, are longer than the probe
        if any(getattr(self._config, name, None) for name in ("attention_types", "attention_chunk_size")):
            self.shared = False
        if not self.shared:
            log.warning("a %r model cannot share prompts: each view is a row of its own", kind)


def _close(a: Tensor, b: Tensor) -> bool:
    return bool(torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-3 * float(a.float().abs().max())))
