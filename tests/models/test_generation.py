"""The engines write the same tokens."""

import re
import sys
from importlib.util import find_spec

import pytest
import torch

from limbeck.errors import LimbeckError
from limbeck.models.student import Student
from tests.helpers import builders
from tests.models.students import T5S, random_student, randomise

SOURCES = [*builders.TEXTS, "", " ", "</s>", "<pad> <extra_id_0> \x00 🙂", "2 " * 90, "yes </s> no"]
needs_fast = pytest.mark.skipif(find_spec("ctranslate2") is None, reason="needs limbeck[fast]")
ENGINES = ["transformers", pytest.param("ctranslate2", marks=needs_fast)]


def ending_student(kind: str) -> tuple[Student, list[list[int]]]:
    """Return a student some of whose answers end soon and others never, and inputs.

    A random student seldom says the end token, so that takes the weights of its favourite, and the other way round.
    """
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

    def stopped(engine: str, stop: str) -> list[str]:
        answers = student.answer(SOURCES, [[]] * len(SOURCES), batch_size=3, stop=stop, engine=engine)
        return [answer.text for answer in answers]

    texts = student.generate(SOURCES, batch_size=3)
    assert student.generate(SOURCES[::-1], batch_size=3, engine="ctranslate2") == texts[::-1]
    assert student.generate(SOURCES, batch_size=1) == texts
    assert student.generate([], batch_size=3, engine="ctranslate2") == []
    stop = next(match[0] for text in texts if (match := re.search("(?<=..)[!-~]{2}", text)))
    assert stopped("ctranslate2", stop) == stopped("transformers", stop) != texts
    for text, complete in zip(stopped("transformers", stop), texts, strict=True):
        assert complete.startswith(text)
        assert text == complete or stop in text


@needs_fast
def test_ctranslate2_has_the_weights_of_the_moment_and_leaves_them_alone():
    student = random_student("t5-1.1")
    before = {name: value.clone() for name, value in student.state_dict().items()}
    batch, _ = student.source_ids(SOURCES)
    engine, int8 = student.engine("ctranslate2"), student.engine("ctranslate2-int8")
    answers = engine(batch, 12, None)
    assert all(0 <= id < student.model.config.vocab_size for ids in int8(batch, 12, None) for id in ids)
    for name, value in student.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
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
    several = Student(student.model, student.tokenizer, 1024, 24).eval()
    expected = [ids[: ids.index(second) + 1] if second in ids else ids for ids in longer]
    assert several.engine(engine)(batch, 24, None) == expected
    assert expected != longer
    answers = several.answer(SOURCES, [[]] * len(SOURCES), batch_size=3, engine=engine)
    assert [answer.ids for answer in answers] == expected
    assert [len(answer.log_p) for answer in answers] == [len(ids) for ids in expected]
    assert {second, 1} <= {ids[-1] for ids in expected}


@pytest.mark.parametrize(
    ("kind", "words"), [("bart", "use transformers"), ("t5-1.0", r"pip install 'limbeck\[fast\]'")]
)
def test_where_ctranslate2_cannot_run_the_error_tells_what_to_do(kind, words, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(LimbeckError, match=words):
        random_student(kind).engine("ctranslate2")
