"""Answers: engines write the same tokens, samples have the model's distribution, log-probabilities are of one pass."""

import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from scipy.stats import chisquare

from limbeck.errors import LimbeckError, ModelError
from limbeck.models import generation
from limbeck.models.encoder_decoder import EncoderDecoderStudent
from limbeck.models.loading import load
from limbeck.models.settings import StudentSettings
from limbeck.models.student import Student
from limbeck.models.tokenization import padded_inputs
from limbeck.tasks import get
from tests.helpers import builders, decoders
from tests.models.students import FAMILIES, T5S, random_student, randomise

SOURCES = [*builders.TEXTS, "", " ", "</s>", "<pad> <extra_id_0> \x00 🙂", "2 " * 90, "yes </s> no"]
needs_fast = pytest.mark.skipif(find_spec("ctranslate2") is None, reason="needs limbeck[fast]")
ENGINES = ["transformers", pytest.param("ctranslate2", marks=needs_fast)]


def ids_of(student: Student, engine: str, batch: list[list[int]], limit: int) -> list[tuple[int, ...]]:
    return [ids for ids, _ in student.engine(engine)(batch, limit, None)]


def ending_student(kind: str) -> tuple[Student, list[list[int]]]:
    """Return a student some of whose answers end soon, for its favourite token and the end have changed weights."""
    student = random_student(kind)
    batch, _ = student.source_ids(SOURCES)
    answers = ids_of(student, "transformers", batch, 12)
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
        for (ids, log_p), expected in zip(converted(inputs, limit, None), plain(inputs, limit, None), strict=True):
            assert ids == expected[0]
            assert log_p == pytest.approx(expected[1], abs=1e-4)
    assert len({len(ids) for ids, _ in plain(batch, 24, None)}) > 1


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
    assert all(0 <= id < student.model.config.vocab_size for ids, _ in int8(batch, 12, None) for id in ids)
    assert torch.equal(student.head().weight, before)
    randomise(student)
    assert engine(batch, 12, None) == answers
    assert student.engine("ctranslate2")(batch, 12, None) != answers


@pytest.mark.parametrize("engine", ENGINES)
def test_an_answer_ends_at_the_first_of_several_end_tokens(engine):
    """Against the answers with the one end token, cut at the other."""
    student, batch = ending_student("t5-1.0")
    longer = ids_of(student, engine, batch, 24)
    second = next(id for ids in longer for id in ids[3:] if id not in (1, *ids[:3]))
    student.model.config.eos_token_id = [second, student.model.config.eos_token_id]
    several = EncoderDecoderStudent(student.model, student.tokenizer, 1024, 24).eval()
    expected = [ids[: ids.index(second) + 1] if second in ids else ids for ids in longer]
    assert ids_of(several, engine, batch, 24) == expected
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


def either_kind(kind: str, folder: Path) -> Student:
    """Return a random student, an encoder-decoder or a Llama."""
    if kind != "llama":
        return random_student(kind)
    student = load(StudentSettings(name=str(decoders.decoder(folder, kind))), [], get("custom")).eval()
    torch.manual_seed(1)
    randomise(student)
    return student


def next_log_p(student: Student, text: str, written: list[int], temperature: float = 1.0) -> torch.Tensor:
    """Return the log-probabilities of the token after those written, by the whole model, `[V]`."""
    (ids,) = student.source_ids([text])[0]
    inputs = {"input_ids": torch.tensor([[*ids, *written]])}
    if student.model.config.is_encoder_decoder:
        start = student.model.config.decoder_start_token_id
        inputs = {"input_ids": torch.tensor([ids]), "decoder_input_ids": torch.tensor([[start, *written]])}
    with torch.no_grad():
        return (student.model(**inputs).logits[0, -1] / temperature).log_softmax(0)


def chi_square(tokens: list[int], p_V: torch.Tensor) -> float:
    """Return the p-value of drawing these tokens, those expected less than five times together."""
    expected, counts = len(tokens) * p_V.double(), torch.bincount(torch.tensor(tokens), minlength=len(p_V)).double()
    often = expected >= 5
    bins = ([*values[often].tolist(), values[~often].sum().item()] for values in (counts, expected))
    return float(chisquare(*bins, sum_check=False).pvalue)


@pytest.mark.parametrize(("kind", "temperature"), [("t5-1.0", 0.04), ("llama", 0.1)])
def test_samples_have_the_distribution_of_the_model(kind, temperature, tmp_path):
    """The first token's, and the second's after the most frequent first, against the whole model's softmax."""
    student, text = either_kind(kind, tmp_path), "How many points?"
    student.max_target_length = 2
    (samples,) = student.sample([text], 4000, temperature=temperature, seed=5, batch_size=1000)
    firsts = [sample.ids[0] for sample in samples]
    first, _ = Counter(firsts).most_common(1)[0]
    # padding at the end is cut off
    seconds = [(*sample.ids, student.pad_id)[1] for sample in samples if sample.ids[0] == first]
    assert chi_square(firsts, next_log_p(student, text, [], temperature).exp()) > 0.001
    assert chi_square(seconds, next_log_p(student, text, [first], temperature).exp()) > 0.001
    # a wrong temperature would show
    assert chi_square(firsts, next_log_p(student, text, [], temperature * 1.1).exp()) < 1e-3
    for sample in samples[:20]:  # reported at temperature 1
        log_p = [next_log_p(student, text, [*sample.ids[:t]])[id].item() for t, id in enumerate(sample.ids)]
        assert sample.log_p == pytest.approx(log_p, abs=1e-4)
        assert sample.text == student.text(sample.ids)


@pytest.mark.parametrize("kind", ["t5-1.1", "bart", "llama"])
def test_a_sample_depends_on_its_text_number_and_seed_alone(kind, tmp_path):
    student = either_kind(kind, tmp_path)
    student.max_target_length = 8

    def sampled(texts: list[str], seed: int = 3, batch_size: int = 4, count: int = 3) -> list[list[tuple[int, ...]]]:
        rows = student.sample(texts, count, temperature=0.9, seed=seed, batch_size=batch_size)
        return [[answer.ids for answer in row] for row in rows]

    expected = sampled(SOURCES)
    assert sampled(SOURCES, batch_size=1) == sampled(SOURCES, batch_size=64) == expected
    assert sampled(SOURCES[::-1])[::-1] == expected
    assert [row[:2] for row in expected] == sampled(SOURCES, count=2)
    assert all(len(set(row)) > 1 for row in expected)
    assert all(a != b for a, b in zip(expected, sampled(SOURCES, seed=4), strict=True))
    assert sampled([]) == []


@pytest.mark.parametrize("kind", ["t5-1.0", "llama"])
def test_samples_near_temperature_0_are_greedy_and_stop_at_words(kind, tmp_path):
    student = either_kind(kind, tmp_path)
    student.max_target_length = 10
    options = {"temperature": 1e-4, "seed": 1, "batch_size": 5}
    texts = student.generate(SOURCES, batch_size=5)
    assert [[answer.text for answer in row] for row in student.sample(SOURCES, 2, **options)] == [[t, t] for t in texts]
    stop = next(match[0] for text in texts if (match := re.search("(?<=..)[!-~]{2}", text)))
    stopped = student.answer(SOURCES, [[]] * len(SOURCES), batch_size=5, stop=stop)
    samples = student.sample(SOURCES, 1, stop=stop, **options)
    assert [row[0].text for row in samples] == [answer.text for answer in stopped] != texts
