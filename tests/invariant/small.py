"""Small models and rows that are the same on every machine: no random number has a part in them."""

import math
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerFast

from tests.helpers.builders import V1_1, save, small_model
from tests.helpers.tokenizers import frame

COLOURS = {"leaf": "green", "grass": "green", "sky": "blue", "sea": "blue", "rose": "red", "blood": "red"}
PLACES = ("garden", "book", "song", "poem", "field")


def rows(split: str, count: int) -> list[dict[str, Any]]:
    """Return rows of a split; a third lacks rationales, some labels and some of the teacher's labels are wrong."""
    wrong_colours = {"red": "green", "green": "blue", "blue": "red"}
    table = []
    for number in range(count):
        item, setting = list(COLOURS)[number % 6], PLACES[(number + len(split)) % 5]
        colour = COLOURS[item]
        wrong = wrong_colours[colour]
        row = {
            "id": f"{split}-{number}",
            "input": f"What colour has the {item} in the {setting} ?" + " Think well ." * (number % 4 == 1),
            "label": wrong if split == "test" and number % 7 == 3 else colour,
            "teacher_label": wrong if number % 5 == 2 else colour,
        }
        if number % 3 != 1:
            row["rationale"] = f"The {item} is of the {setting} ." + f" Each {item} is {colour} ." * (1 + number % 2)
        if split == "train" and number % 4:
            row["wrong_rationales"] = [f"Each {item} is {wrong} .", f"The {setting} is {wrong} ."][: number % 4]
            row["votes"] = {colour: number % 4, wrong: 1}
            row["reverse"] = {
                "question": f"What is {colour} in the {setting} ?",
                "rationale": f"Each {item} is {colour} .",
            }
        table.append(row)
    return table


def graded_answers(shift: float, count: int = 120) -> list[dict[str, Any]]:
    """Return rows with a label, a prediction and a confidence that is too high for its accuracy."""
    table = []
    for number in range(count):
        confidence = round(0.5 + 0.49 * math.sin(1.7 * number + shift) ** 2, 6)
        prediction = "yes" if (math.sin(2.3 * number + shift) + 1) / 2 < confidence - 0.1 else "no"
        table.append({"id": str(number), "label": "yes", "prediction": prediction, "confidence": confidence})
    return table


def _tokenizer(start: str | None, end: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of whole words that ends a text with `end` and may begin it with `start`."""
    texts = [value for row in rows("train", 30) for value in row.values() if isinstance(value, str)]
    frames = ["predict: explain: Question: Answer: Rationale: label: rationale: yes no"]
    words = sorted({word for text in [*texts, *frames] for word in text.split()})
    special = [name for name in ("<pad>", end, "<unk>", start) if name]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*special, *words])}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return frame(tokenizer, start, end)


@torch.no_grad()
def _save(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, scale: float) -> Path:
    """Save a model whose matrices are waves in place of random numbers."""
    for number, parameter in enumerate(model.parameters()):
        if parameter.dim() == 2:
            wave = torch.arange(parameter.numel(), dtype=torch.float64)
            wave = torch.sin(wave * wave * 0.37 + wave * 1.3 + number)
            parameter.copy_((scale * wave).float().reshape(parameter.shape))
    return save(folder, model, tokenizer)


def student(kind: str, folder: Path) -> Path | dict[str, Path]:
    """Save the student `t5`, `bart` or `encoder-pair` below `folder`, and return what a recipe names it by."""
    if kind == "encoder-pair":
        tokenizer = _tokenizer("[CLS]", "[SEP]")
        changes = {"pad_token_id": 0, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        model, scales = small_model("bert", tokenizer, AutoModel, **changes), {"encoder": 0.2, "decoder": 0.3}
        return {side: _save(folder / side, model, tokenizer, scale) for side, scale in scales.items()}
    tokenizer = _tokenizer("<s>" if kind == "bart" else None, "</s>")
    if kind == "t5":
        model = small_model("t5", tokenizer, dropout_rate=0.0, **V1_1)
    else:
        ids = {"bos_token_id": 3, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 1}
        model = small_model("bart", tokenizer, dropout=0.0, max_position_embeddings=64, forced_eos_token_id=1, **ids)
    return _save(folder / kind, model, tokenizer, 0.3)
