"""The command line: `limbeck` and its verbs."""

from limbeck.cli.app import Answers, Engine, main

__all__ = ["Answers", "Engine", "main"]
