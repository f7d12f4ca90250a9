"""Runs: a recipe becomes a run, a run gives results. This is the Python interface.

>>> from limbeck.runs import load_recipe, train
>>> run = train(load_recipe("recipe.yaml", ["objective=mi"]), out="runs/mi")
>>> run.results["test"]["accuracy"]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.runs.evaluation import EvaluationOptions, evaluate, evaluate_runs, predict_file
    from limbeck.runs.recipe import Recipe, load_recipe
    from limbeck.runs.run import Run, open_run
    from limbeck.runs.training import quickstart, train

# Imported when first used (PEP 562): a recipe can be read without torch.
_MODULES = {
    "EvaluationOptions": "evaluation",
    "Recipe": "recipe",
    "Run": "run",
    "evaluate": "evaluation",
    "evaluate_runs": "evaluation",
    "load_recipe": "recipe",
    "open_run": "run",
    "predict_file": "evaluation",
    "quickstart": "training",
    "train": "training",
}
__all__ = [
    "EvaluationOptions",
    "Recipe",
    "Run",
    "evaluate",
    "evaluate_runs",
    "load_recipe",
    "open_run",
    "predict_file",
    "quickstart",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"limbeck.runs.{_MODULES[name]}"), name)
