"""Students: any Hugging Face encoder-decoder. The modules that load torch are imported by name."""

from limbeck.models.settings import (
    CARD,
    Answers,
    Card,
    Definition,
    EngineName,
    NamedStudent,
    ScratchSettings,
    StudentSettings,
)

__all__ = [
    "CARD",
    "Answers",
    "Card",
    "Definition",
    "EngineName",
    "NamedStudent",
    "ScratchSettings",
    "StudentSettings",
]
