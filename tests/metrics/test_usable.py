"""Usable information: known where a rationale tells a known number of bits, and nothing where it tells none."""

import math
import random

import pytest
import torch

from limbeck.errors import DataError
from limbeck.metrics.usable import pointwise, usable_information
from limbeck.models import StudentSettings
from limbeck.models.loading import load
from limbeck.models.settings import ScratchSettings
from limbeck.schema import Example
from limbeck.tasks import get
from tests.training.small import trainer

LABELS = ["red", "green", "blue", "black"]  # two bits


def rows(bits: int, count: int, seed: int, *, shuffled: bool = False) -> list[Example]:
    """Return questions that tell nothing of the label, with rationales that tell `bits` of its two bits."""
    draw = random.Random(seed)
    numbers = [draw.randrange(4) for _ in range(count)]
    told = draw.sample(numbers, count) if shuffled else numbers
    words = [f"{'low' if n < 2 else 'high'} {('even', 'odd')[n % 2] if bits == 2 else 'any'}" for n in told]
    return [
        Example(f"{seed}-{i}", (f"box {draw.randrange(100)} {draw.randrange(100)}",), LABELS[n], word)
        for i, (n, word) in enumerate(zip(numbers, words, strict=True))
    ]


def student_of(examples, tmp_path, steps=150):
    """Return a tiny student trained under mi-bound."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 400, "d_model": 32, "d_kv": 16, "d_ff": 64, "num_heads": 2, "num_layers": 1}
    texts = [text for row in examples for text in (*row.segments, row.label, row.rationale, "predict: explain: ")]
    student = load(StudentSettings(scratch=ScratchSettings(**sizes, dropout_rate=0.0)), texts, get("custom"))
    changes = {"max_steps": steps, "per_device_train_batch_size": 32, "learning_rate": 1e-2, "warmup_steps": 20}
    trainer(student, "mi-bound", tmp_path, examples=examples, eval_strategy="no", save_strategy="no", **changes).fit()
    return student


SLOW = pytest.mark.slow
SETS = [pytest.param(1, False, marks=SLOW), (2, False), pytest.param(2, True, marks=SLOW)]


@pytest.mark.parametrize(("bits", "shuffled"), SETS)
def test_a_rationale_that_tells_so_many_bits_has_so_much_usable_information(bits, shuffled, tmp_path):
    student = student_of(rows(bits, 4000, 0, shuffled=shuffled), tmp_path)
    measured = usable_information(student, rows(bits, 1000, 1, shuffled=shuffled), batch_size=100)
    expected = 0.0 if shuffled else bits * math.log(2)
    assert measured.nats == pytest.approx(expected, rel=0.1, abs=0.05)
    assert measured.n == 1000
    if not shuffled:  # the same student, with rationales of other questions
        confused = usable_information(student, rows(bits, 1000, 1, shuffled=True), batch_size=100)
        assert confused.nats < 0


def test_it_is_the_difference_of_two_log_likelihoods(tmp_path):
    examples = rows(2, 40, 2)
    student = student_of(examples, tmp_path, 5)
    expected = []
    for row in examples[:7]:
        log_p = []
        for parts in ([f"predict: {row.input}", row.rationale], [f"predict: {row.input}"]):
            bare = student.tokenizer(parts, add_special_tokens=False).input_ids
            ids = [id for part in bare for id in (*part, student.codec.end)]
            labels = torch.tensor([student.target_ids([row.label])[0]])
            with torch.no_grad():
                loss = student.model(input_ids=torch.tensor([ids]), labels=labels).loss
            log_p.append(-loss.item() * labels.shape[1])
        expected.append(log_p[0] - log_p[1])
    assert pointwise(student, examples[:7], batch_size=3) == pytest.approx(expected, abs=1e-4)


def test_a_question_without_a_rationale_is_left_out_or_refused(tmp_path):
    student = student_of(rows(1, 40, 3), tmp_path, 5)
    bare = [Example("a", ("box 1 2",), "red"), *rows(1, 3, 4)]
    assert usable_information(student, bare, batch_size=2).n == 3
    with pytest.raises(DataError):
        pointwise(student, bare, batch_size=2)
    with pytest.raises(DataError):
        usable_information(student, bare[:2], batch_size=2)
