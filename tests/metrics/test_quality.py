"""Quality of rationales by their text, against figures by hand, plain loops and one text at a time."""

import itertools
import math

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from limbeck import tasks
from limbeck.data.sources import ArchiveSource
from limbeck.errors import ModelError
from limbeck.metrics.quality import Encoder, conclusion, consistency, quality, repetition
from limbeck.schema import Example, Prediction
from tests.helpers import builders

TASK = tasks.get("svamp")


def example(id: str, rationale: str | None, label: str = "(2 + 2)") -> Example:
    return Example(id, ("How many?",), label, rationale)


def prediction(id: str, rationale: str | None, answer: str = "(2 + 2)") -> Prediction:
    return Prediction(id, "How many?", "(2 + 2)", answer, True, True, rationale)


def measured(pairs: list[tuple[str, str]], **options) -> dict:
    rows = [example(str(i), reference) for i, (_, reference) in enumerate(pairs)]
    return quality([prediction(str(i), text) for i, (text, _) in enumerate(pairs)], rows, TASK, **options)


def test_bleu_is_of_the_corpus_and_rouge_a_mean():
    metrics = measured([("a b c d e", "a b c d e f g"), ("a b x y", "a b c")])
    # matches over both texts: 5 + 2 of 9 words, 4 + 1 of 7, 3 of 5, 2 of 3; 9 words against 10
    exact = math.exp(1 - 10 / 9) * (7 / 9 * 5 / 7 * 3 / 5 * 2 / 3) ** 0.25
    assert metrics["bleu"]["score"] == pytest.approx(100 * exact)
    assert metrics["bleu"]["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    # recalls 5/7 and 2/3, precisions 1 and 2/4
    assert metrics["rouge1"] == pytest.approx((2 * 5 / 12 + 2 * 2 / 7) / 2)
    assert metrics["rougeL"] == metrics["rouge1"]
    assert measured([("cats run", "cat runs")])["rouge1"] == 0  # no stemmer


def test_lengths_and_repetition():
    metrics = measured([("a b c a b c", "a b c d"), ("A b C a B c a b c", "one two"), ("x", "y z")])
    assert metrics["words"] == pytest.approx(16 / 3)
    assert metrics["reference_words"] == pytest.approx(8 / 3)
    # abc bca cab abc: 1 of 4; seven of them of three kinds: 4 of 7; "x" has none
    assert metrics["repetition"] == pytest.approx((1 / 4 + 4 / 7) / 2)
    assert metrics["reference_repetition"] == 0
    assert repetition("one two") is None
    assert repetition("no no no no") == 0.5


def test_what_lacks_a_rationale_is_left_out_and_counted(tmp_path):
    rows = [example("1", "So 2 + 2."), example("2", None), example("3", "Why."), example("4", "Why.")]
    texts = {"3": " \n", "1": "So 2 + 2.", "2": "So 3.", "4": None}
    predictions = [prediction(id, text, "3" if id == "2" else "(2 + 2)") for id, text in texts.items()]
    metrics = quality(predictions, rows, TASK)
    assert (metrics["n"], metrics["blank"]) == (1, 1)  # nobody asked for the last one's
    assert metrics["rouge1"] == 1
    assert metrics["similarity"] is None
    assert metrics["consistency"] == {"consistency": 1.0, "readable": 1.0, "read": 2, "n": 2}
    none = quality(predictions[:1], rows, TASK, Encoder(str(builders.encoder(tmp_path, "bert"))))
    defined = {name for name, value in none.items() if value is not None}
    assert defined == {"n", "blank", "cut", "consistency"}


TEXTS = ["yes", "He scored 84 points in 2 rounds.", "no maybe", "84 / 2 is 42. The answer is", "yes no " * 20, "84"]
REFERENCES = ["no", "He scored 84 points in 2 rounds.", "maybe no", "84", "yes", "in rounds."]


@torch.no_grad()
def by_hand(folder, texts: list[str], limit: int) -> np.ndarray:
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    model = model.get_encoder() if model.config.is_encoder_decoder else model
    rows = []
    for text in texts:
        ids = tokenizer(text, truncation=True, max_length=limit)["input_ids"]
        mean = sum(model(input_ids=torch.tensor([ids])).last_hidden_state[0].double().numpy()) / len(ids)
        rows.append(mean / (sum(mean**2) ** 0.5))
    return np.array(rows)


@pytest.mark.parametrize(("kind", "limit"), [("bert", 64), ("roberta", 62), ("t5", 512)])
def test_embeddings_are_means_over_real_tokens(kind, limit, tmp_path, monkeypatch):
    folder = builders.t5(tmp_path) if kind == "t5" else builders.encoder(tmp_path, kind)
    encoder = Encoder(str(folder))
    assert encoder.max_tokens == limit
    texts = [*TEXTS, "yes no maybe " * 1000]
    expected = by_hand(folder, texts, limit)
    for batch_size in (1, 3, 64):
        monkeypatch.setattr("limbeck.metrics.quality.BATCH_SIZE", batch_size)
        np.testing.assert_allclose(encoder.embed(texts), expected, atol=2e-6)
    encoder._tokenizer.pad_token = None
    np.testing.assert_allclose(encoder.embed(texts), expected, atol=2e-6)
    cosines = encoder.similarity(TEXTS, REFERENCES)
    references = by_hand(folder, REFERENCES, limit)
    np.testing.assert_allclose(cosines, [float(a @ b) for a, b in zip(expected, references, strict=False)], atol=2e-6)
    assert cosines[1] == pytest.approx(1)
    assert min(cosines) < 0.999


def test_encoders_that_cannot_be_loaded_are_refused(tmp_path):
    with pytest.raises(ModelError):
        Encoder(str(tmp_path / "nowhere"))
    model = AutoModel.from_pretrained(builders.encoder(tmp_path / "other", "bert"))
    state = {name: weight for name, weight in model.state_dict().items() if "attention" not in name}
    model.save_pretrained(tmp_path / "part", state_dict=state)
    AutoTokenizer.from_pretrained(tmp_path / "other").save_pretrained(tmp_path / "part")
    with pytest.raises(ModelError):
        Encoder(str(tmp_path / "part"))


SVAMP = Example("1", ("How many are left?",), "( 45.0 - 3.0 )")
CQA = Example("1", ("Where?",), "dam", choices=("dam", "store", "music store", "big city", "washington d.c"))
NLI = Example("1", ("A man sleeps.", "He rests."), "neutral")  # whose choices are the task's

EQUATIONS = {  # the texts, by an equation of the value that they come to
    "42": "He had 45 and gave 3. So 45 - 3 = 42 are left.|So 45 - 3 is 42, as said in line 7.",
    "45 - 3": "He had 45 and gave 3. So 45 - 3 = 41 are left.",  # a slip in the result
    "8": "So he has some (he had 5 + 3).",
    "7": "The answer is 7. Or not, as 4 + 4 is 8.",
    "51": "It costs $76 - $25 = $51 now.",
    "5": "So 3 \u00d7 4 \u00f7 2 \u2212 1 is it.",
    "720": "So it is 2130. 30 * 24 is 720.",
    "-18": "So it is 38 - 56 = -18 push-ups.",
    "25": "First 2 + 2. Then 5 * 5.",
    None: """There are some.||x|((((|- - -|1/0|9**9**9**9|__import__("os")""",
}
CHOICES = {  # the text, and the choice or relation that it names
    "Not in a dam. Of the choices only a music store sells it.": "music store",
    "Of the choices only a store that plays music.": "store",
    "Only big cities have it.": "big city",
    "The answer must be a city. Of the above, only Washington D.C. is.": "washington d.c",
    "It is a dam. So the answer is (b) store.": "store",
    "Madame is damned.": None,
}
NEUTRAL = ("Sleepers are not necessarily tired.", "Sleeping does not imply resting.", "It does not contradict it.")
OPPOSED = ("That contradicts it.", "One cannot sleep and run at the same time.", "He runs. Answer: contradiction")
RELATIONS = {**dict.fromkeys(NEUTRAL, "neutral"), **dict.fromkeys(OPPOSED, "contradiction")}
RELATIONS |= {"It is a type of rest.": "entailment", "It implies resting, but not necessarily in bed.": None}  # two
FREE = {"The sky is blue.": None, "We look up. The answer is blue.": "blue"}  # free text: only what it says outright
COLOUR = Example("1", ("What colour?",), "blue")


@pytest.mark.parametrize(("value", "texts"), EQUATIONS.items())
def test_the_value_that_an_equations_rationale_comes_to(value, texts):
    for text, task in itertools.product(texts.split("|"), (TASK, tasks.get("custom", answer="equation"))):
        equation = conclusion(text, SVAMP, task)
        assert (equation and tasks.evaluate(equation)) == (value and tasks.evaluate(value)), text


@pytest.mark.parametrize(
    ("task", "example", "labels"), [("cqa", CQA, CHOICES), ("esnli", NLI, RELATIONS), ("custom", COLOUR, FREE)]
)
def test_the_choice_or_relation_that_a_rationale_names(task, example, labels):
    assert {text: conclusion(text, example, tasks.get(task)) for text in labels} == labels


def test_the_share_is_of_those_that_can_be_read():
    answers = {"So 45 - 3 = 42.": "42", "So 45 + 3 = 48.": "42", "Some.": "(1)", "( 45.0 - 3.0 ) / 2": "21"}
    rationales = [(text, answer, SVAMP) for text, answer in answers.items()]
    assert consistency(rationales, TASK) == {"consistency": 2 / 3, "readable": 0.75, "read": 3, "n": 4}
    assert consistency(rationales[2:3], TASK) == {"consistency": None, "readable": 0.0, "read": 0, "n": 1}
    assert consistency([], TASK) == {"consistency": None, "readable": None, "read": 0, "n": 0}


@pytest.mark.parametrize(
    "piece", ["9**9**9**9 ", "(", "-", "1 + ", "1,000", "x 1", "not ", "music store ", "a" * 100, "at the same time "]
)
def test_hostile_text_is_read_in_bounded_work_and_never_run(piece, tmp_path, monkeypatch):
    """Not a measurement: a pattern that backtracks without bound would take hours for these."""
    monkeypatch.chdir(tmp_path)
    for example, task in ((SVAMP, "svamp"), (CQA, "cqa"), (NLI, "esnli")):
        conclusion(piece * 20_000, example, tasks.get(task))
        conclusion('__import__("os").system("touch hacked")' + piece * 100, example, tasks.get(task))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_released_rationales_mostly_come_to_the_teachers_own_answers(dss):
    source = ArchiveSource(kind="archive", root=dss)
    for name, minimum, readable in (("svamp", 0.88, 0.99), ("cqa", 0.95, 0.85)):
        task = tasks.get(name)
        rows = [row for row in source.read(task)["test"] if row.rationale and row.teacher_label]
        teacher = consistency([(row.rationale, row.teacher_label, row) for row in rows], task)
        gold = consistency([(row.rationale, row.label, row) for row in rows], task)
        assert teacher["consistency"] > minimum > gold["consistency"] + 0.1
        assert teacher["readable"] > readable
