"""The Python interface: a recipe becomes a run, a run gives results.

Examples:
    >>> from limbeck.runs import load_recipe, train
    >>> run = train(load_recipe("recipe.yaml", ["objective=mi"]), out="runs/mi")
    >>> run.results["test"]["accuracy"]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.runs.evaluation import EvaluationOptions as EvaluationOptions
    from limbeck.runs.evaluation import evaluate as evaluate
    from limbeck.runs.evaluation import evaluate_runs as evaluate_runs
    from limbeck.runs.evaluation import predict_file as predict_file
    from limbeck.runs.recipe import Recipe as Recipe
    from limbeck.runs.recipe import load_recipe as load_recipe
    from limbeck.runs.run import Run as Run
    from limbeck.runs.run import open_run as open_run
    from limbeck.runs.training import quickstart as quickstart
    from limbeck.runs.training import train as train

_EXPORTS = {
    "evaluation": ("EvaluationOptions", "evaluate", "evaluate_runs", "predict_file"),
    "recipe": ("Recipe", "load_recipe"),
    "run": ("Run", "open_run"),
    "training": ("quickstart", "train"),
}


def __getattr__(name: str) -> Any:
    """Import what is used (PEP 562), so that a recipe can be read without torch."""
    for module, exports in _EXPORTS.items():
        if name in exports:
            return getattr(import_module(f"limbeck.runs.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
