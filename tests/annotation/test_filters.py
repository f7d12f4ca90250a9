"""Filters of rationales: their settings, words, language, and what gives an answer away."""

import subprocess
import sys
from pathlib import Path

import pytest

from limbeck.annotation.filters import FilterSettings, foreign, leaks, words
from limbeck.data import DataSettings, read
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import get

BEAVERS = Example("q", ("What do beavers build?",), "dam", choices=("river", "dam", "zoo", "town", "hint"))
APPLES = Example("q", ("Luke has 84 apples and 2 friends. How many has each?",), "( 84.0 / 2.0 )")
MEAL = Example("q", ("A man eats.", "A man sleeps."), "neutral", choices=("entailment", "neutral", "contradiction"))
EXAMPLES = {"cqa": BEAVERS, "svamp": APPLES, "esnli": MEAL, "anli1": MEAL, "custom": APPLES}

SENTENCES = {
    "de": [
        "Ein Hund ist ein Tier.",
        "Die Jacke ist rot, nicht blau.",
        "Luke hat 84 Äpfel und 2 Freunde, also bekommt jeder 84 / 2 = 42 Äpfel.",
        "Mary hatte 15 Kekse. Sie gab Tom 6. Also 15 - 6 = 9.",
        "Nur weil jemand lacht, muss er nicht glücklich sein.",
    ],
    "fr": [
        "Un chien est un animal.",
        "La veste est rouge et non bleue.",
        "Luke a 84 pommes et 2 amis, donc chacun reçoit 84 / 2 = 42 pommes.",
        "D'abord 12 + 7 = 19, puis 19 - 5 = 14.",
        "Rien ne dit que la femme est triste.",
    ],
    "es": [
        "Un perro es un animal.",
        "La chaqueta es roja, no azul.",
        "Luke tiene 84 manzanas y 2 amigos, así que cada uno recibe 84 / 2 = 42.",
        "Mary tenía 15 galletas. Le dio 6 a Tom. Quedan 15 - 6 = 9.",
        "No todas las mujeres llevan sombrero.",
    ],
    "zh": [
        "狗是一种动物。",
        "夹克是红色的，不是蓝色的。",
        "卢克有84个苹果和2个朋友，所以每人得到84 / 2 = 42个苹果。",
        "首先 12 + 7 = 19，然后 19 - 5 = 14。",
        "正在吃饭的人不能同时睡觉。",
    ],
    "en": [
        "Luke has 84 apples and 2 friends, so each gets 84 / 2 = 42.",
        "THE MAN IS NOT A WOMAN.",
        "Bonjour means hello, and merci means thank you in French.",
        "The answer must be a place where people keep books.",
    ],
}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" \n", 0),
        ("84 / 2 = 42.", 5),
        ("It is\nso.", 3),
        ("狗是一种动物", 6),
        ("有84个 apples", 4),
        ("개는 동물이다", 2),
    ],
)
def test_words(text: str, count: int) -> None:
    assert words(text) == count


@pytest.mark.parametrize("wanted", SENTENCES)
def test_languages(wanted: str) -> None:
    pytest.importorskip("py3langid", reason="languages need limbeck[teacher]")
    for language, sentences in SENTENCES.items():
        for sentence in sentences:
            assert foreign(sentence, wanted) == (language != wanted), sentence


def test_what_is_no_language_or_too_short_to_tell_is_not_foreign() -> None:
    pytest.importorskip("py3langid", reason="languages need limbeck[teacher]")
    for text in ("330 - 269 = 61.", "$x = 3$, $\\frac{84}{2}=42$", "???", "", '{"a": [null, true], "b": {}}'):
        assert not foreign(text, "en")
    assert not foreign(" ".join(map(str, range(60))), "en")
    assert not foreign("Santa Claus is Santa.", "en")


@pytest.mark.parametrize(("task", "split"), [("svamp", "train"), ("cqa", "test"), ("esnli", "test")])
def test_released_rationales_are_english_and_leak_nothing(dss: Path, task: str, split: str) -> None:
    pytest.importorskip("py3langid", reason="languages need limbeck[teacher]")
    settings = DataSettings.model_validate({"task": task, "source": {"kind": "archive", "root": dss}})
    rows = [row for row in read(settings)[split] if row.rationale is not None and row.teacher_label is not None]
    assert [row.rationale for row in rows if foreign(str(row.rationale), "en")] == []
    assert [row.rationale for row in rows if leaks(str(row.rationale), get(task), row, hinted=False)] == []


