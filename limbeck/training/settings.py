"""The training part of a recipe, which loads no torch."""

import os
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from limbeck.distributed import Parallelism, launcher_uses
from limbeck.settings import Scalar, Settings

# settings with a default of limbeck's, which a resolved recipe records
RECORDED = (
    *("max_steps", "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate"),
    *("logging_steps", "eval_strategy", "eval_steps", "save_strategy", "save_steps", "save_total_limit", "report_to"),
)


class TrainingSettings(Settings):
    """The arguments of `transformers.TrainingArguments` that have a meaning here."""

    max_steps: int = Field(10_000, ge=-1, description="-1: as many as num_train_epochs makes")
    num_train_epochs: float = Field(3.0, gt=0, description="read where max_steps is -1")
    per_device_train_batch_size: int = Field(64, ge=1)
    gradient_accumulation_steps: int = Field(1, ge=1)
    train_sampling_strategy: Literal["group_by_length", "random"] = "group_by_length"

    learning_rate: float = Field(5e-5, ge=0)
    lr_scheduler_type: str = "linear"
    lr_scheduler_kwargs: dict[str, Scalar] | str | None = None
    warmup_steps: float = 0
    optim: str = "adamw_torch_fused"
    optim_args: str | None = None
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    label_smoothing_factor: float = Field(0.0, ge=0, lt=1, description="in the token terms of the objective")

    logging_steps: float = Field(50, gt=0)
    eval_strategy: str = "steps"
    eval_steps: float | None = Field(250, gt=0, description="steps between validations, by generation")
    save_strategy: str = "steps"
    save_steps: float | None = Field(None, description="without validation, else as eval_steps")
    save_total_limit: int | None = Field(2, ge=1, description="checkpoints: the best, the newest, then older ones")
    early_stopping_patience: int | None = Field(None, ge=1, description="evaluations without a gain until the end")
    early_stopping_threshold: float = Field(0.0, ge=0, description="least gain of validation accuracy that counts")
    report_to: str | Annotated[list[str], Field(max_length=20)] | None = "none"

    bf16: bool = False
    fp16: bool = False
    tf32: bool | None = None
    use_cpu: bool = False
    full_determinism: bool = False
    data_seed: int | None = None
    gradient_checkpointing: bool | None = None
    gradient_checkpointing_kwargs: dict[str, Scalar] | str | None = None
    torch_compile: bool = False
    dataloader_num_workers: int = Field(0, ge=0, le=256)

    fsdp: bool | None = Field(None, description="true: shard weights and optimizer over processes (FSDP2)")
    fsdp_config: dict[str, Scalar | list[str]] | str | None = None
    deepspeed: dict[str, JsonValue] | str | None = Field(None, description="DeepSpeed's settings or their file")
    ddp_backend: str | None = None
    ddp_bucket_cap_mb: int | None = None
    ddp_broadcast_buffers: bool | None = None
    ddp_find_unused_parameters: bool | None = None
    ddp_static_graph: bool | None = None
    ddp_timeout: int = Field(1800, ge=1, description="seconds that a process waits for the others")

    @field_validator("eval_strategy", "save_strategy", mode="before")
    @classmethod
    def _no_is_a_word(cls, value: Any) -> Any:
        return "no" if value is False else value  # as YAML reads a bare `no`

    @model_validator(mode="after")
    def _values_fit_together(self) -> Self:
        if self.max_steps == 0:
            raise ValueError("max_steps is 0; -1 is as many as num_train_epochs makes")
        # validation chooses among checkpoints, so each needs one
        same_steps = self.eval_strategy != "steps" or self.save_steps in (None, self.eval_steps)
        if self.eval_strategy in ("steps", "epoch") and not (self.save_strategy == self.eval_strategy and same_steps):
            raise ValueError("save_strategy and save_steps have to agree with eval_strategy and eval_steps")
        if self.early_stopping_patience is not None and self.eval_strategy == "no":
            raise ValueError("early_stopping_patience counts evaluations, and eval_strategy is no")
        if self.early_stopping_patience is None and self.early_stopping_threshold:
            raise ValueError("early_stopping_threshold has no meaning without early_stopping_patience")
        return self

    @property
    def parallelism(self) -> Parallelism | None:
        """The division of a step among processes, set here or by a launcher; None in a process without a launcher."""
        if self.deepspeed or launcher_uses("DEEPSPEED"):
            return "DeepSpeed"
        if "LOCAL_RANK" not in os.environ:  # as accelerate decides
            return None
        return "FSDP" if self.fsdp or launcher_uses("FSDP") else "DDP"

    def resolved(self) -> dict[str, Any]:
        """Return the settings that were set, and `RECORDED`."""
        values = self.model_dump(mode="json", include={*RECORDED, *self.model_fields_set})
        if values["save_steps"] is None:
            values["save_steps"] = values["eval_steps"]
        return values
