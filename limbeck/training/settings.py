"""The training part of a recipe: Hugging Face's `TrainingArguments`, under their own names."""

import logging
import sys
from pathlib import Path
from typing import Any, Literal, get_type_hints

import torch
from pydantic import Field, create_model, field_validator, model_validator
from transformers import TrainingArguments

from limbeck.errors import LimbeckError
from limbeck.settings import Settings

log = logging.getLogger(__name__)

# Where limbeck's defaults differ: the paper's setup, and bounds that transformers does not check.
_OURS: dict[str, Any] = {
    "max_steps": Field(10_000, ge=-1, description="-1: as many as num_train_epochs makes"),
    "num_train_epochs": Field(3.0, gt=0, description="read where max_steps is -1"),
    "per_device_train_batch_size": Field(64, ge=1),
    "gradient_accumulation_steps": Field(1, ge=1),
    "learning_rate": Field(5e-5, ge=0),
    "logging_steps": Field(50, gt=0),
    "eval_strategy": Field("steps"),
    "eval_steps": Field(250, gt=0, description="validation accuracy, by generation, every so many steps"),
    "save_strategy": Field("steps"),
    "save_steps": Field(None, description="for a run without validation; where there is one, as eval_steps"),
    "save_total_limit": Field(2, ge=1, description="checkpoints kept: the best, the newest, and older ones"),
    "report_to": Field("none"),
}
# Those with transformers' default. What is in neither list limbeck decides itself, or it has no meaning for its loss.
_THEIRS = (
    *("lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "optim", "optim_args", "weight_decay"),
    *("adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "bf16", "fp16", "tf32", "use_cpu"),
    *("gradient_checkpointing", "gradient_checkpointing_kwargs", "torch_compile", "torch_compile_backend"),
    *("torch_compile_mode", "torch_empty_cache_steps", "eval_delay", "eval_on_start", "full_determinism", "data_seed"),
    *("dataloader_num_workers", "dataloader_prefetch_factor", "dataloader_persistent_workers", "dataloader_drop_last"),
    *("dataloader_pin_memory", "skip_memory_metrics"),
)
# Under the names of transformers' arguments and its EarlyStoppingCallback, but limbeck's own doing. They came later, so
# that a resolved recipe records them only where they are set: older recipes keep their keys.
_LATER: dict[str, Any] = {
    "train_sampling_strategy": Field(
        "group_by_length", description="or `random`: what shares a batch, alike for all objectives"
    ),
    "label_smoothing_factor": Field(0.0, ge=0, lt=1, description="in the token terms of the objective"),
    "early_stopping_patience": Field(None, ge=1, description="evaluations without a gain after which training stops"),
    "early_stopping_threshold": Field(0.0, ge=0, description="what validation accuracy has to gain to count"),
}
# What only an accelerator obeys, and on a processor what to do instead: None for what does not change the student.
_NOT_ON_CPU = {
    "fp16": "leave it out, or set bf16 and use_cpu",
    "tf32": "leave it out",
    "torch_empty_cache_steps": None,
    "dataloader_pin_memory": None,
}


def _fields() -> dict[str, Any]:
    hints = get_type_hints(TrainingArguments) | {
        "save_steps": float | None,
        "train_sampling_strategy": Literal["group_by_length", "random"],
        "early_stopping_patience": int | None,
        "early_stopping_threshold": float,
    }
    theirs = {name: TrainingArguments.__dataclass_fields__[name].default for name in _THEIRS}
    defaults = theirs | _OURS | _LATER
    return {name: (hints[name], default) for name, default in defaults.items()}


def _no_is_a_word(value: Any) -> Any:
    """YAML reads a bare `no` as False, transformers means the word."""
    return "no" if value is False else value


def _some_steps(value: int) -> int:
    if value == 0:
        raise ValueError("0 steps train nothing; -1: as many as num_train_epochs makes")
    return value


def _best_is_saved(settings: Any) -> Any:
    """Validation chooses among the checkpoints, so one has to be written wherever it measures."""
    why = "the best is saved only if both agree"
    if settings.eval_strategy in ("steps", "epoch") and settings.save_strategy != settings.eval_strategy:
        raise ValueError(f"save_strategy is {settings.save_strategy}, eval_strategy {settings.eval_strategy}: {why}")
    if settings.eval_strategy == "steps" and settings.save_steps not in (None, settings.eval_steps):
        raise ValueError(f"save_steps is {settings.save_steps:g}, eval_steps {settings.eval_steps:g}: {why}")
    return settings


def _stopping_is_possible(settings: Any) -> Any:
    """Refuse a stopping that would never come about."""
    if settings.early_stopping_patience is not None and settings.eval_strategy == "no":
        raise ValueError("early_stopping_patience counts evaluations, and eval_strategy is no")
    if settings.early_stopping_patience is None and "early_stopping_threshold" in settings.model_fields_set:
        raise ValueError("early_stopping_threshold has no meaning without early_stopping_patience")
    return settings


_CHECKS: dict[str, Any] = {
    "no_is_a_word": field_validator("eval_strategy", "save_strategy", mode="before")(_no_is_a_word),
    "some_steps": field_validator("max_steps")(_some_steps),
    "best_is_saved": model_validator(mode="after")(_best_is_saved),
    "stopping_is_possible": model_validator(mode="after")(_stopping_is_possible),
}
TrainingSettings: Any = create_model(
    "TrainingSettings",
    __base__=Settings,
    __doc__="The arguments of `transformers.TrainingArguments` that make sense here, under their own names.",
    __validators__=_CHECKS,
    **_fields(),
)


def chosen(settings: Any) -> dict[str, Any]:
    """The arguments that were given, and those whose default is limbeck's: what a resolved recipe records."""
    values = settings.model_dump(mode="json")
    if values["save_steps"] is None:
        values["save_steps"] = values["eval_steps"]
    return {name: value for name, value in values.items() if name in settings.model_fields_set or name in _OURS}


def training_arguments(settings: Any, output_dir: Path, seed: int) -> TrainingArguments:
    """The `TrainingArguments` of a run.

    Raises:
        LimbeckError: transformers refuses a value or a combination of values, or the device cannot obey one.
    """
    values = {name: value for name, value in chosen(settings).items() if name not in _LATER}
    _check_device(values)
    values.setdefault("dataloader_pin_memory", torch.cuda.is_available())
    # pinned batches need not be waited for
    values["accelerator_config"] = {"non_blocking": values["dataloader_pin_memory"]}
    evaluates = values["eval_strategy"] != "no"
    try:
        arguments = TrainingArguments(
            **values,
            train_sampling_strategy=settings.train_sampling_strategy,
            output_dir=str(output_dir),
            seed=seed,
            load_best_model_at_end=evaluates,
            metric_for_best_model="accuracy" if evaluates else None,
            greater_is_better=True if evaluates else None,
            remove_unused_columns=False,
            disable_tqdm=not sys.stderr.isatty(),
            logging_nan_inf_filter=False,  # a loss that is no number stops the training instead of being hidden
        )
    except (ValueError, TypeError, ArithmeticError, ImportError, RuntimeError) as error:
        raise LimbeckError(f"training: {str(error).strip()}") from None
    if arguments.world_size > 1:
        raise LimbeckError("several processes cannot share a run yet: start limbeck without a launcher, on one device")
    arguments._n_gpu = min(arguments.n_gpu, 1)  # or transformers would tear the views of a batch apart
    return arguments


def _check_device(values: dict[str, Any]) -> None:
    """Refuse what a processor would silently do otherwise; warn of what it has no use for."""
    if torch.accelerator.is_available() and not values.get("use_cpu"):
        return
    for name, instead in _NOT_ON_CPU.items():
        if values.get(name) and instead is None:
            log.warning("training.%s has no effect on a processor", name)
        elif values.get(name):
            raise LimbeckError(f"training.{name}: not on a processor, which would train in float32; {instead}")
    if values.get("bf16") and not values.get("use_cpu"):
        raise LimbeckError("training.bf16: there is no GPU here; leave it out, or set use_cpu too")
