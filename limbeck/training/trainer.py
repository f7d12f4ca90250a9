"""A Hugging Face Trainer for a Distiller: exact means under accumulation, a log of every term, plain checkpoints."""

import json
import math
import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import (
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from limbeck.errors import LimbeckError
from limbeck.files import write_jsonl
from limbeck.objectives import term_counts
from limbeck.training.batches import BucketSampler
from limbeck.training.collator import Collator
from limbeck.training.dataset import TrainingSet
from limbeck.training.distiller import Distiller


class Trainer(transformers.Trainer):
    """Trains a Distiller; validation is whatever `validate` measures, by generation, on the student as it is.

    Checkpoints hold the plain Hugging Face model and tokenizer, which load with `from_pretrained`.
    """

    def __init__(
        self,
        distiller: Distiller,
        args: TrainingArguments,
        training_set: TrainingSet,
        validate: Callable[[], dict[str, float]],
        log_file: Path,
    ) -> None:
        """`validate` returns at least `accuracy`; `log_file` gets one JSON line for every log entry."""
        self.training_set = training_set
        # matrix units like multiples of 8; a term that sees the padding shall see no more of it than need be
        self.multiple = 1 if distiller.objective.sees_padding else 8
        super().__init__(
            model=distiller,
            args=args,
            data_collator=Collator(distiller.student.pad_id, self.multiple),  # type: ignore[arg-type]
            train_dataset=training_set,
            eval_dataset=[],  # validation does not go through a data loader
            processing_class=distiller.student.tokenizer,
            callbacks=[_LogFile(log_file)],
        )
        # every term is divided by its count over the whole accumulated batch: transformers shall not divide again
        self.model_accepts_loss_kwargs = True
        # standard output is for results: no printed log entries, and on a terminal a bar that carries them
        self.remove_callback(PrinterCallback)
        if self.pop_callback(ProgressCallback) is not None:
            self.add_callback(_Progress())
        self.distiller = distiller
        self.validate = validate
        self._terms: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=args.device))
        self._shares: dict[str, Tensor] = {}
        self._steps = 0  # since the last log entry

    def fit(self) -> None:
        """Train, from the newest whole checkpoint if there is one, and end with the best weights in the student."""
        checkpoint = latest_checkpoint(Path(str(self.args.output_dir)))
        if checkpoint is None:
            self.train()
            return
        state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        if state.global_step < state.max_steps:
            self.train(resume_from_checkpoint=str(checkpoint))
            return
        self.state = state  # killed after its last step: transformers would take one more
        self._load_from_checkpoint(str(checkpoint))
        if self.state.best_global_step is not None:
            self._load_best_model()

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.distiller.objective.sees_padding:
            return super()._get_train_sampler(train_dataset)  # what shares a batch changes its value: left to chance
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return BucketSampler(self.training_set, self._train_batch_size, self.multiple, seed)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """Each term's count over the whole accumulated batch, on all processes."""
        self._steps += 1
        counts = [term_counts(self.distiller.objective, batch["labels"]) for batch in batch_samples]
        totals = torch.stack([torch.stack(list(count.values())) for count in counts]).sum(0)
        totals = self.accelerator.reduce(totals.to(device, non_blocking=True), "sum")
        return dict(zip(counts[0], totals.unbind(), strict=True))

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        shares_due = not self._shares and self._logs_next()
        output = model(**inputs, counts=num_items_in_batch, with_shares=shares_due)
        for name, value in output["terms"].items():
            self._terms[name] += value
        if shares_due:
            self._shares = output["shares"]
        # processes average their gradients, while every loss is a part of the whole batch's
        loss = output["loss"] * self.accelerator.num_processes
        return (loss, output) if return_outputs else loss

    def _logs_next(self) -> bool:
        """Whether the step in progress ends in a log entry."""
        step = self.state.global_step + 1
        return self.args.logging_strategy == "steps" and step % self.state.logging_steps == 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add to a training entry each term's mean since the last one (`term_*`) and its gradient share (`share_*`)."""
        if "loss" in logs:
            if not math.isfinite(logs["loss"]):
                step = self.state.global_step
                raise LimbeckError(f"training diverged: the loss at step {step} is {logs['loss']}; lower learning_rate")
            terms = self.accelerator.reduce(dict(self._terms), "sum")
            logs.update({f"term_{name}": total.item() / self._steps for name, total in terms.items()})
            logs.update({f"share_{name}": share.item() for name, share in self._shares.items()})
            self._terms.clear()
            self._shares = {}
            self._steps = 0
        super().log(logs, start_time)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self.validate().items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = output_dir or str(self.args.output_dir)
        if state_dict is not None:  # a sharded model's, gathered under the Distiller's names
            state_dict = {name.removeprefix("student.model."): value for name, value in state_dict.items()}
        if self.args.should_save:
            self.distiller.student.model.save_pretrained(folder, state_dict=state_dict)
            self.distiller.student.tokenizer.save_pretrained(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model or self.distiller.student.model)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Nothing to warn of: what a checkpoint lacks are tied weights, which are loaded under their other name."""

    def _load_best_model(self) -> None:
        # by its step, not by the path in the state: the run's folder may have been moved
        self._load_from_checkpoint(str(Path(str(self.args.output_dir)) / f"checkpoint-{self.state.best_global_step}"))


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint below `folder`."""
    steps = {path: step for path in folder.glob("checkpoint-*") if (step := _step(path)) is not None}
    return max(steps, key=steps.__getitem__, default=None)


def discard_partial_checkpoints(folder: Path) -> None:
    """Remove the checkpoints below `folder` that were not written to their end."""
    for path in folder.glob("checkpoint-*"):
        if _step(path) is None:
            shutil.rmtree(path, ignore_errors=True)


def _step(checkpoint: Path) -> int | None:
    """Return the step of a whole checkpoint: its state, which is written last, is there and reads as JSON."""
    try:
        return int(json.loads((checkpoint / "trainer_state.json").read_text())["global_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # the run ended while it wrote this one


class _Progress(ProgressCallback):
    """The bar with the newest loss and accuracy beside it; transformers' own prints every log entry."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[str, str] = {}

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any
    ) -> None:
        self.shown |= {name: f"{logs[name]:.4g}" for name in ("loss", "eval_accuracy") if name in logs}
        if self.training_bar is not None:
            self.training_bar.set_postfix(self.shown)


class _LogFile(TrainerCallback):
    """Writes every log entry as a JSON line; on resuming, what came after the checkpoint is written anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            write_jsonl(self.path, state.log_history)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            whole = self.path.stat().st_size
            try:
                with self.path.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(state.log_history[-1]) + "\n")
            except OSError:  # a full disk may take a part of the line
                os.truncate(self.path, whole)
                raise
