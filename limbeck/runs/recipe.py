"""A recipe: everything that defines one run."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from limbeck.data.load import DataSettings
from limbeck.data.views import View
from limbeck.models.settings import AnswerSettings, NamedStudent, StudentSettings
from limbeck.objectives.methods import NamedObjective, ObjectiveSettings
from limbeck.settings import Settings
from limbeck.training.settings import TrainingSettings


class EvaluationSettings(AnswerSettings):
    """Settings of how a student is measured, in training and after."""

    batch_size: int = Field(64, ge=1, description="inputs at a time")
    rationales: bool = Field(False, description="also generate rationales for the test predictions")
    encoder: str | None = Field(None, description="of rationales' similarity; on the Hub, or a folder")
    out_of_domain: list[str] = Field(
        default_factory=list,
        max_length=100,
        description="tasks of the same source and labels; their test splits are measured too",
    )


class Recipe(Settings):
    """The settings of one run. Paths are relative to the working directory."""

    data: DataSettings
    student: NamedStudent = StudentSettings(name="google/t5-v1_1-base")
    objective: NamedObjective = ObjectiveSettings()
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = EvaluationSettings()
    seed: int = Field(42, ge=0, lt=2**32, description="Seed of weights, order and dropout; the data have data.seed.")

    @model_validator(mode="after")
    def _check_rationales(self) -> Self:
        if self.evaluation.rationales and self.objective.build().rationale_view is None:
            raise ValueError(f"evaluation.rationales: a student of {self.objective.name} learns no rationales")
        views = self.objective.build().views
        if self.data.rationales and set(views) == {View.PREDICT}:
            raise ValueError(f"data.rationales: {self.objective.name} reads no rationales")
        if self.data.mentor and View.CHOICES not in views:
            raise ValueError(f"data.mentor: {self.objective.name} reads no soft labels, only soft does")
        return self

    def resolved(self) -> dict[str, Any]:
        """Return plain values with defaults filled in, which `Recipe.parse` reads."""
        values = self.model_dump(mode="json", exclude_none=True)
        return {**values, "objective": self.objective.resolved(), "training": self.training.resolved()}

    @property
    def checkpoints(self) -> list[str]:
        """The student's pretrained models, names on the Hub or folders; none from scratch."""
        student = self.student
        return list(dict.fromkeys(filter(None, (student.name, student.encoder, student.decoder))))

    @property
    def draw_seed(self) -> int | None:
        """The seed of drawn rationales, if one of a question's is drawn an epoch."""
        return self.seed if self.data.rationales and self.data.rationales.per_question == "random" else None

    @property
    def key(self) -> str:
        """Eight hexadecimal digits of the resolved recipe's hash."""
        return hashlib.sha256(json.dumps(self.resolved(), sort_keys=True).encode()).hexdigest()[:8]


def load_recipe(path: Path | str, changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe in a YAML file with `changes` like `key=value`. Raises LimbeckError."""
    return Recipe.load(Path(path), changes)
