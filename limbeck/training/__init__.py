"""Training: batches, the Distiller, and the Trainer."""

from limbeck.training.collator import Collator
from limbeck.training.dataset import TrainingSet
from limbeck.training.distiller import Distiller
from limbeck.training.settings import TrainingSettings, chosen, early_stopping, training_arguments
from limbeck.training.tokenising import token_ids, tokenise
from limbeck.training.trainer import Trainer

__all__ = [
    "Collator",
    "Distiller",
    "Trainer",
    "TrainingSet",
    "TrainingSettings",
    "chosen",
    "early_stopping",
    "token_ids",
    "tokenise",
    "training_arguments",
]
