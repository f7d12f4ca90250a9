"""Which arms a report holds against which, and which of them make a curve over the share of the training data."""

from tests.report.reports import ARITHMETIC, finished, report_of

CHOICES = {"answers": "choices"}


def compared(found):
    return {(one["arm"], one["baseline"]) for one in found["comparisons"]}


def curves(found):
    """Of every figure over fractions, by series, the fractions that it has a value at."""
    figures = [one for section in found["sections"] for one in section["figures"] if "fraction of" in one["title"]]
    return [
        {
            series: [row["name"] for row in one["table"]["rows"] if row["cells"][place]["value"] is not None]
            for place, series in enumerate(one["table"]["columns"])
        }
        for one in figures
    ]


def test_an_arm_is_held_against_one_that_was_asked_in_the_same_way(tmp_path):
    for objective in ("dss", "mi"):
        finished(tmp_path / objective, objective, 1)
        finished(tmp_path / f"{objective}-choices", objective, 1, evaluation=CHOICES)
    found = report_of(tmp_path)
    assert compared(found) == {
        (f"mi, evaluation.answers={answers}", f"dss, evaluation.answers={answers}")
        for answers in ("choices", "generate")
    }


def test_what_changes_no_answer_keeps_no_arms_apart(tmp_path):
    finished(tmp_path / "finetune", "finetune", 1)
    finished(tmp_path / "dss", "dss", 1, evaluation={"rationales": True, "batch_size": 8, "encoder": "some-encoder"})
    assert compared(report_of(tmp_path)) == {("finetune", "dss")}


def test_groups_that_differ_in_how_they_were_asked_alone_are_not_taken_for_one(tmp_path):
    for objective, evaluation in (("dss", None), ("finetune", None), ("mi", CHOICES), ("kl", CHOICES)):
        finished(tmp_path / objective, objective, 1, evaluation=evaluation)
    found = report_of(tmp_path)
    assert compared(found) == {("finetune", "dss"), ("mi", "kl")}
    said = " ".join(found["overview"])
    assert "On arithmetic, evaluation.answers=generate (" in said
    assert "On arithmetic, evaluation.answers=choices (" in said


def test_where_no_fraction_varies_there_is_no_curve_over_it(tmp_path):
    finished(tmp_path / "dss", "dss", 1)
    finished(tmp_path / "choices", "dss", 1, evaluation=CHOICES)
    finished(tmp_path / "reasons", "dss", 1, evaluation={"rationales": True})
    found = report_of(tmp_path)
    assert curves(found) == []
    assert not any("fraction" in one for section in found["sections"] for one in section["missing"])


def test_each_way_of_asking_has_a_curve_of_its_own(tmp_path):
    for fraction in (0.5, 1.0):
        for name, evaluation in (("generate", None), ("choices", CHOICES)):
            data = {**ARITHMETIC, "train_fraction": fraction}
            finished(tmp_path / f"{name}{fraction}", "dss", 1, data, evaluation=evaluation)
    finished(tmp_path / "mi", "mi", 1, evaluation=CHOICES)
    assert curves(report_of(tmp_path)) == [
        {"dss, evaluation.answers=choices": ["0.5", "1"], "dss, evaluation.answers=generate": ["0.5", "1"]}
    ]


def test_series_whose_arms_are_told_apart_by_their_fractions_both_stay(tmp_path):
    for steps, fractions in ((400, (0.1, 0.2)), (800, (0.5, 1.0))):
        for fraction in fractions:
            finished(tmp_path / f"dss{fraction}", "dss", 1, {**ARITHMETIC, "train_fraction": fraction}, steps=steps)
    assert curves(report_of(tmp_path)) == [
        {"dss, training.max_steps=400": ["0.1", "0.2"], "dss, training.max_steps=800": ["0.5", "1"]}
    ]


def test_of_two_arms_at_one_fraction_it_is_said_which_is_drawn(tmp_path):
    for fraction in (0.5, 1.0):
        finished(tmp_path / f"dss{fraction}", "dss", 1, {**ARITHMETIC, "train_fraction": fraction})
    finished(tmp_path / "reasons", "dss", 2, right=0.0, evaluation={"rationales": True})
    found = report_of(tmp_path)
    (curve,) = [one for section in found["sections"] for one in section["figures"] if "fraction of" in one["title"]]
    whole = curve["table"]["rows"][-1]["cells"][0]
    (missing,) = [one for section in found["sections"] for one in section["missing"] if "fraction" in one]
    assert whole["value"] > 0
    assert missing == (
        "dss, data.train_fraction=1.0, evaluation.rationales=True is not in arithmetic's curve over the fraction of "
        "the training data: dss, data.train_fraction=1.0, evaluation.rationales=False is in its place."
    )
