"""Log-probabilities of answers are those of the whole model in one pass, and an answer is the one generated."""

import pytest
import torch

from limbeck.errors import LimbeckError
from limbeck.models import scoring
from limbeck.models.student import Student
from limbeck.models.tokenization import pad, padding_mask
from tests.helpers import builders
from tests.models.students import FAMILIES, random_student
from tests.models.test_generation import ENGINES, SOURCES, ending_student

CHOICES = [["yes", "no", "maybe"], ["The answer is ( 84.0 / 2.0 )", "yes"], ["no"], [], ["entailment", "yes"] * 3]
TEXTS = [*builders.TEXTS, "yes", "How many points a round?"]


def naive(student: Student, text: str, target: tuple[int, ...]) -> tuple[list[float], float]:
    """Return the log-probabilities of a target's tokens by the whole model, and the highest at the first."""
    ids = student.source_ids([text])[0]
    labels = torch.tensor([target])
    with torch.no_grad():
        logits = student.model(input_ids=pad(ids, 0), attention_mask=padding_mask(ids), labels=labels).logits[0]
    log_p = logits.log_softmax(1)
    return [log_p[t, id].item() for t, id in enumerate(target)], log_p[0].max().item()


def targets(student: Student, choices: list[str]) -> list[tuple[int, ...]]:
    return [tuple(student.target_ids([choice])[0][0]) for choice in choices]


@pytest.mark.parametrize(("kind", "batch_size"), [*((kind, 2) for kind in FAMILIES), ("t5-1.1", 1), ("bart", 5)])
def test_an_answer_is_the_one_generated_and_its_scores_those_of_the_whole_model(kind, batch_size, monkeypatch):
    monkeypatch.setattr(scoring, "_TOKENS", 3)  # a target's logits are not all made at once
    student = random_student(kind)
    student.max_target_length = 32
    texts = student.generate(TEXTS, batch_size=5)
    student.train()
    for choices in (CHOICES, CHOICES[::-1]):  # the second way the longest text has none
        answers = student.answer(TEXTS, choices, batch_size=batch_size)
        scores = student.score(TEXTS, choices, batch_size=batch_size)
        assert [answer.text for answer in answers] == texts
        assert student.training
        student.eval()
        for text, row, answer, score in zip(TEXTS, choices, answers, scores, strict=True):
            expected, top = naive(student, text, answer.ids)
            assert answer.log_p == pytest.approx(expected, abs=1e-4)
            assert [answer.top, score.top] == pytest.approx([top, top], abs=1e-4)
            for target, *computed in zip(targets(student, row), answer.choices, score.answers, strict=True):
                expected, _ = naive(student, text, target)
                assert computed == [pytest.approx(expected, abs=1e-4)] * 2
        student.train()
    assert student.answer([], [], batch_size=2) == student.score([], [], batch_size=2) == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["t5-1.0", "scratch"])
def test_an_answer_that_is_a_choice_is_the_one_generated(kind, engine):
    """Choices made of the answers: complete, with more after it, cut short, and with an end token within."""
    student, _ = ending_student(kind)
    ends, matches = set(), 0
    for limit in (12, 2):
        student.max_target_length = limit
        texts = student.generate(SOURCES, batch_size=3)
        choices = [["", "no", f"{text} yes", text[:-1] + "\x01", f"{text}</s> no", text, "maybe"] for text in texts]
        choices = [[choice for choice in row if not student.target_ids([choice])[1]] for row in choices]
        for rows in (choices, [row if i % 2 else [] for i, row in enumerate(choices)]):
            answers = student.answer(SOURCES, rows, batch_size=3, engine=engine)
            assert [answer.text for answer in answers] == texts
            for source, row, answer in zip(SOURCES, rows, answers, strict=True):
                assert len(answer.choices) == len(row)
                assert len(answer.ids) <= limit
                assert answer.log_p == pytest.approx(naive(student, source, answer.ids)[0], abs=2e-4)
                if answer.ids in targets(student, row):
                    matches += 1
                    assert answer.choices[targets(student, row).index(answer.ids)] == pytest.approx(answer.log_p)
        ends |= {answer.ids[-1] == student.model.config.eos_token_id for answer in answers}
    assert True in ends
    assert matches > 2


def test_of_choices_too_long_to_write_none_is_scored():
    student = random_student("bart")
    student.max_target_length = 4
    choices = [["yes", "no yes no yes no"], ["yes", "no"]]
    answers = student.answer(TEXTS[:2], choices, batch_size=2)
    assert [len(answer.choices) for answer in answers] == [0, 2]
    with pytest.raises(LimbeckError, match="the choice 'no yes no yes no' has more than 4 tokens"):
        student.score(TEXTS[:2], choices, batch_size=2)
