"""Students from settings (pretrained, a pair of encoders, from scratch) and trained students in folders."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    EncoderDecoderModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.utils.peft_utils import find_adapter_config_file

from limbeck.data import View
from limbeck.errors import LimbeckError, ModelError, RecipeError, first_line
from limbeck.files import read_json, replacing, write_json
from limbeck.hub import cached_revision, may_be_on_hub, where_to_load
from limbeck.models.decoder import DecoderStudent, room_for_sources
from limbeck.models.encoder_decoder import EncoderDecoderStudent
from limbeck.models.families import PAIRABLE, family_of
from limbeck.models.lora import add_lora, check_lora, has_adapter, load_adapter, merged
from limbeck.models.prompts import PromptCodec, prompts_for
from limbeck.models.settings import CARD, Card, Prompts, ScratchSettings, StudentSettings
from limbeck.models.student import Student
from limbeck.models.tokenization import end_ids
from limbeck.schema import Example
from limbeck.tasks import Task

MAX_LAYERS = 1000
FULL_PRECISION: dict[str, Any] = {"dtype": torch.float32}  # mixed precision is the trainer's
_DECODERS_ONLY = ("template", "system", "instructions", "lora", "load_in_4bit")


def load(settings: StudentSettings, texts: Iterable[str], task: Task, *, frame: Sequence[str] | None = None) -> Student:
    """Load or make the student of `settings` for `task`; a `scratch` student's tokenizer is trained on `texts`.

    `frame` is the text around a question in the chat template as it was rendered before, perhaps with a date.
    Raises ModelError for a checkpoint that cannot be loaded, RecipeError for decoders' settings with another student.
    """
    model: PreTrainedModel
    if settings.scratch is not None:
        tokenizer = train_tokenizer(texts, settings.scratch.vocab_size)
        model = build_t5(settings.scratch, tokenizer)
    elif settings.name is not None:
        options = FULL_PRECISION
        if settings.load_in_4bit:
            if not torch.cuda.is_available() or find_spec("bitsandbytes") is None:
                raise ModelError(
                    "student.load_in_4bit needs an NVIDIA GPU and `pip install bitsandbytes`; leave it out"
                )
            options = {"quantization_config": BitsAndBytesConfig(load_in_4bit=True), "device_map": "cuda"}
        model, tokenizer = pretrained(settings.name, options)
    else:
        model, tokenizer = _pair(str(settings.encoder), str(settings.decoder))
    prompts = None
    if not model.config.is_encoder_decoder:
        prompts = prompts_for(settings, task, tokenizer)
        prompts = prompts.model_copy(update={"frame": tuple(frame)} if frame else {})
        if has_adapter(model):  # of the run that is continued
            if settings.lora is not None:
                check_lora(model, settings.lora)
            else:
                model = merged(model)
        elif settings.lora is not None:
            add_lora(model, settings.lora, cached_revision(str(settings.name)))
    elif names := [name for name in _DECODERS_ONLY if getattr(settings, name)]:
        raise RecipeError("for decoder-only students", field=f"student.{names[0]}")
    return _student(model, tokenizer, prompts, settings)


def prompt_texts(settings: StudentSettings, task: Task) -> Callable[[Example, View], tuple[str, str]]:
    """Return a function from example and view to a decoder's prompt and target; raises as `load`, loads no weights."""
    name, options = _base(str(settings.name), _where(str(settings.name)))
    config, tokenizer = (_call(loader.from_pretrained, name, **options) for loader in (AutoConfig, AutoTokenizer))
    config, longest = config.get_text_config(decoder=True), settings.max_target_length
    codec = PromptCodec(tokenizer, end_ids(config), config.vocab_size, prompts=prompts_for(settings, task, tokenizer))
    room = min(settings.max_source_length, room_for_sources(config, longest))
    return lambda example, view: codec.texts(example, view, room, longest)


def _student(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Prompts | None, lengths: StudentSettings | Card
) -> Student:
    source, target = lengths.max_source_length, lengths.max_target_length
    if prompts is None:
        return EncoderDecoderStudent(model, tokenizer, source, target)
    return DecoderStudent(model, tokenizer, prompts, max_source_length=source, max_target_length=target)


