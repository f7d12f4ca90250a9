"""Students: Hugging Face models. The modules that load torch are imported by name."""

from limbeck.models.settings import CARD, Answers, Card, Definition, EngineName, ScratchSettings, StudentSettings

__all__ = ["CARD", "Answers", "Card", "Definition", "EngineName", "ScratchSettings", "StudentSettings"]
