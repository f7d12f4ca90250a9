"""Greedy answers: the engines write the same tokens, and log-probabilities are those of the whole model in one pass."""

import re
from importlib.util import find_spec

import pytest
import torch

from limbeck.errors import LimbeckError, ModelError
from limbeck.models import generation
from limbeck.models.encoder_decoder import EncoderDecoderStudent
from limbeck.models.student import Student
from limbeck.models.tokenization import padded_inputs
from tests.helpers import builders
from tests.models.students import FAMILIES, T5S, random_student, randomise

SOURCES = [*builders.TEXTS, "", " ", "</s>", "<pad> <extra_id_0> \x00 🙂", "2 " * 90, "yes </s> no"]
needs_fast = pytest.mark.skipif(find_spec("ctranslate2") is None, reason="needs limbeck[fast]")
ENGINES = ["transformers", pytest.param("ctranslate2", marks=needs_fast)]


def ending_student(kind: str) -> tuple[Student, list[list[int]]]:
    """Return a student some of whose answers end soon, for its favourite token and the end have changed weights."""
    student = random_student(kind)
    batch, _ = student.source_ids(SOURCES)
    answers = student.engine("transformers")(batch, 12, None)
    favourite = torch.tensor([id for ids in answers for id in ids[1:]]).mode().values.item()
    weight, end = student.head().weight.data, student.model.config.eos_token_id
    weight[[end, favourite]] = weight[[favourite, end]]
    return student, batch


@needs_fast
@pytest.mark.parametrize("kind", T5S)
def test_ctranslate2_writes_the_tokens_of_transformers(kind):
    student, batch = ending_student(kind)
    size = student.model.config.vocab_size  # some ids are of no token of the tokenizer
    torch.manual_seed(1)
    batch += [torch.randint(size, (n,)).tolist() for n in (1, 2, 50)] + [list(range(size - 7, size))]
    converted, plain = student.engine("ctranslate2"), student.engine("transformers")
    for inputs, limit in ((batch, 24), (batch[:1], 24), (batch, 1)):
        assert converted(inputs, limit, None) == plain(inputs, limit, None)
    assert len({len(ids) for ids in plain(batch, 24, None)}) > 1


@needs_fast
@pytest.mark.parametrize("kind", ["t5-1.0", "scratch"])
def test_answers_are_the_same_for_both_engines_and_stop_at_words(kind):
    student = random_student(kind)
    student.max_source_length = student.max_target_length = 20  # some of the sources are cut
    texts = student.generate(SOURCES, batch_size=3)
    assert student.generate(SOURCES[::-1], batch_size=3, engine="ctranslate2") == texts[::-1]
    assert student.generate(SOURCES, batch_size=1) == texts
    assert student.generate([], batch_size=3, engine="ctranslate2") == []
    stop = next(match[0] for text in texts if (match := re.search("(?<=..)[!-~]{2}", text)))
    no_choices = [[]] * len(SOURCES)
    plain, converted = (
        [answer.text for answer in student.answer(SOURCES, no_choices, batch_size=3, stop=stop, engine=engine)]
        for engine in ("transformers", "ctranslate2")
    )
    assert converted == plain != texts
    for text, complete in zip(plain, texts, strict=True):
        assert complete.startswith(text)
        assert text == complete or stop in text


@needs_fast
def test_ctranslate2_has_the_weights_of_the_moment_and_leaves_them_alone():
    student = random_student("t5-1.1")
    before = student.head().weight.clone()
    batch, _ = student.source_ids(SOURCES)
    engine, int8 = student.engine("ctranslate2"), student.engine("ctranslate2-int8")
    answers = engine(batch, 12, None)
    assert all(0 <= id < student.model.config.vocab_size for ids in int8(batch, 12, None) for id in ids)
    assert torch.equal(student.head().weight, before)
    randomise(student)
    assert engine(batch, 12, None) == answers
    assert student.engine("ctranslate2")(batch, 12, None) != answers


@pytest.mark.parametrize("engine", ENGINES)
def test_an_answer_ends_at_the_first_of_several_end_tokens(engine):
    """Against the answers with the one end token, cut at the other."""
    student, batch = ending_student("t5-1.0")
    longer = student.engine(engine)(batch, 24, None)
    second = next(id for ids in longer for id in ids[3:] if id not in (1, *ids[:3]))
    student.model.config.eos_token_id = [second, student.model.config.eos_token_id]
    several = EncoderDecoderStudent(student.model, student.tokenizer, 1024, 24).eval()
    expected = [ids[: ids.index(second) + 1] if second in ids else ids for ids in longer]
    assert several.engine(engine)(batch, 24, None) == expected
    assert expected != longer
    answers = several.answer(SOURCES, [[]] * len(SOURCES), batch_size=3, engine=engine)
    assert [(answer.ids, len(answer.log_p)) for answer in answers] == [(ids, len(ids)) for ids in expected]
    assert {second, 1} <= {ids[-1] for ids in expected}


