"""What is kept beside a trained student so that it can be asked again: its task and the views it learnt."""

from pathlib import Path
from typing import Literal

import torch

from limbeck.data import View
from limbeck.errors import LimbeckError
from limbeck.files import read_json, replacing, write_json
from limbeck.models.engines import EngineName
from limbeck.models.load import load
from limbeck.models.settings import StudentSettings
from limbeck.models.student import Student
from limbeck.settings import Settings
from limbeck.tasks import Answer

CARD = "limbeck.json"
Answers = Literal["generate", "choices"]
Definition = Literal["sequence", "normalised", "first-token", "choices"]
"""Of confidence; limbeck/metrics/confidence.py says what each is."""


class Card(Settings):
    """The contents of `limbeck.json` in a model's folder; the model loads without it, `limbeck predict` reads it."""

    task: str
    choices: tuple[str, ...] = ()
    answer: Answer = "text"
    objective: str
    answer_view: View
    rationale_view: View | None = None  # None: the student learnt no rationales
    max_source_length: int
    max_target_length: int
    engine: EngineName = "transformers"  # how the student was measured, and so how it is asked
    answers: Answers = "generate"
    confidence: Definition | None = None  # which is a prediction's `confidence`; None: the default


def save_student(student: Student, card: Card, folder: Path) -> None:
    """Write model, tokenizer and card to the new `folder`: it is there whole or not at all."""
    with replacing(folder) as temporary:
        student.model.save_pretrained(temporary)
        student.tokenizer.save_pretrained(temporary)
        write_json(temporary / CARD, card.model_dump(mode="json"))


def open_student(folder: Path) -> tuple[Student, Card]:
    """A trained student, on the GPU where there is one, and its card.

    Raises:
        LimbeckError: no such folder, no card in it, or a model that does not load.
    """
    if not (folder / CARD).is_file():
        raise LimbeckError(f"{folder}: no trained student here ({CARD} is missing); give a run's folder or its model/")
    card = Card.parse(read_json(folder / CARD), str(folder / CARD))
    lengths = {"max_source_length": card.max_source_length, "max_target_length": card.max_target_length}
    student = load(StudentSettings.parse({"name": str(folder), **lengths}, str(folder / CARD)), texts=())
    return student.to("cuda" if torch.cuda.is_available() else "cpu"), card
