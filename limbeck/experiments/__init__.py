"""Experiments: a recipe becomes a run, a run gives results. This is the Python interface.

>>> from limbeck.experiments import load_recipe, train
>>> run = train(load_recipe("recipe.yaml", ["objective=mi"]), out="runs/mi")
>>> run.results["test"]["accuracy"]
"""

from limbeck.experiments.evaluate import evaluate, evaluate_runs
from limbeck.experiments.predict import predict_file
from limbeck.experiments.quickstart import quickstart
from limbeck.experiments.recipe import Recipe, load_recipe
from limbeck.experiments.run import Run, open_run
from limbeck.experiments.train import train

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
