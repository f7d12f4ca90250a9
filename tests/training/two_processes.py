"""Two steps of a Trainer, for a process of several: `python -m tests.training.two_processes FOLDER BATCH ACCUMULATE`.

limbeck itself still refuses several processes; this builds transformers' arguments without asking it.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from transformers import TrainingArguments

from limbeck.objectives import objective
from limbeck.training.preprocessing import tokenize
from limbeck.training.trainer import Distiller, Trainer
from tests.training.small import EXAMPLES, scratch, weights_of


def two_steps(folder: Path, batch: int, accumulate: int) -> None:
    """Take two steps, and write the weights and the log entry."""
    student, method = scratch(), objective("mi")
    arguments = TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        seed=3,
        max_steps=2,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulate,
        learning_rate=0.1,
        optim="sgd",
        max_grad_norm=0,
        lr_scheduler_type="constant",
        logging_steps=2,
        save_strategy="no",
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
    )
    examples = [replace(example, rationale=None) if i % 3 == 0 else example for i, example in enumerate(EXAMPLES)]
    training_set = tokenize(examples, method.views, student)
    training = Trainer(
        Distiller(student, method), arguments, training_set, validate=dict, log_file=folder / "log.jsonl"
    )
    training.train()
    if arguments.process_index == 0:
        entry = training.state.log_history[0].items()
        torch.save(weights_of(student), folder / "weights.pt")
        entries = {name: value for name, value in entry if name.startswith(("term", "loss"))}
        (folder / "entry.json").write_text(json.dumps(entries))


if __name__ == "__main__":
    two_steps(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