def pretrained(name: str, options: Mapping[str, Any]) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a checkpoint, or an adapter with its base, by `from_pretrained(**options)`, and its tokenizer.

    Raises ModelError where that fails, weights are missing or the model writes no text.
    """
    tokenizer_options = _where(name)
    base, where = _base(name, tokenizer_options)
    config = _call(AutoConfig.from_pretrained, base, **where)
    _check_depth(config, base)
    if config.model_type == "encoder-decoder":
        loader: Any = EncoderDecoderModel
    elif config.is_encoder_decoder:
        family_of(config)  # refuse before the weights are read
        loader = AutoModelForSeq2SeqLM
    elif config.model_type in PAIRABLE or type(config) not in AutoModelForCausalLM._model_mapping:
        advice = "a student's encoder goes into student.encoder"
        raise ModelError(f"{base}: a {config.model_type!r} model writes no text; {advice}")
    else:
        loader = AutoModelForCausalLM
    tokenizer = _call(AutoTokenizer.from_pretrained, name, **tokenizer_options)
    model, info = _call(loader.from_pretrained, base, output_loading_info=True, **options, **where)
    missing = info["missing_keys"] | {key for key, *_ in info["mismatched_keys"]}
    if getattr(config, "quantization_config", None):  # its packed weights have other names
        missing = set()
    if base != name:
        missing |= load_adapter(model, name, local_files_only=tokenizer_options.get("local_files_only", False))
    if missing:
        raise ModelError(f"{name}: {len(missing)} weights do not fit or are missing, {min(missing)} the first")
    return model, tokenizer


def _check_depth(config: Any, name: str) -> None:
    """Raise ModelError for more layers than any model has, which would be made before the weights are missed."""
    values = config.to_dict()
    parts = [values, *(value for value in values.values() if isinstance(value, dict))]
    counts = [count for part in parts for key, count in part.items() if str(key).endswith(("layer", "layers"))]
    if (most := max((count for count in counts if isinstance(count, int)), default=0)) > MAX_LAYERS:
        raise ModelError(f"{name}: config.json has {most} layers; at most {MAX_LAYERS} are loaded")


def _pair(encoder: str, decoder: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Make an encoder-decoder from two encoders; its cross-attention is new."""
    options: dict[str, Any] = {}
    tokenizers = []
    for side, name in (("encoder", encoder), ("decoder", decoder)):
        where = _where(name)
        config = _call(AutoConfig.from_pretrained, name, **where)
        if config.model_type not in PAIRABLE:
            raise ModelError(f"{name}: a {config.model_type!r} model; a pair is made of {', '.join(PAIRABLE)}")
        tokenizers.append(_call(AutoTokenizer.from_pretrained, name, **where))
        options |= {f"{side}_{option}": value for option, value in where.items()}
    tokenizer, second = tokenizers
    if tokenizer.get_vocab() != second.get_vocab():
        raise ModelError(f"{encoder} and {decoder} have different vocabularies; a pair needs the same")
    model = _call(EncoderDecoderModel.from_encoder_decoder_pretrained, encoder, decoder, **options).float()
    cls, sep, config = tokenizer.cls_token_id, tokenizer.sep_token_id, model.config
    config.decoder_start_token_id = tokenizer.bos_token_id if cls is None else cls
    config.eos_token_id = tokenizer.eos_token_id if sep is None else sep
    config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer


def _base(name: str, where: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the base of the adapter `name`, else `name` and `where`, with the options that load it.

    A base on the Hub has the revision that the adapter was trained on.
    """
    adapter = _call(find_adapter_config_file, name, local_files_only=where.get("local_files_only", False))
    if adapter is None:
        return name, where
    config = read_json(Path(adapter))
    base = str(config.get("base_model_name_or_path"))
    return base, _where(base, config.get("revision") if may_be_on_hub(base) else None)


def _where(name: str, revision: str | None = None) -> dict[str, Any]:
    options = {"trust_remote_code": False, **where_to_load(name, revision)}
    return options | ({"revision": revision} if revision else {})


def _call(load: Callable[..., Any], *names: str, **options: Any) -> Any:
    """Call a loader of transformers; raise ModelError of one line."""
    try:
        return load(*names, **options)
    except Exception as error:  # of many libraries
        raise ModelError(
            f"{', '.join(names)}: cannot be loaded: {first_line(error)}; give a name on the Hub, or a folder of "
            "model and tokenizer"
        ) from None


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE tokenizer that never merges digits with other text.

    A small student learns to copy a frequent number, one token, far sooner than its digits.
    """
    tokenizer, names = Tokenizer(models.BPE()), {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(names.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **names)


def build_t5(settings: ScratchSettings, tokenizer: PreTrainedTokenizerBase) -> T5ForConditionalGeneration:
    """Make a T5 v1.1 of random weights (torch's global seed) with a head of its own."""
    values: dict[str, Any] = settings.model_dump() | {
        "vocab_size": len(tokenizer),
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,  # for the output scaling alone: transformers 5 ties all the same
        "decoder_start_token_id": tokenizer.pad_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    model = T5ForConditionalGeneration(T5Config(**values))
    # untied by hand; T5's own initial deviation of 1 would give logits of deviation sqrt(D)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight) * settings.d_model**-0.5)
    model.config.tie_word_embeddings = False
    return model


def save_student(student: Student, card: Card, folder: Path) -> None:
    """Write model, tokenizer and card to the new `folder`, all or nothing."""
    with replacing(folder) as temporary:
        student.model.save_pretrained(temporary)
        student.tokenizer.save_pretrained(temporary)
        write_json(temporary / CARD, card.model_dump(mode="json"))


def save_merged(model: Path, folder: Path) -> None:
    """Write the trained student in `model`, with merged weights, to `folder`, unless that exists."""
    if folder.exists():
        return
    student, card = open_student(model)
    student.model = merged(student.model)
    save_student(student, card, folder)


def open_student(folder: Path) -> tuple[Student, Card]:
    """Load a trained student, on the GPU if there is one, and its card; raise ModelError where there is none."""
    if not (folder / CARD).is_file():
        raise ModelError(f"{folder}: no trained student here ({CARD} is missing); give a run's folder or its model/")
    card = Card.parse(read_json(folder / CARD), str(folder / CARD))
    model, tokenizer = pretrained(str(folder), FULL_PRECISION)
    try:
        student = _student(model, tokenizer, card.prompts, card)
    except LimbeckError:
        raise
    except Exception as error:  # whatever its files hold
        raise ModelError(f"{folder}: cannot be used: {first_line(error)}") from error
    return student.to("cuda" if torch.cuda.is_available() else "cpu"), card
