"""LoRA adapters (Hu et al. 2022) inside a plain Hugging Face model, by peft.

`save_pretrained` writes the adapter alone, with its base's name; `from_pretrained` loads both.
"""

import copy
from pathlib import Path
from typing import Any

from peft import LoraConfig, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file
from torch import nn

from limbeck.errors import ModelError, RecipeError, first_line
from limbeck.models.settings import LoraSettings

_WEIGHTS = "adapter_model.safetensors"


def add_lora(model: Any, settings: LoraSettings, revision: str | None) -> None:
    """Add a new adapter to `model`, whose other weights are frozen; `revision` is its base's.

    Raises ModelError for settings that peft refuses, such as `target_modules` that match none.
    """
    if Path(model.name_or_path).is_dir():  # a relative path would be taken for a name on the Hub elsewhere
        model.name_or_path = str(Path(model.name_or_path).resolve())
    config = LoraConfig(task_type="CAUSAL_LM", revision=revision, **settings.model_dump())
    try:
        model.add_adapter(config)
    except (ValueError, ImportError) as error:
        linear = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
        reason = f"student.lora: {first_line(error)}; the model's linear modules: {', '.join(sorted(linear))}"
        raise ModelError(reason) from None


def check_lora(model: Any, settings: LoraSettings) -> None:
    """Raise RecipeError where the loaded adapter differs from explicit `settings`."""
    (config,) = model.peft_config.values()
    for name in settings.model_fields_set - {"target_modules", "lora_dropout"}:
        if getattr(config, name) != getattr(settings, name):
            raise RecipeError(f"the adapter has {getattr(config, name)}: leave it out", field=f"student.lora.{name}")


def has_adapter(model: Any) -> bool:
    """Return True if `model` has an adapter."""
    return any(isinstance(module, BaseTunerLayer) for module in model.modules())


def load_adapter(model: Any, name: str, *, local_files_only: bool) -> set[str]:
    """Load an adapter, in a folder or on the Hub, into its base; return the names of weights that do not fit.

    Raises ModelError where it is no adapter of this base.
    """
    conversions = getattr(model, "_weight_conversions", None)
    try:
        info = model.load_adapter(name, is_trainable=True, local_files_only=local_files_only)
        model._weight_conversions = conversions  # or merged weights would be saved under peft's names
    except (OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise ModelError(f"{name}: not an adapter of {model.name_or_path}: {first_line(error)}") from None
    return set(info.missing_keys) | {key for key, *_ in info.mismatched_keys} if info else set()


def restore_adapter(model: Any, folder: Path) -> None:
    """Read the adapter's weights from the checkpoint `folder`."""
    set_peft_model_state_dict(model, load_file(folder / _WEIGHTS), adapter_name=model.active_adapters()[0])


def merged(model: Any) -> Any:
    """Return a copy of `model` with the adapter in its weights; `model` itself where it has none."""
    if not has_adapter(model):
        return model
    clone = copy.deepcopy(model)
    for name, module in list(clone.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(clone.get_submodule(parent), child, module.get_base_layer())
    clone._hf_peft_config_loaded = False
    del clone.peft_config
    return clone.requires_grad_(True)
