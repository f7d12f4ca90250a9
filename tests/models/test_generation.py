"""The engines write the same tokens, and choices are scored as the models' own losses have it."""

import re
import sys
from pathlib import Path

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from limbeck import models
from limbeck.errors import LimbeckError
from limbeck.models import StudentSettings, scoring
from limbeck.models.batches import pad, padding_mask
from limbeck.models.scratch import train_tokenizer
from tests import builders
from tests.models.test_students import FAMILIES, make, random_head

T5S = ["t5-1.0", "t5-1.1", "mt5", "scratch"]
SOURCES = [*builders.TEXTS, "", " ", "</s>", "<pad> <extra_id_0> \x00 🙂", "2 " * 90, "yes </s> no"]


@pytest.fixture
def ctranslate2():
    return pytest.importorskip("ctranslate2", reason="the engine ctranslate2 needs limbeck[fast]")


def random_student(kind: str, folder: Path, seed: int = 1) -> models.Student:
    torch.manual_seed(seed)
    student = models.load(make(kind, folder), builders.TEXTS).eval()
    random_head(student)
    return student


def often_ends(student: models.Student, batch: list[list[int]]) -> None:
    """Give the end token the weights of the token the student likes best, and the other way round.

    So that some answers end soon and others never: a random student seldom says the end token.
    """
    written = student.engine("transformers")(batch, 12, None)
    favourite = torch.tensor([id for ids in written for id in ids[1:]]).mode().values.item()
    weight, end = student.head().weight.data, student.model.config.eos_token_id
    weight[[end, favourite]] = weight[[favourite, end]]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", T5S)
def test_ctranslate2_writes_the_tokens_of_transformers(kind, seed, tmp_path, ctranslate2):
    student = random_student(kind, tmp_path, seed)
    batch, _ = student.source_ids(SOURCES)
    every = student.model.config.vocab_size  # some ids are of no token of the tokenizer
    batch += [torch.randint(every, (n,)).tolist() for n in (1, 2, 50)] + [list(range(every - 7, every))]
    often_ends(student, batch)
    for rows in (batch, batch[:1]):
        theirs = student.engine("transformers")(rows, 24, None)
        assert student.engine("ctranslate2")(rows, 24, None) == theirs
    lengths = {len(ids) for ids in student.engine("transformers")(batch, 24, None)}
    assert len(lengths) > 1
    assert student.engine("ctranslate2")(batch, 1, None) == student.engine("transformers")(batch, 1, None)


@pytest.mark.parametrize("kind", T5S)
def test_the_call_is_the_same_for_both_engines(kind, tmp_path, ctranslate2):
    student = random_student(kind, tmp_path)
    student.max_source_length = 20  # some of the sources are cut
    theirs = student.generate(SOURCES, 20, 3)
    assert student.generate(SOURCES, 20, 3, engine="ctranslate2") == theirs
    assert student.generate(SOURCES[::-1], 20, 2, engine="ctranslate2") == theirs[::-1]
    assert student.generate([], 20, 3, engine="ctranslate2") == []
    stop = next(found[0] for text in theirs if (found := re.search("(?<=..)[!-~]{2}", text)))
    stopped = student.generate(SOURCES, 20, 3, stop=stop)
    assert stopped != theirs
    assert student.generate(SOURCES, 20, 3, stop=stop, engine="ctranslate2") == stopped
    for text, whole in zip(stopped, theirs, strict=True):
        assert whole.startswith(text)
        assert text == whole or stop in text


def test_ctranslate2_has_the_weights_of_the_moment_and_leaves_them_alone(tmp_path, ctranslate2):
    student = random_student("t5-1.1", tmp_path)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    batch, _ = student.source_ids(SOURCES)
    engine, int8 = student.engine("ctranslate2"), student.engine("ctranslate2-int8")
    written = engine(batch, 12, None)
    assert all(0 <= id < student.model.config.vocab_size for ids in int8(batch, 12, None) for id in ids)
    for name, value in student.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    random_head(student)
    assert engine(batch, 12, None) == written
    assert student.engine("ctranslate2")(batch, 12, None) != written


