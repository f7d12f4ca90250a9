"""The command line: `limbeck` and its verbs."""

from limbeck.cli.app import main
from limbeck.cli.printing import Answers, Engine

__all__ = ["Answers", "Engine", "main"]
