"""The page of an evaluation: how right, how sure, how well reasoned, as JSON and as Markdown."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data import task_of
from limbeck.evaluation.answered import read_answers
from limbeck.evaluation.dependence import dependence
from limbeck.evaluation.quality import quality
from limbeck.evaluation.selective import CascadePoint, cascade
from limbeck.experiments.measures import calibrate_file
from limbeck.experiments.run import Run
from limbeck.files import write_json, write_text
from limbeck.schema import Example, Prediction
from limbeck.students import Student
from limbeck.tasks import Split

_SHOWN = 11  # points of the cascade on the Markdown page: every tenth of the questions passed on


def write_page(
    run: Run, split: Split, student: Student, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, Any]:
    """Measure what a student said on a split, and write it to `evaluation/SPLIT.json` and `.md` in the run's folder.

    Returns:
        `calibration` and `selective`, where every answer has a confidence; `cascade` with the teacher, where every
        example has its answer; `quality` and `dependence`, where there are rationales. What there is not is None.
    """
    task = task_of(run.recipe.data)
    reasoned = any(one.rationale is not None for one in predictions)
    sure = all(one.confidence is not None and one.correct is not None for one in predictions)
    confidence = [one.confidence for one in predictions if one.confidence is not None]
    correct = [bool(one.correct) for one in predictions]
    teacher = [example.teacher_label for example in examples]
    taught = all(label is not None for label in teacher)
    right = [task.equal(str(label), example.label) for label, example in zip(teacher, examples, strict=True)]
    calibration = calibrate_file(run.predictions(split), _validation(run, split)) if sure else {"selective": None}
    selected = calibration.pop("selective")
    found: dict[str, Any] = {
        "run": str(run.path),
        "split": split,
        "n": len(predictions),
        "calibration": calibration or None,
        "selective": selected,
        "cascade": _cascade(cascade(confidence, correct, right, 0.0, 1.0)) if sure and taught else None,
        "quality": quality(predictions, examples, task) if reasoned else None,
        "dependence": asdict(dependence(student, examples, title=f"{split}, dependence")) if reasoned else None,
    }
    folder = run.path / "evaluation"
    write_json(folder / f"{split}.json", found)
    write_text(folder / f"{split}.md", _markdown(found))
    return found


def _validation(run: Run, split: Split) -> Path | None:
    """The run's predictions on validation, if they have confidences and are not what is measured."""
    path = run.predictions("valid")
    if split == "valid" or not path.is_file():
        return None
    return path if all(one.confidence is not None for one in read_answers(path)) else None


def _cascade(points: Sequence[CascadePoint]) -> list[dict[str, Any]]:
    return [
        {"threshold": one.threshold, "passed": one.passed, "accuracy": one.accuracy, "cost": one.cost} for one in points
    ]


def _markdown(found: dict[str, Any]) -> str:
    lines = [f"# {found['run']}, {found['split']}: {found['n']} answers", ""]
    if (calibration := found["calibration"]) is not None:
        lines += _table(
            ("measure", "value", "95 % interval", "if calibrated"),
            [
                (
                    name,
                    calibration[name],
                    calibration[f"{name}_interval"],
                    calibration.get(f"{name}_expected_if_calibrated"),
                )
                for name in (
                    "accuracy",
                    "average_confidence",
                    "ece",
                    "adaptive_ece",
                    "classwise_ece",
                    "mce",
                    "brier",
                    "nll",
                )
            ],
        )
        where = calibration["temperature_fitted_on"]
        lines += [f"Temperature: {_cell(calibration['temperature'])}, fitted on {where}.", ""]
        bins = [
            (f"{one['low']:.1f} to {one['high']:.1f}", one["n"], one["confidence"], one["accuracy"], one["interval"])
            for one in calibration["bins"]
        ]
        lines += ["## Reliability", ""]
        lines += _table(("confidence", "n", "mean confidence", "accuracy", "95 % interval"), bins)
    if (selected := found["selective"]) is not None:
        lines += ["## The surest answers", ""]
        rows = [(f"{one['coverage']:.0%}", one["accuracy"], one["interval"]) for one in selected["at_coverage"]]
        lines += _table(("share", "accuracy", "95 % interval"), rows)
        area = f"{_cell(selected['aurc'])} {_cell(selected['aurc_interval'])}"
        lines += [f"Area under risk and coverage: {area}.", ""]
    if (points := found["cascade"]) is not None:
        lines += ["## The student where it is sure, else the teacher", ""]
        chosen = [min(points, key=lambda one: abs(one["passed"] - share)) for share in np.linspace(0, 1, _SHOWN)]
        lines += _table(("passed on", "accuracy"), [(f"{one['passed']:.0%}", one["accuracy"]) for one in chosen])
    if (reasons := found["quality"]) is not None:
        lines += ["## Rationales", ""]
        names = ("n", "rouge1", "rouge2", "rougeL", "words", "reference_words", "repetition")
        lines += _table(("measure", "value"), [("bleu", reasons["bleu"]["score"]), *((n, reasons[n]) for n in names)])
        agreeing = reasons["consistency"]
        lines += [f"Consistency: {', '.join(f'{name} {_cell(value)}' for name, value in agreeing.items())}.", ""]
    if (bound := found["dependence"]) is not None:
        said = bound["reason"] or f"at least {_cell(bound['nats'])} nats {_cell(bound['interval'])}"
        lines += [
            "## Dependence of the label's side and the rationale's",
            "",
            f"{said}; to be compared between runs on",
        ]
        lines += ["the same examples only.", ""]
    return "\n".join(lines)


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    cells = [heads, ["---"] * len(heads), *([_cell(value) for value in row] for row in rows)]
    return [*(f"| {' | '.join(row)} |" for row in cells), ""]


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:.4f}"
        case [low, high] | (low, high):
            return f"({low:.4f} to {high:.4f})"
    return str(value)
