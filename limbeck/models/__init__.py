"""Students and local teachers: Hugging Face models. The modules that load torch are imported by name."""

from typing import TYPE_CHECKING

from limbeck.llm.settings import SamplingSettings, TeacherSettings
from limbeck.models.settings import CARD, Answers, Card, Definition, EngineName, ScratchSettings, StudentSettings

if TYPE_CHECKING:
    from limbeck.models.teacher import LocalClient

__all__ = [
    "CARD",
    "Answers",
    "Card",
    "Definition",
    "EngineName",
    "ScratchSettings",
    "StudentSettings",
    "open_teacher",
]


def open_teacher(teacher: TeacherSettings, sampling: SamplingSettings) -> "LocalClient":
    """Load a teacher with `engine: local`; raises as `LocalClient`."""
    from limbeck.models.teacher import LocalClient  # torch takes seconds

    return LocalClient(teacher, sampling)
