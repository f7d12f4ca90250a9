"""Encoder-decoders as students.

Legend: B batch, S source tokens, T target tokens, D hidden size.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from limbeck.data import Source, View
from limbeck.models.families import VocabularyHead, family_of, fuse_gelu, positions
from limbeck.models.generation import Target
from limbeck.models.student import Student
from limbeck.models.tokenization import (
    IGNORE,
    MULTIPLE,
    Codec,
    ExampleIds,
    Ids,
    end_ids,
    pad,
    padded_inputs,
    token_columns,
    with_padding,
)


class SegmentCodec(Codec):
    """Token ids of sources, framed as by the tokenizer, with a separator between segments."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, config: Any, vocabulary: int) -> None:
        separators = [tokenizer.eos_token_id, tokenizer.sep_token_id]
        ends = sorted(end_ids(config), key=lambda end: end not in separators)  # the tokenizer's first
        super().__init__(tokenizer, ends, vocabulary)
        self._separator_id: int = next((id for id in separators if id is not None), self.end)
        self._separator = str(tokenizer.convert_ids_to_tokens(self._separator_id))
        if tokenizer.unk_token_id == self._separator_id:
            self._unknown = None
        # the decoder is fed its start token (BERT's [CLS]) anyway
        starts = self._before[:1] == [config.decoder_start_token_id]
        self._begin = self._before[1:] if starts else self._before

    def sources(self, sources: Sequence[Source]) -> list[Ids]:
        return [[*self._before, *row, *self._after] for row in self._rows([source.parts for source in sources])]

    def _targets(self, texts: Sequence[str]) -> list[Ids]:
        return [[*self._begin, *row] for row in self._rows([[text] for text in texts])]

    def _clipped(self, row: Ids, limit: int) -> Ids:
        return [*row[: limit - len(self._after)], *self._after][:limit]

    def _rows(self, texts: Sequence[Sequence[str]]) -> list[Ids]:
        """Return the ids of texts, given by segments, without a frame."""
        joined = [self._separator.join(segments) for segments in texts]
        rows = self._ids(joined)
        for number, (row, text, segments) in enumerate(zip(rows, joined, texts, strict=True)):
            if self._spells_special(row, text, len(segments) - 1):
                rows[number] = [id for segment in segments for id in (self._separator_id, *self._plain(segment))][1:]
        return rows


@dataclass(frozen=True)
class SourceCollator:
    """Pads examples, given as ids by view, into a batch of int64 tensors for `Student.hidden_states`.

    A view reads only the b rows with a target in it (without any the first: some models refuse an empty batch).
    Their sources are one encoder batch, view after view: `input_ids` and `attention_mask`, `[sum of b, S]`. By view
    `targets` has target ids `[b, T]`, IGNORE on padding, and `places` the index among b * T of each of the `labels`.
    """

    pad_id: int
    reads_padding: bool = False

    def __call__(self, examples: Sequence[ExampleIds]) -> dict[str, Any]:
        multiple = 1 if self.reads_padding else MULTIPLE
        examples = with_padding(examples) if self.reads_padding else examples
        shown = {view: [ids for row in examples for ids in row[view]] for view in examples[0]}
        rows = {view: [row for row in ids if len(row.target)] or ids[:1] for view, ids in shown.items()}
        targets = {view: pad([ids.target for ids in row], IGNORE, multiple) for view, row in rows.items()}
        masks = {view: pad([[1] * len(ids.target) for ids in row], 0, multiple).bool() for view, row in rows.items()}
        sources = [ids.source for row in rows.values() for ids in row]
        return {
            **padded_inputs(sources, self.pad_id, multiple),
            "targets": targets,
            "places": {view: mask.flatten().nonzero().squeeze(1) for view, mask in masks.items()},
            "labels": {view: ids[masks[view]] for view, ids in targets.items()},
            **token_columns(examples),
        }


class EncoderDecoderStudent(Student):
    """An encoder-decoder of a known family; raises as `family_of`."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        max_source_length: int,
        max_target_length: int,
    ) -> None:
        family = family_of(model.config)
        fuse_gelu(model)
        embeddings: Any = model.get_input_embeddings()
        codec = SegmentCodec(tokenizer, model.config, int(embeddings.num_embeddings))
        super().__init__(
            model,
            codec,
            GenerationConfig(
                decoder_start_token_id=model.config.decoder_start_token_id, pad_token_id=model.config.pad_token_id
            ),
            max_source_length=min(max_source_length, positions(model.config)),
            max_target_length=min(max_target_length, positions(getattr(model.config, "decoder", model.config))),
        )
        self.family = family

    def collator(self, reads_padding: bool = False) -> SourceCollator:
        return SourceCollator(self.pad_id, reads_padding)

    def head(self) -> VocabularyHead:
        return self.family.head(self.model)

    def hidden_states(self, batch: Mapping[str, Any]) -> dict[View, Tensor]:
        targets, mask = batch["targets"], batch["attention_mask"]
        sizes = [len(ids) for ids in targets.values()]
        memories = zip(self._encode(batch["input_ids"], mask).split(sizes), mask.split(sizes), strict=True)
        return {
            view: self._decode(ids, *memory).flatten(0, 1)[batch["places"][view]]
            for (view, ids), memory in zip(targets.items(), memories, strict=True)
        }

    def target_states(self, batch: Sequence[Ids], columns: Sequence[Sequence[Target]]) -> Iterable[Tensor]:
        device = self.model.device
        ids, mask = (tensor.to(device) for tensor in padded_inputs(batch, self.pad_id).values())
        memory = self._encode(ids, mask)
        config, cross_attention = self.model.config.get_text_config(decoder=True), DynamicCache()
        for targets in columns:
            # cross-attention's keys and values are computed once for all targets
            cache = EncoderDecoderCache(DynamicCache(config=config), cross_attention)
            yield self._decode(pad(targets, IGNORE).to(device), memory, mask, cache=cache)

    def _encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the encoder's states `[B, S, D]` of ids and mask `[B, S]`."""
        encoder: Any = self.model.get_encoder()
        return encoder(input_ids=input_ids, attention_mask=attention_mask)[0]

    def _decode(
        self, labels: Tensor, memory: Tensor, attention_mask: Tensor, *, cache: EncoderDecoderCache | None = None
    ) -> Tensor:
        """Return the head's input, `[B, T, D]`, under teacher forcing by target ids `[B, T]`."""
        # not shifted by the model: some families fail on a row of padding alone
        shifted = nn.functional.pad(labels[:, :-1], (1, 0), value=self.model.config.decoder_start_token_id)
        inputs = {
            "input_ids": shifted.masked_fill(shifted < 0, self.pad_id),
            "encoder_hidden_states": memory,
            "encoder_attention_mask": attention_mask,
            "past_key_values": cache,
            "use_cache": cache is not None,
        }
        return self.family.states(self.model, inputs)
