"""A row of the table: one measure of a baseline and a subject, their ratio, the target and whether it is met."""

from typing import Any

from benchmarks.measure import Comparison, Times


def time_row(
    case: str, times: Times, baseline: str, subject: str, target: tuple[str, float] | None = None, note: str = ""
) -> dict[str, Any]:
    """Two sides' median milliseconds. `target`: in words, and the least ratio it asks for."""
    return {
        "case": case,
        "measure": "time",
        "unit": "ms",
        "baseline": baseline,
        "baseline_value": 1e3 * times.median(baseline),
        "baseline_quartiles": [1e3 * x for x in times.quartiles(baseline)],
        "subject": subject,
        "subject_value": 1e3 * times.median(subject),
        "subject_quartiles": [1e3 * x for x in times.quartiles(subject)],
        **_compared(times.compare(baseline, subject), target),
        "note": note,
    }


def value_row(
    case: str,
    measure: str,
    unit: str,
    baseline: tuple[str, float | None],
    subject: tuple[str, float | None],
    target: str = "",
    met: str = "",
    note: str = "",
) -> dict[str, Any]:
    """Two sides' values of a measure that does not scatter; None: not measured. Without a target `met` is empty."""
    (baseline_name, baseline_value), (subject_name, subject_value) = baseline, subject
    return {
        "case": case,
        "measure": measure,
        "unit": unit,
        "baseline": baseline_name,
        "baseline_value": baseline_value,
        "subject": subject_name,
        "subject_value": subject_value,
        "ratio": baseline_value / subject_value if baseline_value and subject_value else None,
        "target": target,
        "met": met,
        "note": note,
    }


def yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _compared(found: Comparison, target: tuple[str, float] | None) -> dict[str, Any]:
    values: dict[str, Any] = {"ratio": found.ratio, "interval": [found.low, found.high], "target": "", "met": ""}
    if target is not None:
        words, least = target
        clear = found.low >= least or found.high < least
        values |= {"target": words, "met": yes(found.ratio >= least) + ("" if clear else ", within noise")}
    return values


_COLUMNS = ("case", "measure", "baseline", "limbeck", "ratio", "target", "met", "note")


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table. A ratio is baseline over limbeck: above 1 limbeck is better."""
    lines = [" | ".join(_COLUMNS), " | ".join("---" for _ in _COLUMNS)]
    lines += [" | ".join(_cells(row)) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)


def line(row: dict[str, Any]) -> str:
    """The row on one line, for the terminal."""
    cells = dict(zip(_COLUMNS, _cells(row), strict=True))
    text = f"{cells['case']}, {cells['measure']}: {cells['baseline']} | {cells['limbeck']} | ratio {cells['ratio']}"
    if cells["target"]:
        text += f" | target: {cells['target']}: {cells['met']}"
    return text + (f" | {cells['note']}" if cells["note"] else "")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    if "interval" in row:
        ratio += " [{:.2f}, {:.2f}]".format(*row["interval"])
    values = (_value(row, side) for side in ("baseline", "subject"))
    return (row["case"], row["measure"], *values, ratio, row["target"], row["met"], row["note"])


def _value(row: dict[str, Any], side: str) -> str:
    value = row[f"{side}_value"]
    if value is None:
        return f"{row[side]}: not measured"
    text = f"{row[side]}: {value:.4g} {row['unit']}"
    quartiles = row.get(f"{side}_quartiles")
    return text + (" [{:.4g}, {:.4g}]".format(*quartiles) if quartiles else "")
