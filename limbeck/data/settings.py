"""Settings of a recipe's data: the task, the source of its rows, and the choice of training rows."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from limbeck.data.generated import GeneratedSource
from limbeck.data.rows import Columns
from limbeck.data.sources import ArchiveSource, FilesSource, HubSource
from limbeck.tasks.settings import TaskSettings

Source = Annotated[ArchiveSource | FilesSource | HubSource | GeneratedSource, Field(discriminator="kind")]


class DataSettings(TaskSettings):
    """A task's data and the choice of training rows; its seed is not a run's, so that runs share their splits."""

    source: Source | None = None  # None: the rows that `arithmetic` generates
    labels: Literal["gold", "teacher"] = "gold"
    keep: Literal["all", "correct"] = "all"  # correct: only rationales whose teacher label is right
    train_fraction: float = Field(default=1.0, gt=0, le=1)  # of the training rows; smaller ones lie inside larger ones
    test_fraction: float = Field(default=0.1, gt=0, lt=1)  # of the rows, for a source without test split
    valid_fraction: float = Field(default=0.1, gt=0, lt=1)  # of the training rows, for a source without validation
    # real data sets that were looked at have 0.0015 at most
    max_overlap: float = Field(0.01, ge=0, le=1, description="share of a split's questions that another may have too")
    limit: int | None = Field(default=None, ge=1)  # rows of each split at most, smaller ones inside larger; to try out
    seed: int = 0

    @property
    def carves_splits(self) -> bool:
        """True where a run holds out the splits that the source lacks."""
        return isinstance(self.source, FilesSource | HubSource)

    @property
    def columns(self) -> Columns:
        """The source's names of its columns, where it has any."""
        return self.source.columns if isinstance(self.source, FilesSource | HubSource) else {}

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.task != "arithmetic" and (self.source is None or isinstance(self.source, GeneratedSource)):
            raise ValueError(f"task {self.task!r} needs a source that reads data: say where its rows are")
        return self
