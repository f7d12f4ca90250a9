"""Students: any Hugging Face encoder-decoder, and how each yields its features."""

from limbeck.models.card import CARD, Answers, Card, Definition, open_student, save_student
from limbeck.models.engines import EngineName
from limbeck.models.families import VocabularyHead, wide_product
from limbeck.models.load import load
from limbeck.models.scoring import Answer, Scores
from limbeck.models.settings import NamedStudent, ScratchSettings, StudentSettings
from limbeck.models.student import Student

__all__ = [
    "CARD",
    "Answer",
    "Answers",
    "Card",
    "Definition",
    "EngineName",
    "NamedStudent",
    "Scores",
    "ScratchSettings",
    "Student",
    "StudentSettings",
    "VocabularyHead",
    "load",
    "open_student",
    "save_student",
    "wide_product",
]
