"""A Hugging Face Trainer for a Distiller: exact weights of every token, a log of every term, plain checkpoints."""

import json
import math
import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
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
from limbeck.objectives import Objective
from limbeck.objectives.fused import term_counts
from limbeck.training.batches import BucketSampler
from limbeck.training.best import EarlyStopping, best_evaluation
from limbeck.training.collator import MULTIPLE, Collator
from limbeck.training.dataset import TrainingSet
from limbeck.training.distiller import Distiller


class Trainer(transformers.Trainer):
    """Trains a Distiller; validation is whatever `validate` measures, by generation, on the student as it is.

    A step divides the sum of a term's losses by the count that is to be expected in a step,

        (the term's count over the whole training set) * G / N,   G = min(batch * accumulation * processes, N)

    of N examples, and not by the step's own count. So each target token (each example, of an alignment) has the same
    weight over an epoch, whatever shares its batch, and the steps' gradients average to that of the mean over the whole
    training set. Checkpoints hold the plain Hugging Face model and tokenizer, which load with `from_pretrained`.
    """

    def __init__(
        self,
        distiller: Distiller,
        args: TrainingArguments,
        training_set: TrainingSet,
        validate: Callable[[], dict[str, float]],
        log_file: Path,
        *,
        validation_set: TrainingSet | None = None,
        early_stopping: EarlyStopping | None = None,
    ) -> None:
        """Prepare a training.

        Args:
            distiller: is trained.
            args: Hugging Face's arguments, as `training_arguments` makes them.
            training_set: is trained on.
            validate: returns at least `accuracy`.
            log_file: gets one JSON line for every log entry.
            validation_set: has the loss that decides between equal accuracies, `eval_loss`; None: the later one wins.
            early_stopping: says when to stop; None: never before the last step.

        Raises:
            LimbeckError: incomplete batches are to be dropped, and there are no others.
        """
        if args.dataloader_drop_last and len(training_set) < args.train_batch_size:
            raise LimbeckError(
                f"training.dataloader_drop_last: {len(training_set)} rows make no batch of {args.train_batch_size}, so "
                "that nothing would be trained; leave it out, or lower per_device_train_batch_size"
            )
        self.training_set = training_set
        # matrix units like multiples of 8; a term that sees the padding shall see no more of it than need be
        self.multiple = 1 if distiller.objective.sees_padding else MULTIPLE
        super().__init__(
            model=distiller,
            args=args,
            data_collator=Collator(distiller.student.pad_id, self.multiple),  # type: ignore[arg-type]
            train_dataset=training_set,
            eval_dataset=[],  # validation does not go through a data loader
            processing_class=distiller.student.tokenizer,
            callbacks=[_LogFile(log_file)],
        )
        # every term is divided by a count of the whole step: transformers shall not divide by the accumulation again
        self.model_accepts_loss_kwargs = True
        # standard output is for results: no printed log entries, and on a terminal a bar that carries them
        self.remove_callback(PrinterCallback)
        if self.pop_callback(ProgressCallback) is not None:
            self.add_callback(_Progress())
        self.distiller = distiller
        self.validate = validate
        self.validation_set = validation_set
        self.early_stopping = early_stopping or EarlyStopping()
        self._expected = _expected_counts(distiller.objective, training_set, args)
        # since the last log entry: the terms' sums and counts, and their shares of the gradient
        self._sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=args.device))
        self._counts: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.int64, device=args.device))
        self._shares: dict[str, Tensor] = {}

    def fit(self) -> None:
        """Train, from the newest whole checkpoint if there is one, and end with the best weights in the student."""
        checkpoint = latest_checkpoint(Path(str(self.args.output_dir)))
        if checkpoint is None:
            self.train()
            return
        state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        if state.global_step < state.max_steps and not self.early_stopping.due(state.log_history):
            self.train(resume_from_checkpoint=str(checkpoint))
            return
        self.state = state  # killed after its last step: transformers would take another
        self._load_from_checkpoint(str(checkpoint))
        if self.state.best_global_step is not None:
            self._load_best_model()

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.train_sampling_strategy == "random":
            return super()._get_train_sampler(train_dataset)
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return BucketSampler(self.training_set.lengths(), self._train_batch_size, MULTIPLE, seed)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """Return what each term's sum is divided by, and add the batches' own counts to the log's."""
        for batch in batch_samples:
            for name, count in term_counts(self.distiller.objective, batch["labels"]).items():
                self._counts[name] += count.to(device, non_blocking=True)
        return self._expected

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        shares_due = not self._shares and self._logs_next()
        output = model(**inputs, counts=num_items_in_batch, with_shares=shares_due)
        for name, value in output["terms"].items():
            self._sums[name] += value * num_items_in_batch[name]
        if shares_due:
            self._shares = output["shares"]
        # processes average their gradients, while every loss is a part of the whole step's
        loss = output["loss"] * self.accelerator.num_processes
        return (loss, output) if return_outputs else loss

    def _logs_next(self) -> bool:
        """Whether the step in progress ends in a log entry."""
        step = self.state.global_step + 1
        return self.args.logging_strategy == "steps" and step % self.state.logging_steps == 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add to a training entry each term's mean since the last entry (`term_*`) and its gradient share (`share_*`).

        A mean is over the tokens (the examples, of an alignment) that there were; a term without any has no entry.
        `loss` is the weighted sum of these means. What a step optimises has expected counts for divisors instead.
        """
        if "loss" in logs:
            if not math.isfinite(logs["loss"]):
                step = self.state.global_step
                raise LimbeckError(f"training diverged: the loss at step {step} is {logs['loss']}; lower learning_rate")
            sums, counts = (self.accelerator.reduce(dict(part), "sum") for part in (self._sums, self._counts))
            terms = {name: total.item() / counts[name].item() for name, total in sums.items() if counts[name] > 0}
            logs["loss"] = self.distiller.objective.weighted(terms)
            logs.update({f"term_{name}": value for name, value in terms.items()})
            logs.update({f"share_{name}": share.item() for name, share in self._shares.items()})
            self._sums.clear()
            self._counts.clear()
            self._shares = {}
        super().log(logs, start_time)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        measured = {**self.validate(), **self._validation_loss()}
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in measured.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        if self.early_stopping.due(self.state.log_history):
            self.control.should_training_stop = True
        return metrics

    @torch.no_grad()
    def _validation_loss(self) -> dict[str, float]:
        """Return the objective's value on the validation set, without dropout, its terms' means over the whole set."""
        data, objective = self.validation_set, self.distiller.objective
        if data is None:
            return {}
        self.distiller.eval()
        ones = {term.name: torch.ones((), device=self.args.device) for term in objective.terms}
        sums = dict.fromkeys(ones, 0.0)
        order, size = np.lexsort(data.widths().T), self.args.per_device_train_batch_size
        for start in range(0, len(order), size):
            rows = data.__getitems__(order[start : start + size].tolist())
            batch = self._prepare_inputs(self.data_collator(rows))  # type: ignore[arg-type]
            for name, value in self.distiller(**batch, counts=ones)["terms"].items():
                sums[name] += value.item()
        counts = {term.name: term.count(data.target_lengths()).item() for term in objective.terms}
        return {"loss": objective.weighted({name: sums[name] / count for name, count in counts.items() if count})}

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """Make the checkpoint to be written the best so far, if it is."""
        if self.args.metric_for_best_model is None:
            return False
        best = best_evaluation(self.state.log_history)
        self.state.best_metric, self.state.best_global_step = best.accuracy, best.step
        return best.step == self.state.global_step

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


def _expected_counts(objective: Objective, training_set: TrainingSet, args: TrainingArguments) -> dict[str, Tensor]:
    """Return the count of each term in a mean step: its part of the whole training set's."""
    step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    part = min(step / len(training_set), 1)
    lengths = training_set.target_lengths()
    return {term.name: (term.count(lengths) * part).float().to(args.device) for term in objective.terms}


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