CHOICES = [["yes", "no", "maybe"], ["The answer is ( 84.0 / 2.0 )", "yes"], ["no"], [], ["entailment", "yes"] * 3]
TEXTS = [*builders.TEXTS, "yes", "How many points a round?"]


def naive(student: Student, text: str, target: tuple[int, ...]) -> tuple[list[float], float]:
    """Return the log-probabilities of a target's tokens by the whole model, and the highest at the first."""
    inputs = padded_inputs(student.source_ids([text])[0], 0)
    with torch.no_grad():
        log_p = student.model(**inputs, labels=torch.tensor([target])).logits[0].log_softmax(1)
    return [log_p[t, id].item() for t, id in enumerate(target)], log_p[0].max().item()


def targets(student: Student, choices: list[str]) -> list[tuple[int, ...]]:
    return [tuple(student.target_ids([choice])[0]) for choice in choices]


@pytest.mark.parametrize(("kind", "batch_size"), [*((kind, 2) for kind in FAMILIES), ("t5-1.1", 1), ("bart", 5)])
def test_an_answer_is_the_one_generated_and_its_scores_those_of_the_whole_model(kind, batch_size, monkeypatch):
    monkeypatch.setattr(generation, "_TOKENS", 3)  # a target's logits are not all made at once
    student = random_student(kind)
    student.max_target_length = 32
    texts = student.generate(TEXTS, batch_size=5)
    for choices in (CHOICES, CHOICES[::-1]):  # the second way the longest text has none
        student.train()
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
                assert computed == [pytest.approx(naive(student, text, target)[0], abs=1e-4)] * 2
    assert student.answer([], [], batch_size=2) == student.score([], [], batch_size=2) == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["t5-1.0", "scratch"])
def test_an_answer_that_is_a_choice_is_the_one_generated(kind, engine):
    """Choices made of the answers: complete, with more after it, cut short, and with an end token within."""
    student, _ = ending_student(kind)
    matches = 0
    for limit in (12, 2):
        student.max_target_length = limit
        texts = student.generate(SOURCES, batch_size=3)
        choices = [["", "no", f"{text} yes", text[:-1] + "\x01", f"{text}</s> no", text, "maybe"] for text in texts]
        choices = [[choice for choice in row if len(student.target_ids([choice])[0]) <= limit] for row in choices]
        choices[::3] = [[] for _ in choices[::3]]
        answers = student.answer(SOURCES, choices, batch_size=3, engine=engine)
        assert [answer.text for answer in answers] == texts
        for source, row, answer in zip(SOURCES, choices, answers, strict=True):
            assert len(answer.choices) == len(row)
            assert len(answer.ids) <= limit
            assert answer.log_p == pytest.approx(naive(student, source, answer.ids)[0], abs=2e-4)
            if answer.ids in targets(student, row):
                matches += 1
                assert answer.choices[targets(student, row).index(answer.ids)] == pytest.approx(answer.log_p)
    assert matches > 1


@pytest.mark.parametrize("kind", ["bart", "t5-1.0"])
def test_an_engine_that_cannot_run_a_student_is_refused(kind, monkeypatch):
    monkeypatch.setattr(generation, "find_spec", lambda _: None)  # as if CTranslate2 were not installed
    with pytest.raises(LimbeckError, match="ctranslate2"):
        random_student(kind).engine("ctranslate2")


def test_of_choices_too_long_to_write_none_is_scored():
    student, choices = random_student("bart"), [["yes", "no yes no yes no"], ["yes", "no"]]
    student.max_target_length = 4
    assert [len(answer.choices) for answer in student.answer(TEXTS[:2], choices, batch_size=2)] == [0, 2]
    assert [len(scores.answers) for scores in student.score(TEXTS[:2], choices, batch_size=2)] == [0, 2]


def test_a_batch_too_large_for_the_gpu_is_computed_in_halves():
    student = random_student("t5-1.0")
    expected, sizes = student.generate(TEXTS, batch_size=5), []

    def run_out(_model, _arguments, inputs):
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError

    student.model.encoder.register_forward_pre_hook(run_out, with_kwargs=True)
    assert student.generate(TEXTS, batch_size=5) == expected
    assert sizes == [5, 2, 2, 1]
    sizes.clear()
    student.model.encoder.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    with pytest.raises(ModelError):
        student.generate(TEXTS[:1], batch_size=5)
