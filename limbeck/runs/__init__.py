"""Experiments: a recipe becomes a run, a run gives results. This is the Python interface.

>>> from limbeck.runs import load_recipe, train
>>> run = train(load_recipe("recipe.yaml", ["objective=mi"]), out="runs/mi")
>>> run.results["test"]["accuracy"]
"""

from limbeck.runs.evaluate import evaluate, evaluate_runs
from limbeck.runs.predict import predict_file
from limbeck.runs.quickstart import quickstart
from limbeck.runs.recipe import Recipe, load_recipe
from limbeck.runs.run import Run, open_run
from limbeck.runs.train import train

__all__ = [
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