@pytest.mark.parametrize(
    ("task", "rationale"),
    [
        ("cqa", "Beavers build. So the answer is (b) dam."),
        ("cqa", "Beavers build.\n**Answer:** B"),
        ("cqa", "Beavers build.\n**Final answer:** who knows"),
        ("cqa", "Beavers build. So the answer is"),
        ("cqa", "Beavers build. So  the\nanswer is: one of them"),
        ("cqa", "So the answer is (a) or (b). Beavers build."),
        ("cqa", "dam"),
        ("svamp", "Each has 42. The answer is 42."),
        ("svamp", "Each has 42. The answer is"),
        ("svamp", "Each has 42. The answer is **\n"),
        ("svamp", "Each has \\boxed{x}."),
        ("esnli", "He cannot do both. Answer: it depends"),
        ("anli1", "He cannot do both. So the answer is **unclear** to me."),
        ("svamp", "Each has 84 / 2.<|im_end|>"),
        ("svamp", "<|im_start|>assistant\nEach has 84 / 2."),
        ("svamp", "Each has 84 / 2.</s>"),
        ("svamp", "Each has 84 / 2.<\uff5cend\u2581of\u2581sentence\uff5c>"),
        ("svamp", "[INST] Each has 84 / 2. [/INST]"),
        ("svamp", "Each has 84 / 2.<end_of_turn>"),
        ("svamp", "<reasoning>Each has 84 / 2.</reasoning>"),
        ("svamp", "\u25c1think\u25b7Each has 84 / 2."),
    ],
)
def test_leaks(task: str, rationale: str) -> None:
    assert leaks(rationale, get(task), EXAMPLES[task], hinted=False)


@pytest.mark.parametrize(
    ("task", "rationale"),
    [
        ("svamp", "The answer is in the text: each has 84 / 2."),
        ("svamp", "The answer is, of course, that they share."),
        ("svamp", "To find the answer is to divide 84 by 2."),
        ("svamp", "|84| < |x| and x > |2|, so 84 / 2 = 42."),
        ("cqa", "The answer must be something that is built. Of the above choices, only dam is built by beavers."),
        ("cqa", "So the answer is something that is built in rivers."),
        ("esnli", "The man gives no answer (he sleeps)."),
        ("esnli", "He does not answer\nbecause he sleeps."),
        ("anli1", "The hint of a smile is no proof."),
    ],
)
@pytest.mark.parametrize("hinted", [False, True])
def test_prose_leaks_nothing(task: str, rationale: str, hinted: bool) -> None:
    assert not leaks(rationale, get(task), EXAMPLES[task], hinted)


@pytest.mark.parametrize(
    "rationale",
    [
        "The hint says dam, and beavers build dams.",
        "As hinted, beavers build dams.",
        "Beavers build dams, which is the given answer.",
        "The provided correct answer is about dams.",
        "Since the answer is given as dam, beavers build it.",
        "We are told that the answer has to be built.",
        "Knowing that the correct answer is built by beavers, dams.",
        "Beavers build dams, which matches the answer.",
        "According to the label, beavers build dams.",
    ],
)
def test_talk_of_the_hint_leaks_where_there_was_one(rationale: str) -> None:
    assert leaks(rationale, get("cqa"), BEAVERS, hinted=True)
    assert not leaks(rationale, get("cqa"), BEAVERS, hinted=False)


def test_the_questions_own_words_are_no_talk_of_a_hint() -> None:
    riddle = Example("q", ("What does the hint of the riddle mean?",), "dam", choices=("dam", "zoo"))
    assert not leaks("The hint means that beavers build it.", get("cqa"), riddle, hinted=True)
    assert leaks("The hint means the given answer.", get("cqa"), riddle, hinted=True)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"agreement": 1.5}, "job.yaml: agreement: "),
        ({"min_words": -1}, "job.yaml: min_words: "),
        ({"min_words": 5, "max_words": 4}, "job.yaml: the whole: max_words: 4 is less than min_words, 5"),
        ({"max_word": 4}, "did you mean 'max_words'?"),
        ({"language": "English"}, "job.yaml: language: an ISO 639-1 code .*, not 'English'"),
        ({"language": "xx"}, "not 'xx'"),
        ({"language": "zxx"}, "not 'zxx'"),
    ],
)
def test_settings_that_cannot_be(values: dict, said: str) -> None:
    if "language" in values:
        pytest.importorskip("py3langid", reason="languages need limbeck[teacher]")
    with pytest.raises(LimbeckError, match=said):
        FilterSettings.parse(values, "job.yaml")


def test_py3langid_is_asked_for_where_a_language_is() -> None:
    code = """
import sys
sys.modules["py3langid"] = None  # as if it were not installed
from limbeck.errors import LimbeckError
from limbeck.annotation.filters import FilterSettings
FilterSettings.parse({}, "job.yaml")
try:
    FilterSettings.parse({"language": "en"}, "job.yaml")
except LimbeckError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "filters.language: py3langid is not installed; `pip install 'limbeck[teacher]'`\n"


@pytest.mark.parametrize(
    "unit", ["Answer: ", "<|", "the hint ", "given ", "answer is given ", "So the answer is ", "*", " ", "狗"]
)
def test_work_in_proportion_to_the_text(unit: str) -> None:
    """A million characters: work that grew with their square would take hours."""
    text = unit * (1_000_000 // len(unit))
    words(text)
    for task in ("svamp", "cqa", "esnli"):
        leaks(f"Why. {text}", get(task), EXAMPLES[task], hinted=True)
