"""A run's student for other engines: merged weights, tokenizer and card, checked against the run's own answers."""

import copy
import json
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any, Literal

from transformers import AutoModelForCausalLM

from limbeck.data import source, split_target
from limbeck.errors import FileError, ModelError, RecipeError
from limbeck.files import disk_errors, replacing, write_text
from limbeck.metrics.predictions import read_predictions
from limbeck.models import Card
from limbeck.models.generation import Engine, convert_to_ct2, open_ct2, search
from limbeck.models.loading import FULL_PRECISION, open_student, save_student
from limbeck.models.lora import merged
from limbeck.models.student import Student
from limbeck.runs.publication import Export, contents
from limbeck.runs.run import open_run
from limbeck.schema import Example
from limbeck.serving.gguf import adds_bos, write_gguf

Format = Literal["hf", "ctranslate2", "gguf"]
Precision = Literal["float32", "int8", "q8_0"]
_QUANTISED = {"ctranslate2": "int8", "gguf": "q8_0"}
_ROWS, _AGREEMENT = 50, 0.98  # of the test split, compared; the least share of equal answers without quantisation


def export(
    path: Path, folder: Path, to: Format, *, precision: Precision = "float32", license: str | None = None
) -> Export:
    """Write the student of the finished run in `path` to the new `folder`, whole or not at all.

    Up to 50 test questions are answered by the run's student and by the export; the card has the share of equal
    answers. Raises FileError where the folder exists, RecipeError for a precision that the format lacks, and ModelError
    where the format cannot hold the student, or without quantisation less than 0.98 of the answers are equal.
    """
    if precision not in ("float32", quantised := _QUANTISED.get(to)):
        raise RecipeError(f"{to} has float32{f' and {quantised}' if quantised else ' alone'}", field="--precision")
    run = open_run(path)
    if folder.exists() or folder.is_symlink():
        raise FileError("already there; give another --output", path=folder)
    rows = read_predictions(run.measured_predictions("test"))[:_ROWS]
    student, card = open_student(run.model)
    sources = [source(Example(row.id, (row.input,), ""), card.answer_view) for row in rows]

    def answers(student: Student, title: str) -> list[str]:
        texts = student.generate(sources, batch_size=run.recipe.evaluation.batch_size, title=title)
        return [split_target(text, card.answer_view)[0] for text in texts]

    expected = answers(student, "the run's answers")
    student.model = merged(student.model)
    model_type, parameters = student.model.config.model_type, student.model.num_parameters()
    with replacing(folder) as temporary, disk_errors(temporary.parent):
        if to == "hf":
            save_student(student, card, temporary)
            present = answers(open_student(temporary)[0], "the export's answers")
        else:
            temporary.mkdir()
            engine = {"ctranslate2": _write_ct2, "gguf": _write_gguf}[to](student, card, temporary, precision)
            student.use_engine(engine)
            present = answers(student, "the export's answers")
        agreement = sum(map(eq, present, expected)) / len(rows)
        if precision == "float32" and agreement < _AGREEMENT:
            reason = f"{agreement:.1%} of {len(rows)} answers are the run's; it is not written below {_AGREEMENT:.0%}"
            raise ModelError(f"the export to {to} errs: {reason}", path=folder)
        ends = tuple(student.tokenizer.convert_ids_to_tokens(list(student.codec.ends)))
        exported = Export(
            format=to,
            precision=precision,
            model_type=model_type,
            parameters=parameters,
            ends=ends,
            rows=len(rows),
            agreement=agreement,
        )
        files = contents(path, None, license, merged=temporary, export=exported)
        for name, content in files.items():
            if isinstance(content, bytes):
                (temporary / name).write_bytes(content)
    return exported


def _write_ct2(student: Student, _: Card, folder: Path, precision: str) -> Engine:
    """Write CTranslate2's files and the tokenizer's; return what answers by them."""
    student.check_window()
    student.tokenizer.save_pretrained(folder)
    convert_to_ct2(student.model, str(folder), student.tokenizer, precision)
    return open_ct2(str(folder), student.model, precision, student.tokenizer)


def _write_gguf(student: Student, card: Card, folder: Path, precision: str) -> Engine:
    """Write one GGUF file and Ollama's Modelfile; return what answers by the file, as transformers reads it."""
    write_gguf(student, folder / "model.gguf", quantised=precision == "q8_0")
    write_text(folder / "Modelfile", _modelfile(student, card))
    config = copy.deepcopy(student.model.config)  # transformers cannot read all of it from the file
    model: Any = AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", config=config, **FULL_PRECISION)
    model.to(student.model.device).generation_config = student.model.generation_config
    return partial(search, model)


def _modelfile(student: Student, card: Card) -> str:
    """Return Ollama's description of the model: the text around a question, greedy answers, lengths in tokens."""
    begin, end = (card.prompts and card.prompts.frame) or ("", "")
    if adds_bos(student):  # so does llama.cpp
        begin = begin.removeprefix(student.tokenizer.bos_token)
    # literals of Go, which are JSON's; no text can end the template or a literal
    begin, end = (json.dumps(text, ensure_ascii=False) for text in (begin, end))
    return f'''FROM ./model.gguf
TEMPLATE """{{{{ {begin} }}}}{{{{ .Prompt }}}}{{{{ {end} }}}}"""
PARAMETER temperature 0
PARAMETER num_predict {student.max_target_length}
PARAMETER num_ctx {student.max_source_length + student.max_target_length}
'''
