"""The student of a recipe, and the card of a trained one. Loads no torch."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from limbeck.data.views import RATIONALE_MARK, SHARED_PROMPTS, Source, View
from limbeck.settings import Settings, from_name
from limbeck.tasks import Answer
from limbeck.tasks.settings import MAX_CHOICES

CARD = "limbeck.json"
EngineName = Literal["transformers", "ctranslate2", "ctranslate2-int8"]
# without the date Llama 3.2's template writes today's
CHAT_OPTIONS: dict[str, Any] = {"enable_thinking": False, "date_string": "26 Jul 2024"}
Answers = Literal["generate", "choices"]
Template = Literal["chat", "plain", "prefix"]
_SourceLength = Annotated[int, Field(ge=1, le=1_000_000, description="tokens of input; longer ones are cut")]
_TargetLength = Annotated[int, Field(ge=1, le=32_768, description="tokens of target, also while generating")]
Definition = Literal["sequence", "normalised", "first-token", "choices", "votes"]
"""A definition of confidence; see `limbeck/metrics/predict.py`."""


class ScratchSettings(Settings):
    """A T5 v1.1 of random weights, by fields of `transformers.T5Config`.

    Its byte-level BPE tokenizer is trained on the task's inputs, labels and rationales.
    """

    vocab_size: int = Field(1000, ge=300, le=100_000, description="at most; 259 are bytes and special tokens")
    d_model: int = Field(128, ge=1, le=4096)
    d_kv: int = Field(32, ge=1, le=256)
    d_ff: int = Field(256, ge=1, le=16_384)
    num_layers: int = Field(2, ge=1, le=48)
    num_decoder_layers: int | None = Field(None, ge=1, le=48)
    num_heads: int = Field(4, ge=1, le=64)
    dropout_rate: float = Field(0.0, ge=0, lt=1)


class LoraSettings(Settings):
    """A LoRA adapter (Hu et al. 2022), under peft's names."""

    r: int = Field(16, ge=1, le=4096, description="rank")
    lora_alpha: int = Field(32, ge=1, description="the adapter's output is multiplied by alpha / r")
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: str | Annotated[list[str], Field(max_length=1000)] = Field(
        "all-linear", description="names of modules, or all-linear"
    )
    use_rslora: bool = Field(False, description="multiply by alpha / sqrt(r) instead (Kalajdzievski 2023)")
    use_dora: bool = Field(False, description="train magnitudes apart from directions (Liu et al. 2024)")


class StudentSettings(Settings):
    """Exactly one of `name`, `encoder` with `decoder`, or `scratch`; a bare string is a `name`."""

    name: str | None = Field(None, description="a decoder or an encoder-decoder, on the Hub or in a folder")
    encoder: str | None = Field(None, description="an encoder checkpoint")
    decoder: str | None = Field(None, description="another of the same vocabulary, as decoder")
    scratch: ScratchSettings | None = None
    template: Template | None = Field(None, description="prompts of a decoder; none: chat where the tokenizer has one")
    system: str | None = Field(None, description="system text of the chat template")
    instructions: dict[View, str] = Field(default_factory=dict, description="a decoder's instructions by view")
    lora: LoraSettings | None = Field(None, description="train a low-rank adapter alone")
    load_in_4bit: bool = Field(False, description="quantise the weights under an adapter (bitsandbytes, CUDA)")
    max_source_length: _SourceLength = 1024
    max_target_length: _TargetLength = 256

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.encoder is None) != (self.decoder is None):
            raise ValueError("encoder and decoder go together")
        if sum(kind is not None for kind in (self.name, self.encoder, self.scratch)) != 1:
            raise ValueError("give exactly one of name, encoder with decoder, or scratch")
        for view in self.instructions.keys() & SHARED_PROMPTS.keys():
            raise ValueError(f"instructions: {view} has the prompt of {SHARED_PROMPTS[view]}: set that")
        if self.load_in_4bit and self.lora is None:
            raise ValueError("load_in_4bit: weights of 4 bits cannot be trained; set lora too")
        return self


class Prompts(Settings):
    """The prompts of a decoder-only student; see `limbeck/models/prompts.py`."""

    template: Template
    frame: tuple[str, str] | None = None  # around a question in the chat template, perhaps with a date
    system: str | None = None
    instructions: dict[View, str]
    segments: tuple[str, ...] = ()  # names of the input's segments

    def content(self, text: Source) -> str:
        """Return an input with its view's instruction, as a user's turn has it in a chat template."""
        names, segments = self.segments, text.segments
        if len(names) == len(segments):
            segments = tuple(f"{name}: {segment}" for name, segment in zip(names, segments, strict=True))
        body = "\n".join(segments) + text.choices
        if text.rationale:
            body += f"\n{RATIONALE_MARK} {text.rationale}"
        if text.view is None:
            return body
        instruction = self.instructions[text.view]
        if self.template == "prefix":
            return f"{instruction}{body}\n"
        if self.template == "plain":
            return f"{'' if names else 'Question: '}{body}\n{instruction}"
        return f"{body}\n\n{instruction}".strip()  # as templates do


NamedStudent = Annotated[StudentSettings, BeforeValidator(from_name, json_schema_input_type=str | StudentSettings)]


class AnswerSettings(Settings):
    """Settings of how a student answers once it is trained."""

    # validation too goes through the engine, each time converted: 1 s of one core for T5-v1.1-small
    engine: EngineName = Field("transformers", description="ctranslate2: T5 and many decoders, with limbeck[fast]")
    answers: Answers = Field("generate", description="choices: the answer is the likeliest of the example's choices")
    votes: int | None = Field(
        None, ge=0, le=1000, description="samples whose majority is the answer; none or 0, and in training: greedy"
    )
    temperature: float | None = Field(None, ge=0.01, le=10, validate_default=True, description="of the votes' samples")
    confidence: Definition | None = Field(
        None, description="which definition is reported; none: votes or choices where there are, else sequence"
    )

    @field_validator("votes", "temperature", "confidence")
    @classmethod
    def _check_votes(cls, value: Any, info: ValidationInfo) -> Any:
        votes, engine, answers = (info.data.get(name) for name in ("votes", "engine", "answers"))
        match info.field_name:
            case "votes" if value and (engine, answers) != ("transformers", "generate"):
                raise ValueError("samples need engine: transformers and answers: generate; votes: 0 turns them off")
            case "temperature" if votes and value is None:
                raise ValueError("votes need one; 0.7 is usual")
            case "temperature" if votes is None and value is not None:
                raise ValueError("it is of the votes' samples: set votes too")
            case "confidence" if value == ("choices" if votes else "votes"):
                raise ValueError(f"no answer has this confidence with votes: {votes}")
        return value


class Card(AnswerSettings):
    """The contents of `limbeck.json` in a model's folder, which `limbeck predict` reads: it answers as measured."""

    task: str
    choices: Annotated[tuple[str, ...], Field(max_length=MAX_CHOICES)] = ()
    answer: Answer = "text"
    objective: str
    answer_view: View
    rationale_view: View | None = None  # None: the student learned no rationales
    max_source_length: _SourceLength
    max_target_length: _TargetLength
    prompts: Prompts | None = None  # None: an encoder-decoder
    seed: int = 42  # of sampled answers
