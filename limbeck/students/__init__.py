"""Students: any Hugging Face encoder-decoder, and how each yields its features."""

from limbeck.students.card import CARD, Answers, Card, Definition, open_student, save_student
from limbeck.students.engines import EngineName
from limbeck.students.families import VocabularyHead, wide_product
from limbeck.students.load import load
from limbeck.students.scoring import Answer, Scores
from limbeck.students.settings import NamedStudent, ScratchSettings, StudentSettings
from limbeck.students.student import Student

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
