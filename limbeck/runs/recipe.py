"""A recipe: everything that defines one run, read from YAML and changed from the command line."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from limbeck.data import DataSettings
from limbeck.metrics import EvaluationSettings
from limbeck.objectives import NamedObjective, ObjectiveSettings
from limbeck.settings import Settings
from limbeck.models import NamedStudent, StudentSettings
from limbeck.training import TrainingSettings, chosen


class Recipe(Settings):
    """One run, whole. Paths in it are relative to where limbeck is started."""

    data: DataSettings
    student: NamedStudent = StudentSettings(name="google/t5-v1_1-base")
    objective: NamedObjective = ObjectiveSettings()
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = EvaluationSettings()
    seed: int = Field(42, ge=0, lt=2**32, description="of weights, order and dropout; data.seed is apart")

    @model_validator(mode="after")
    def _rationales_learnt(self) -> Self:
        if self.evaluation.rationales and self.objective.build().rationale_view is None:
            raise ValueError(
                f"evaluation.rationales: a student trained with {self.objective.name} learns no rationales"
            )
        return self

    def resolved(self) -> dict[str, Any]:
        """The recipe as plain values, defaults filled in; `Recipe.parse` reads it back to the same run."""
        values = self.model_dump(mode="json", exclude_none=True)
        return {**values, "objective": self.objective.resolved(), "training": chosen(self.training)}

    @property
    def key(self) -> str:
        """Eight characters that stand for the resolved recipe."""
        return hashlib.sha256(json.dumps(self.resolved(), sort_keys=True).encode()).hexdigest()[:8]


def load_recipe(path: Path | str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe in the YAML file `path`, with `changes`. Raises LimbeckError as `Settings.load`."""
    return Recipe.load(Path(path), changes)
