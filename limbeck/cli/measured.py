"""What the verbs that measure show."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from limbeck.formatting import CALIBRATION, interval, number
from limbeck.notes import lines_of

_MOST_LABELS = 20  # lines


def accuracy_cells(measured: dict[str, Any]) -> tuple[str, str, str]:
    """Accuracy, interval and n as a table shows them."""
    low, high = measured["interval"]
    return f"{measured['accuracy']:.3f}", f"{low:.3f} to {high:.3f}", str(measured["n"])


def print_accuracy(run: Path, splits: dict[str, dict[str, Any]]) -> None:
    """A line a split, and where the run is."""
    for split, measured in splits.items():
        accuracy, interval, n = accuracy_cells(measured)
        print(f"{split:>5}: accuracy {accuracy} (95 % interval {interval}, n = {n})")
        for line in lines_of(measured, measured["n"]):
            print(f"       {line.text}")
        print_labels(measured.get("by_label"))
    print(f"the run is in {run}/")


def print_labels(by_label: dict[str, Any] | None) -> None:
    """Print what always answering the most frequent label would give, macro F1, and accuracy by label."""
    if not by_label:
        return
    majority, labels = by_label["majority"], by_label["labels"]
    print(f"       always {majority['label']!r:.40} would be {majority['accuracy']:.3f}", end="")
    print(f"; macro F1 {by_label['macro_f1']:.3f}")
    for label in labels[:_MOST_LABELS]:
        right = f"accuracy {label['accuracy']:.3f} {interval(label['interval'], 3)}" if label["n"] else "none of them"
        print(f"       {label['label']!r:.40}: {right}, n = {label['n']}, answered {label['predicted']} times")
    if len(labels) > _MOST_LABELS:
        print(f"       and {len(labels) - _MOST_LABELS} rarer labels: --json has them all")


def print_calibration(found: dict[str, Any]) -> None:
    """Measures with intervals, what chance would show, what scaling does, and accuracy at coverage."""
    table = Table(title=f"{found['n']} answers")
    for column in ("measure", "value", "95 % interval", "if calibrated"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    for name, title in CALIBRATION.items():
        if found[name] is not None:
            expected = found.get(f"{name}_expected_if_calibrated")
            table.add_row(title, number(found[name]), interval(found[f"{name}_interval"]), number(expected))
    Console(highlight=False).print(table)
    for line in lines_of(found, found["n"] + found["without_confidence"]):
        print(line.text)
    if 0 < found["n_choices"] < found["n"]:
        print(f"what is over all choices was measured on {found['n_choices']} of them")
    print_labels(found["by_label"])
    if found["ece_p_value"] is not None:
        print(f"p-value of the calibration error, were all calibrated: {found['ece_p_value']:.4f}")
    if found["temperature"] is not None:
        print(f"temperature that fits best: {found['temperature']:.3f} {interval(found['temperature_interval'])}")
    if reason := found["temperature_reason"] or found["scaling"]["reason"]:
        print(f"no temperature: {reason}" if found["temperature"] is None else f"nothing to show of it: {reason}")
    elif (scaled := found["scaling"])["nll_after"] is not None:
        print(f"  negative log-likelihood {number(scaled['nll_before'])}, at it {number(scaled['nll_after'])}")
        print(f"  calibration error {number(scaled['ece_before'])}, at it {number(scaled['ece_after'])}")
    area = found["selective"]
    print(f"area under the risk-coverage curve (AURC): {number(area['aurc'])} {interval(area['aurc_interval'])}")
    for point in area["at_coverage"]:
        print(f"  the surest {point['coverage']:.0%}: accuracy {point['accuracy']:.4f} {interval(point['interval'])}")


def print_comparison(found: dict[str, Any]) -> None:
    """Both accuracies, their difference and what the test says."""
    if not found["n"]:
        print("no examples to compare on")
        return
    print(f"A {found['accuracy_a']:.4f}, B {found['accuracy_b']:.4f}, on {found['n']} examples")
    print(f"A less B: {found['difference']:+.4f} {interval(found['interval'])}")
    print(f"p = {number(found['p_value'])} ({found['test']}); {found['discordant']:g} discordant")
    if found["detectable"] is not None:
        print(f"smallest difference found 4 times of 5 with so many examples: {found['detectable']:.4f}")
    if found["left_out"]:
        print(f"left out, for not all runs have them: {found['left_out']} examples")


def print_judged(found: dict[str, Any]) -> None:
    """The paper's tables 7 and 8: mean scores, and their correlation with right answers."""
    head, *rows = found["table"]
    table = Table(title="scores from 1 to 5: mean, standard deviation (examples); ++: self-consistency")
    for name in head:
        table.add_column(name)
    for row in rows:
        table.add_row(*map(escape, row))  # names of folders among them
    Console(highlight=False).print(table)
    for name, one in found["correlation"].items():
        if (pearson := one["pearson"]) is not None:
            said = f"{pearson['value']:.2f} {interval(pearson['interval'])}, p = {number(pearson['p_value'])}"
        else:
            said = f"undefined ({one['reason']})"
        print(f"{name}: correlation of a right answer with the score: {said}")