@pytest.mark.parametrize("engine", ["transformers", "ctranslate2"])
@pytest.mark.parametrize("kind", ["t5-1.0", "mt5"])
def test_an_answer_ends_at_the_first_of_several_end_tokens(kind, engine, tmp_path):
    """Against what is written with the one end token, cut at the other."""
    if engine != "transformers":
        pytest.importorskip("ctranslate2", reason="the engine ctranslate2 needs limbeck[fast]")
    student = random_student(kind, tmp_path)
    batch, _ = student.source_ids(SOURCES)
    often_ends(student, batch)
    longer = student.engine(engine)(batch, 24, None)
    other = next(id for ids in longer for id in ids[3:] if id not in (1, *ids[:3]))
    student.model.config.eos_token_id = [other, student.model.config.eos_token_id]
    several = models.Student(student.model, student.tokenizer, 1024, 24).eval()
    expected = [ids[: ids.index(other) + 1] if other in ids else ids for ids in longer]
    assert several.engine(engine)(batch, 24, None) == expected
    assert expected != longer
    for ids, answer in zip(expected, several.answer(SOURCES, [[]] * len(SOURCES), 24, 3, engine=engine), strict=True):
        assert answer.ids == ids
        assert len(answer.log_p) == len(ids)
    assert {other, 1} <= {ids[-1] for ids in expected}


def refused(student: models.Student) -> str:
    with pytest.raises(LimbeckError) as caught:
        student.generate(["yes"], 3, 1, engine="ctranslate2")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["bart", "roberta-pair"])
def test_students_of_other_families_are_refused(kind, tmp_path):
    assert "use transformers" in refused(models.load(make(kind, tmp_path), ()))


def test_where_ctranslate2_is_not_installed_it_says_how(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    assert "pip install 'limbeck[fast]'" in refused(models.load(make("t5-1.0", tmp_path), ()))


def test_a_t5_of_unusual_parts_is_refused(tmp_path, ctranslate2):
    tokenizer = train_tokenizer(builders.TEXTS, 300)
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "vocab_size": len(tokenizer)}
    config = T5Config(**sizes, feed_forward_proj="tanh", decoder_start_token_id=0)
    folder = builders.save(tmp_path, T5ForConditionalGeneration(config), tokenizer)
    assert "tanh" in refused(models.load(StudentSettings(name=str(folder)), ()))


CHOICES = [["yes", "no", "maybe"], ["The answer is ( 84.0 / 2.0 )", "yes"], ["no"], [], ["entailment", "yes"] * 3]
TEXTS = [*builders.TEXTS, "yes", "How many points a round?"]


def naive(student: models.Student, text: str, target: tuple[int, ...]) -> tuple[list[float], float]:
    """Log-probabilities of a target's tokens by the whole model in one pass, and the highest at the first."""
    ids = student.source_ids([text])[0]
    labels = torch.tensor([target])
    with torch.no_grad():
        logits = student.model(input_ids=pad(ids, 0), attention_mask=padding_mask(ids), labels=labels).logits[0]
    log_p = logits.log_softmax(1)
    return [log_p[t, id].item() for t, id in enumerate(target)], log_p[0].max().item()


def targets(student: models.Student, choices: list[str]) -> list[tuple[int, ...]]:
    return [tuple(student.target_ids([choice])[0][0]) for choice in choices]


@pytest.mark.parametrize("kind", FAMILIES)
def test_scores_are_those_of_the_whole_model(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "_TOKENS", 3)  # a target's logits are not all made at once
    monkeypatch.setattr(scoring, "_WIDE", 8)  # nor are all choices in the decoder
    student = random_student(kind, tmp_path)
    student.train()
    scores = student.score(TEXTS, CHOICES, batch_size=2)
    assert student.training
    student.eval()
    for text, choices, one in zip(TEXTS, CHOICES, scores, strict=True):
        for target, log_p in zip(targets(student, choices), one.answers, strict=True):
            theirs, top = naive(student, text, target)
            assert log_p == pytest.approx(theirs, abs=1e-4)
            assert one.top == pytest.approx(top, abs=1e-4)
    assert student.score([], [], 2) == []


def test_many_and_long_choices_go_through_the_decoder_in_parts():
    answers = [[tuple(range(1, n + 1)) for n in lengths] for lengths in ([101, *[31] * 5, 1], [1], [])]
    parts = list(scoring._passes(answers, packed=True))
    assert parts == [slice(0, 1), slice(1, 3), slice(3, 5), slice(5, 7)]
    assert list(scoring._passes(answers, packed=False)) == [slice(i, i + 1) for i in range(7)]
    assert list(scoring._passes([[], []], packed=True)) == []


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("kind", FAMILIES)
def test_an_answer_is_what_is_generated_and_its_scores_those_of_the_whole_model(kind, batch_size, tmp_path):
    student = random_student(kind, tmp_path)
    said = student.generate(TEXTS, 9, 5)
    for every in (CHOICES, CHOICES[::-1]):  # the second way the longest text has none
        answers = student.answer(TEXTS, every, 9, batch_size)
        assert [one.text for one in answers] == said
        for text, choices, answer in zip(TEXTS, every, answers, strict=True):
            theirs, top = naive(student, text, answer.ids)
            assert answer.log_p == pytest.approx(theirs, abs=1e-4)
            assert answer.top == pytest.approx(top, abs=1e-4)
            for target, log_p in zip(targets(student, choices), answer.choices, strict=True):
                assert log_p == pytest.approx(naive(student, text, target)[0], abs=1e-4)
    assert student.answer([], [], 9, 2) == []


