"""The main job in miniature: three methods on the embedded task, side by side."""

from importlib.resources import files
from pathlib import Path

from limbeck.runs.recipe import load_recipe
from limbeck.runs.run import Run
from limbeck.runs.train import train

_REASONS = "evaluation.rationales=true"  # for the report to show
OBJECTIVES = {"finetune": [], "dss": [_REASONS], "mi": [_REASONS]}  # each with its changes of the recipe
RECIPE = Path(str(files("limbeck.runs") / "quickstart.yaml"))


def quickstart(out: Path, seed: int) -> list[Run]:
    """Train a tiny student under each of `OBJECTIVES`, each in its own folder below `out`; finished ones are kept."""
    return [
        train(load_recipe(RECIPE, [f"objective={name}", f"seed={seed}", *own]), out / f"{name}-seed{seed}", resume=True)
        for name, own in OBJECTIVES.items()
    ]
