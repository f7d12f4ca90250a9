"""Training: token ids, batches and the Trainer. The modules that load torch are imported by name."""

from limbeck.training.settings import TrainingSettings

__all__ = ["TrainingSettings"]