@pytest.mark.parametrize("engine", ["transformers", "ctranslate2"])
@pytest.mark.parametrize("kind", T5S)
def test_an_answer_that_is_a_choice_is_the_one_generated(kind, engine, tmp_path):
    """Choices made of what the student writes: whole, with more after it, cut short, and with an end token within."""
    if engine != "transformers":
        pytest.importorskip("ctranslate2", reason="the engine ctranslate2 needs limbeck[fast]")
    student = random_student(kind, tmp_path)
    batch, _ = student.source_ids(SOURCES)
    often_ends(student, batch)
    ended, found = set(), 0
    for limit in (12, 2):
        said = student.generate(SOURCES, limit, 3)
        choices = [["", "no", f"{text} yes", text[:-1] + "\x01", f"{text}</s> no", text, "maybe"] for text in said]
        for among in (choices, [row if i % 2 else [] for i, row in enumerate(choices)]):
            answers = student.answer(SOURCES, among, limit, 3, engine=engine)
            assert [one.text for one in answers] == said
            for source, row, answer in zip(SOURCES, among, answers, strict=True):
                assert len(answer.choices) == len(row)
                assert answer.log_p == pytest.approx(naive(student, source, answer.ids)[0], abs=2e-4)
                if answer.ids in targets(student, row):
                    found += 1
                    assert answer.choices[targets(student, row).index(answer.ids)] == pytest.approx(answer.log_p)
        ended |= {one.ids[-1] == student.model.config.eos_token_id for one in answers}
        if limit == 2:  # what would go on is cut off, and is no choice that goes on
            assert all(len(one.ids) <= limit for one in answers)
    assert True in ended
    assert found > 2


def test_a_stopped_answer_is_stopped_whatever_the_choices(tmp_path):
    """A student taught to write a text that is one of the choices, and to end."""
    student = models.load(StudentSettings(name=str(builders.bart(tmp_path))), ())
    said = "yes Rationale: maybe"
    labels, ids = (torch.tensor(rows) for rows in (student.target_ids([said])[0], student.source_ids(["no"])[0]))
    optimiser = torch.optim.Adam(student.parameters(), 0.02)
    for _ in range(25):
        student.model(input_ids=ids, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    (whole,) = student.answer(["no"], [[said]], 12, 1)
    assert (whole.text, whole.ids) == (said, tuple(labels[0].tolist()))
    (stopped,) = student.answer(["no"], [[said]], 12, 1, stop="Rationale:")
    assert stopped.text == "yes Rationale:"
    assert stopped.log_p == pytest.approx(whole.log_p[: len(stopped.ids)], abs=1e-5)
    assert len(stopped.ids) == len(whole.ids) - 2


def test_a_search_writes_a_choice_only_to_its_first_end_token_and_in_time(tmp_path):
    student = random_student("t5-1.1", tmp_path)
    end = student.model.config.eos_token_id
    assert student._is_whole((5, end), 2)
    assert not student._is_whole((5, end), 1)
    assert not student._is_whole((5, end, 6, end), 9)
    assert not student._is_whole((5, 6), 9)
    student.model.config.eos_token_id = [7, end]
    assert student._is_whole((5, 7), 2)
    assert not student._is_whole((7, end), 9)


def test_of_choices_too_long_to_write_none_is_scored(tmp_path):
    student = random_student("bart", tmp_path)
    student.max_target_length = 4
    answers = student.answer(TEXTS[:2], [["yes", "no yes no yes no"], ["yes", "no"]], 4, 2)
    assert [len(one.choices) for one in answers] == [0, 2]
    with pytest.raises(LimbeckError, match="the choice 'no yes no yes no' has more than 4 tokens"):
        student.score(TEXTS[:2], [["yes", "no yes no yes no"], ["yes", "no"]], 2)
