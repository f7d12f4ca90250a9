"""A distiller whose weights are shards in several processes (FSDP2, through accelerate)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin, PartialState
from torch import nn
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, StateDictType
from transformers import TrainingArguments

from limbeck.errors import RecipeError

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def prepare_sharding(accelerator: Accelerator, arguments: TrainingArguments) -> None:
    """Set up FSDP2, as the arguments or a launcher ask for it.

    Raises RecipeError for what cannot be trained so.
    """
    state = accelerator.state
    if state.distributed_type == DistributedType.MULTI_CPU:  # accelerate shards on GPUs alone
        state.fsdp_plugin = FullyShardedDataParallelPlugin(**(arguments.fsdp_plugin_args or {}))
        state.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    plugin = getattr(state, "fsdp_plugin", None)
    if plugin is None:
        raise RecipeError("a process alone on a CPU has nothing to shard; start several", field="training.fsdp")
    if plugin.fsdp_version != 2 or plugin.state_dict_type != StateDictType.FULL_STATE_DICT:
        advice = "accelerate launch: --fsdp_version 2 --fsdp_state_dict_type FULL_STATE_DICT"
        raise RecipeError(f"needs version 2 and FULL_STATE_DICT ({advice})", field="training.fsdp_config")
    if isinstance(plugin.cpu_offload, CPUOffloadPolicy):
        raise RecipeError("cpu_offload is not supported", field="training.fsdp_config")
    if arguments.save_strategy == "no":
        raise RecipeError("FSDP collects weights from a checkpoint: it cannot be no", field="training.save_strategy")
    plugin.cpu_ram_efficient_loading = False  # would untie the head; every process has loaded the weights
    if dtype := _DTYPES.get(arguments.mixed_precision):  # accelerate's own rounds gradients and the terms' counts
        plugin.mixed_precision_policy = MixedPrecisionPolicy(dtype, torch.float32, cast_forward_inputs=False)


def is_sharded(module: nn.Module) -> bool:
    """Return True once weights of the module are shards."""
    return any(isinstance(part, FSDPModule) for part in module.modules())


@contextmanager
def whole_weights(module: nn.Module, accelerator: Accelerator) -> Iterator[None]:
    """Hold all weights in every process, which may then call the layers without waiting for the others."""
    units: list[Any] = [part for part in module.modules() if isinstance(part, FSDPModule)]
    for unit in units:
        unit.set_reshard_after_forward(False, recurse=False)
        unit.unshard()
    yield
    for unit in units:
        is_root = unit is module  # FSDP2 never reshards it after its forward pass
        reshards = not is_root and accelerator.state.fsdp_plugin.reshard_after_forward
        unit.set_reshard_after_forward(reshards, recurse=False)
        unit.reshard()
