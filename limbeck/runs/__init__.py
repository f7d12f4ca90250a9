"""The Python interface.

Examples:
    >>> from limbeck.runs import load_recipe, train
    >>> run = train(load_recipe("recipe.yaml", ["objective=mi"]), out="runs/mi")
    >>> run.results["test"]["accuracy"]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from limbeck.runs.recipe import Recipe, load_recipe
from limbeck.runs.run import Run, open_run

if TYPE_CHECKING:
    from limbeck.runs.evaluation import EvaluationOptions, evaluate, evaluate_runs, predict_file
    from limbeck.runs.training import quickstart, train

__all__ = [
    "EvaluationOptions", "Recipe", "Run", "evaluate", "evaluate_runs", "load_recipe", "open_run", "predict_file",
    "quickstart", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "training" if name in ("quickstart", "train") else "evaluation"
    return getattr(import_module(f"limbeck.runs.{module}"), name)
