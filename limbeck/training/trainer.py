"""The trained module, and a Hugging Face Trainer for it.

The best checkpoint and early stopping depend only on the log of validations, which checkpoints hold: a resumed training
decides as an unbroken one.
"""

import logging
import math
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from accelerate.utils import purge_accelerate_environment, save_fsdp_optimizer
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.utils.data import DataLoader
from transformers import (
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import SCHEDULER_NAME
from transformers.trainer_utils import rotate_checkpoints

from limbeck.data import View
from limbeck.distributed import (
    gather,
    is_main_process,
    on_main_process,
    process_count,
    process_index,
)
from limbeck.errors import ModelError, RecipeError
from limbeck.files import remove, write_jsonl, write_manifest
from limbeck.models.lora import has_adapter, restore_adapter
from limbeck.models.student import Student
from limbeck.models.tokenization import MULTIPLE, ExampleIds
from limbeck.objectives import Objective
from limbeck.objectives.fused import Targets, gradient_shares, losses, term_counts
from limbeck.training.checkpoints import check_optimizer, checkpoint_model, newest_state, stops_early, validations
from limbeck.training.dataset import TrainingSet
from limbeck.training.sampler import BucketSampler, StepShape
from limbeck.training.settings import TrainingSettings
from limbeck.training.sharding import is_sharded, prepare_sharding, whole_weights

log = logging.getLogger(__name__)
_MODEL = "student.model."  # before the names of a Distiller's weights
# settings under transformers' names that limbeck applies itself
_APPLIED_HERE = {"label_smoothing_factor", "early_stopping_patience", "early_stopping_threshold", "save_total_limit"}


class Distiller(nn.Module):
    """Student and objective in one forward, where wrappers (compile) see all parameters."""

    def __init__(self, student: Student, objective: Objective) -> None:
        super().__init__()
        self.student = student
        self.objective = objective
        present = {type(module).__name__ for module in student.modules()}
        self._no_split_modules = sorted(present & set(student.model._no_split_modules or ()))  # FSDP's units

    def forward(
        self,
        *,
        labels: Mapping[View, Tensor],
        weights: Mapping[View, Tensor],
        rows: Mapping[View, Tensor],
        index: Mapping[View, Tensor],
        sizes: Mapping[View, Sequence[int]],
        counts: Mapping[str, Tensor] | None = None,
        with_shares: bool = False,
        **inputs: Any,
    ) -> dict[str, Any]:
        """Compute the loss of a batch of the student's collator, its terms divided by `counts`, else the batch's own.

        Returns `loss`, a scalar; `terms`, their unweighted values; `shares`, their shares of the gradient.
        """
        states, head = self.student.hidden_states(inputs), self.student.head()
        targets = {
            view: Targets(states[view], ids, weights[view], rows[view], index[view], sizes[view])
            for view, ids in labels.items()
        }
        counts = counts or term_counts(self.objective, labels, weights, index)
        loss, values = losses(self.objective, targets, head=head, counts=counts)
        shares = gradient_shares(self.objective, targets, head=head, counts=counts) if with_shares else {}
        return {"loss": loss, "terms": values, "shares": shares}

    def gradient_checkpointing_enable(self, **options: Any) -> None:
        model = self.student.model
        if has_adapter(model):  # checkpointed layers need an input with a gradient, which frozen embeddings lack
            model.enable_input_require_grads()
        model.gradient_checkpointing_enable(**options)


def training_arguments(settings: TrainingSettings, output_dir: Path, seed: int) -> TrainingArguments:
    """Return a run's arguments; raise RecipeError for what transformers or the device refuses, or a launcher adds."""
    values = {name: value for name, value in settings.resolved().items() if name not in _APPLIED_HERE}
    if settings.fp16 and (settings.use_cpu or not torch.accelerator.is_available()):  # transformers would ignore it
        raise RecipeError("a processor would train in float32; leave it out", field="training.fp16")
    values.setdefault("train_sampling_strategy", settings.train_sampling_strategy)
    if process_count() > 1 and not torch.accelerator.is_available():
        values["use_cpu"] = True  # or accelerate would leave each process alone
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"  # or all processes but one would have no weights
    evaluates = values["eval_strategy"] != "no"
    try:
        arguments = TrainingArguments(
            **values,
            output_dir=str(output_dir),
            seed=seed,
            load_best_model_at_end=evaluates,
            metric_for_best_model="accuracy" if evaluates else None,
            remove_unused_columns=False,
            dataloader_pin_memory=torch.cuda.is_available(),
            disable_tqdm=not sys.stderr.isatty(),
            logging_nan_inf_filter=False,  # a loss of nan stops the training
        )
    except (ValueError, TypeError, ArithmeticError, ImportError, RuntimeError) as error:
        raise RecipeError(str(error).strip(), field="training") from None
    if arguments.mixed_precision != "no" and not (settings.bf16 or settings.fp16):
        advice = "set bf16 or fp16, which the run keeps, or start with --mixed_precision no"
        raise RecipeError(f"the launcher asks for {arguments.mixed_precision}; {advice}", field="training")
    if arguments.deepspeed_plugin is not None:  # or DeepSpeed would ignore max_grad_norm
        arguments.deepspeed_plugin.deepspeed_config.setdefault("gradient_clipping", arguments.max_grad_norm)
    arguments._n_gpu = min(arguments.n_gpu, 1)  # or transformers would split batches
    return arguments


class Trainer(transformers.Trainer):
    """A trainer whose checkpoints hold the plain Hugging Face model and tokenizer.

    A step divides the sum of a term's losses by the count expected in it: with N examples

        (the term's count over the training set) * G / N,   G = min(batch * accumulation * processes, N)

    So each target token (or example, of an alignment) weighs the same over an epoch, whatever its batch or process.
    """

    def __init__(
        self,
        distiller: Distiller,
        args: TrainingArguments,
        training_set: TrainingSet,
        *,
        settings: TrainingSettings,
        validate: Callable[[], dict[str, float]],
        log_file: Path,
        validation_set: TrainingSet | None = None,
    ) -> None:
        """Take the `training_arguments` of `settings`; `validate` returns at least `accuracy`."""
        self.settings = settings
        super().__init__(
            model=distiller,
            args=args,
            data_collator=_Collator(distiller, training_set),
            train_dataset=training_set,
            eval_dataset=[],  # validation has no data loader
            processing_class=distiller.student.tokenizer,
        )
        # or transformers would divide by the accumulation, and counts are of a step
        self.model_accepts_loss_kwargs = True
        # standard output is for results
        self.remove_callback(PrinterCallback)
        if self.pop_callback(ProgressCallback) is not None:
            self.add_callback(_Progress())
        self.distiller, self.training_set = distiller, training_set
        self.validate, self.validation_set, self.log_file = validate, validation_set, log_file
        shape = StepShape(args.per_device_train_batch_size, args.gradient_accumulation_steps, process_count())
        self.sampler = BucketSampler(
            training_set.lengths,
            shape=shape,
            process=process_index(),
            multiple=MULTIPLE,
            seed=args.seed if args.data_seed is None else args.data_seed,
            by_length=args.train_sampling_strategy == "group_by_length",
        )
        # gradients are averaged over the processes
        share = min(shape.examples / len(training_set), 1) / shape.processes
        self._expected = self._counted(training_set, share)
        # by term, since the last log entry
        self._sums: dict[str, Any] = defaultdict(float)
        self._counts: dict[str, Any] = defaultdict(int)
        self._shares: dict[str, Tensor] = {}
        self._ceilings: dict[str, Any] = defaultdict(float)
        self.add_callback(_Epoch(training_set, self.sampler))

    def _build_accelerator_args(self, **kwargs: Any) -> dict[str, Any]:
        options = super()._build_accelerator_args(**kwargs)
        for handler in options["kwargs_handlers"]:  # of DDP: or gradients would be held twice
            handler.gradient_as_bucket_view = True
        options["dynamo_plugin"].dynamic = True  # batches differ in each size
        return options

    # or later trainings of this process would take this one's settings for the launcher's
    @purge_accelerate_environment  # type: ignore[untyped-decorator]
    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        self.is_fsdp_enabled = self.settings.parallelism == "FSDP"
        if self.is_fsdp_enabled:
            prepare_sharding(self.accelerator, self.args)
        if self.is_deepspeed_enabled and self.accelerator.state.deepspeed_plugin.zero_stage == 3:
            raise RecipeError("stage 3 hides the head's weights; use training.fsdp", field="training.deepspeed")

    def fit(self) -> None:
        """Train, from the newest whole checkpoint if any; leave the best weights, whole, in the student.

        Raises FileError for a checkpoint whose optimizer's state was saved by another kind of parallelism.
        """
        state = on_main_process(lambda: newest_state(Path(str(self.args.output_dir))))
        if state is None:
            self.train()
        elif state.global_step < state.max_steps and not stops_early(self.settings, state.log_history):
            checkpoint = self._checkpoint(state.global_step)
            on_main_process(lambda: check_optimizer(Path(checkpoint), self.settings.parallelism))
            self.train(resume_from_checkpoint=checkpoint)
        else:
            self.state = state  # killed after its last step: transformers would take another
            if not self.is_fsdp_enabled:
                self._load_from_checkpoint(self._checkpoint(state.best_global_step or state.global_step))
        if self.is_fsdp_enabled:  # its layers would go on waiting for those of other processes
            student = self.distiller.student
            whole = checkpoint_model(self._checkpoint(self.state.best_global_step or self.state.global_step))
            whole.generation_config = student.model.generation_config
            student.model = whole.to(self.args.device)  # type: ignore[arg-type]

    def get_train_dataloader(self) -> DataLoader[Any]:
        # not accelerate's, which would repeat examples to fill the last batch
        return DataLoader(
            self.training_set,
            batch_sampler=self.sampler,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """Return each term's divisor, and count for the log."""
        for batch in batch_samples:
            columns = (batch[name] for name in ("labels", "weights", "index"))
            counts = term_counts(self.distiller.objective, *columns)
            for name, count in counts.items():
                self._counts[name] += count
            for term in self.distiller.objective.across_examples:  # the bound of K examples is at most ln K
                candidates = self.accelerator.reduce(counts[term.name].to(device, torch.float32), "sum")
                self._ceilings[term.name] += counts[term.name] * candidates.log().clamp(min=0)
        return self._expected

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        logs_next = (self.state.global_step + 1) % self.state.logging_steps == 0
        output = model(**inputs, counts=num_items_in_batch, with_shares=logs_next and not self._shares)
        for name, value in output["terms"].items():
            self._sums[name] += value * num_items_in_batch[name]
        self._shares |= output["shares"]
        return (output["loss"], output) if return_outputs else output["loss"]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log each term's mean since the last entry, and as `loss` their weighted sum."""
        if "loss" in logs:
            if not math.isfinite(logs["loss"]):
                step = self.state.global_step
                raise ModelError(f"training diverged: the loss at step {step} is {logs['loss']}; lower learning_rate")
            sums, counts, ceilings = map(self._over_processes, (self._sums, self._counts, self._ceilings))
            terms = {name: total / n for name, total in sums.items() if (n := counts[name])}
            logs["loss"] = self.distiller.objective.weighted(terms)
            logs.update({f"term_{name}": value for name, value in terms.items()})
            shares = self._over_processes(self._shares)
            total_share = sum(shares.values()) or 1  # of each process's own, 0 of one without examples
            logs.update({f"share_{name}": share / total_share for name, share in shares.items()})
            for name, total in ceilings.items():
                if name in terms:
                    ceiling = total / counts[name]
                    logs |= {"infonce_bound": ceiling - terms[name], "infonce_ceiling": ceiling}
            for values in (self._sums, self._counts, self._shares, self._ceilings):
                values.clear()
        super().log(logs, start_time)
        if is_main_process():
            write_jsonl(self.log_file, self.state.log_history)

    def _over_processes(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Sum each value over the processes."""
        if not values:
            return {}
        column = torch.stack([value.to(self.args.device, torch.float32) for value in values.values()])
        return dict(zip(values, self.accelerator.reduce(column, "sum").tolist(), strict=True))

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        with whole_weights(self._root, self.accelerator):
            values = self.validate() | self._validation_loss()
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in values.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.control.should_training_stop |= stops_early(self.settings, self.state.log_history)
        return metrics

    @torch.no_grad()
    def _validation_loss(self) -> dict[str, float]:
        """Compute the objective without dropout, each term's mean over the validation set."""
        data, size = self.validation_set, self.args.per_device_train_batch_size
        if data is None:
            return {}
        self.distiller.eval()
        loss, counts = 0.0, self._counted(data, 1.0)
        order = np.lexsort(data.lengths.T).tolist()
        for start in range(0, len(order), size)[process_index() :: process_count()]:
            examples: Any = [data[i] for i in order[start : start + size]]
            loss += self.distiller(**self._prepare_inputs(self.data_collator(examples)), counts=counts)["loss"].item()
        return {"loss": sum(gather([loss]))}

    def _counted(self, data: TrainingSet, share: float) -> dict[str, Tensor]:
        counts = self.distiller.objective.counts(data.target_lengths)
        return {name: (count * share).float().to(self.args.device) for name, count in counts.items()}

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        if self.args.metric_for_best_model is None:
            return False
        best = max(validations(self.state.log_history))
        self.state.best_metric, self.state.best_global_step = best.accuracy, best.step
        return best.step == self.state.global_step

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save a checkpoint with a manifest, written last, and remove those above `save_total_limit` after that."""
        folder = Path(self._checkpoint(self.state.global_step))
        on_main_process(lambda: remove(folder))  # a damaged one
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if is_main_process():
            write_manifest(folder)
            limit, best = self.settings.save_total_limit, self.state.best_model_checkpoint
            rotate_checkpoints(str(folder.parent), limit, best, use_mtime=True)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if not self.args.should_save:
            return
        folder, model = output_dir or str(self.args.output_dir), self.distiller.student.model
        weights = state_dict and {name.removeprefix(_MODEL): value for name, value in state_dict.items()}
        model.save_pretrained(folder, state_dict=weights)
        self.distiller.student.tokenizer.save_pretrained(folder)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        # without the weights, which transformers would save again in another form
        save_fsdp_optimizer(
            self.accelerator.state.fsdp_plugin, self.accelerator, self.optimizer, self.model, output_dir
        )
        if self.args.should_save:
            scheduler: Any = self.lr_scheduler
            torch.save(scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    @property
    def _root(self) -> nn.Module:
        """The root of the shards: the compiled module, if it is compiled, else the distiller."""
        root: Any = self.model
        return root

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        student_model = self.distiller.student.model
        if is_sharded(self._root):
            weights = checkpoint_model(resume_from_checkpoint).state_dict() if is_main_process() else {}
            options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
            set_model_state_dict(student_model, weights, options=options)
        elif has_adapter(student_model):
            restore_adapter(student_model, Path(resume_from_checkpoint))
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model or student_model)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Warn of nothing: a checkpoint lacks only tied weights."""

    def _load_best_model(self) -> None:
        # not by the path in the state: the run's folder may have moved
        if not self.is_fsdp_enabled:
            self._load_from_checkpoint(self._checkpoint(self.state.best_global_step))

    def _checkpoint(self, step: int | None) -> str:
        return f"{self.args.output_dir}/checkpoint-{step}"


class _Collator:
    """The student's collator, which turns no examples, a process's share of a short step, into a row without weight."""

    def __init__(self, distiller: Distiller, training_set: TrainingSet) -> None:
        self._collate = distiller.student.collator(distiller.objective.reads_padding)
        self._training_set = training_set

    def __call__(self, examples: Sequence[ExampleIds]) -> dict[str, Any]:
        if examples:
            return self._collate(examples)
        batch = self._collate([self._training_set[0]])
        for view in batch["labels"]:
            batch["weights"][view].zero_()
            batch["index"][view].fill_(-1)
        return batch


class _Epoch(TrainerCallback):
    """A callback that tells the epoch to the training set, which draws rationales by it, and to the sampler."""

    def __init__(self, training_set: TrainingSet, sampler: BucketSampler) -> None:
        self._training_set, self._sampler = training_set, sampler

    def on_epoch_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self._training_set.epoch = self._sampler.epoch = int(state.epoch or 0)


class _Progress(ProgressCallback):
    """A bar with the newest loss and accuracy; transformers' own prints each entry."""

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any) -> None:
        newest = {name: value for entry in state.log_history for name, value in entry.items()}
        if self.training_bar is not None:
            self.training_bar.set_postfix({k: f"{newest[k]:.4g}" for k in ("loss", "eval_accuracy") if k in newest})
