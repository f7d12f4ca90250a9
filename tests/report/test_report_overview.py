"""The paragraph says what difference could have been found, by which test, and for which arms."""

import re
import shutil

from tests.report.reports import ARITHMETIC, finished, report_of

ALONE = "one test alone, before Holm's correction, finds 4 times of 5"


def overview(path):
    return " ".join(report_of(path)["overview"])


def agreeing(folder, objective, other, **more):
    """A run that answers as another does, so that no difference of theirs can be found."""
    shutil.copy(other / "predictions" / "test.jsonl", finished(folder, objective, 1, **more) / "predictions")


def test_the_smallest_difference_is_that_of_one_test_alone(tmp_path):
    for objective in ("dss", "mi", "kl"):
        finished(tmp_path / objective, objective, 1, right=0.6)
    assert re.search(rf"the smallest difference that {ALONE} is [\d.]+ to [\d.]+ points\)", overview(tmp_path))


def test_an_arm_of_which_nothing_can_be_found_is_left_out_of_the_smallest_difference(tmp_path):
    dss = finished(tmp_path / "dss", "dss", 1, right=0.6)
    finished(tmp_path / "mi", "mi", 1, right=0.6)
    agreeing(tmp_path / "kl", "kl", dss)
    assert re.search(rf"{ALONE} is [\d.]+ points; for kl there is none\)", overview(tmp_path))


def test_of_many_groups_it_is_said_in_how_many_nothing_can_be_found(tmp_path):
    for fraction in (0.1, 0.2, 0.3, 0.4, 0.5, 1.0):
        data = {**ARITHMETIC, "train_fraction": fraction}
        dss = finished(tmp_path / f"dss{fraction}", "dss", 1, data, right=0.6)
        finished(tmp_path / f"mi{fraction}", "mi", 1, data, right=0.6)
        agreeing(tmp_path / f"kl{fraction}", "kl", dss, data=data)
    said = overview(tmp_path)
    assert re.search(
        r"In 12 of 12 comparisons no difference can be concluded; the smallest differences that "
        rf"{ALONE} are [\d.]+( to [\d.]+)? points; in 6 there is none\.",
        said,
    )
