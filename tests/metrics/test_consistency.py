"""The label in a rationale's own text, against what a person reads there."""

import pytest

from limbeck import tasks
from limbeck.data.sources import ArchiveSource
from limbeck.metrics.consistency import conclusion, consistency
from limbeck.schema import Example

SVAMP = Example("1", ("How many are left?",), "( 45.0 - 3.0 )")
CQA = Example("1", ("Where?",), "dam", choices=("dam", "store", "music store", "big city", "washington d.c"))
NLI = Example("1", ("A man sleeps.", "He rests."), "neutral", choices=tasks.nli.LABELS)

EQUATIONS = [  # the text, and an equation of the value that it comes to
    ("He had 45 and gave 3. So 45 - 3 = 42 are left.", "42"),
    ("He had 45 and gave 3. So 45 - 3 = 41 are left.", "45 - 3"),  # a slip in the result
    ("So he has some (he had 5 + 3).", "8"),
    ("It costs $76 - $25 = $51 now.", "51"),
    ("So 3 \u00d7 4 \u00f7 2 \u2212 1 is it.", "5"),
    ("So it is 2130. 30 * 24 is 720.", "720"),
    ("So it is 38 - 56 = -18 push-ups.", "-18"),
    ("First 2 + 2. Then 5 * 5.", "25"),
    ("So 45 - 3 is 42, as said in line 7.", "42"),
    ("The answer is 7. Or not, as 4 + 4 is 8.", "7"),
]
CHOICES = [
    ("Not in a dam. Of the choices only a music store sells it.", "music store"),
    ("Of the choices only a store that plays music.", "store"),
    ("Only big cities have it.", "big city"),
    ("The answer must be a city. Of the above, only Washington D.C. is.", "washington d.c"),
    ("It is a dam. So the answer is (b) store.", "store"),
    ("Madame is damned.", None),
]
RELATIONS = [
    ("A man who sleeps is not necessarily tired.", "neutral"),
    ("That contradicts the premise.", "contradiction"),
    ("One cannot sleep and run at the same time.", "contradiction"),
    ("Sleeping does not imply resting.", "neutral"),
    ("Sleeping is a type of resting.", "entailment"),
    ("It does not contradict it.", "neutral"),
    ("Sleeping implies resting, but not necessarily in bed.", None),  # two
    ("He runs. Answer: contradiction", "contradiction"),
]


@pytest.mark.parametrize(("text", "value"), EQUATIONS)
def test_the_value_that_an_equations_rationale_comes_to(text, value):
    assert tasks.evaluate(conclusion(text, SVAMP, tasks.get("svamp"))) == tasks.evaluate(value)
    assert conclusion(text, SVAMP, tasks.get("custom", answer="equation")) is not None


@pytest.mark.parametrize("text", ["There are some.", "", "x", "((((", "- - -", "1/0", "9**9**9**9", '__import__("os")'])
def test_no_value_where_there_is_none(text):
    assert conclusion(text, SVAMP, tasks.get("svamp")) is None


@pytest.mark.parametrize(
    ("task", "example", "text", "label"),
    [*(("cqa", CQA, *row) for row in CHOICES), *(("esnli", NLI, *row) for row in RELATIONS)],
)
def test_the_choice_or_relation_that_a_rationale_names(task, example, text, label):
    assert conclusion(text, example, tasks.get(task)) == label


def test_free_text_has_only_what_it_says_outright():
    example = Example("1", ("What colour?",), "blue")
    assert conclusion("The sky is blue.", example, tasks.get("custom")) is None
    assert conclusion("We look up. The answer is blue.", example, tasks.get("custom")) == "blue"
    task = tasks.get("custom", ["blue", "red"])
    assert conclusion("The sky is blue.", example, task) == "blue"


def test_the_share_is_of_those_that_can_be_read():
    texts = ["So 45 - 3 = 42.", "So 45 + 3 = 48.", "Some.", "( 45.0 - 3.0 ) / 2"]
    answers = ["( 45.0 - 3.0 )", "( 45.0 - 3.0 )", "(1)", "21"]
    rationales = [(text, answer, SVAMP) for text, answer in zip(texts, answers, strict=True)]
    assert consistency(rationales, tasks.get("svamp")) == {"consistency": 2 / 3, "readable": 0.75, "read": 3, "n": 4}
    unread = consistency(rationales[2:3], tasks.get("svamp"))
    assert unread == {"consistency": None, "readable": 0.0, "read": 0, "n": 1}
    assert consistency([], tasks.get("svamp")) == {"consistency": None, "readable": None, "read": 0, "n": 0}


PIECES = ["9**9**9**9 ", "(", "-", "1 + ", "1,000", "x 1", "not ", "music store ", "a" * 100, "at the same time "]


@pytest.mark.parametrize("piece", PIECES)
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
