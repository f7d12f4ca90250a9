"""Training: batches, the Distiller, and the Trainer."""

from limbeck.training.best import EarlyStopping
from limbeck.training.collator import Collator
from limbeck.training.dataset import TrainingSet
from limbeck.training.distiller import Distiller
from limbeck.training.settings import TrainingSettings, chosen, training_arguments
from limbeck.training.tokenising import token_ids, tokenise
from limbeck.training.trainer import Trainer, discard_partial_checkpoints

__all__ = [
    "Collator",
    "Distiller",
    "EarlyStopping",
    "Trainer",
    "TrainingSet",
    "TrainingSettings",
    "chosen",
    "discard_partial_checkpoints",
    "token_ids",
    "tokenise",
    "training_arguments",
]
