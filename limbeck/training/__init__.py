"""Training: batches, the Distiller, and the Trainer."""

from limbeck.training.collator import Collator
from limbeck.training.dataset import TrainingSet
from limbeck.training.distiller import Distiller
from limbeck.training.settings import TrainingSettings, chosen, training_arguments
from limbeck.training.tokenising import tokenise
from limbeck.training.trainer import Trainer, discard_partial_checkpoints

__all__ = [
    "Collator",
    "Distiller",
    "Trainer",
    "TrainingSet",
    "TrainingSettings",
    "chosen",
    "discard_partial_checkpoints",
    "tokenise",
    "training_arguments",
]
