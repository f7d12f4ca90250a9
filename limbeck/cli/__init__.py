"""The command line: `limbeck` and its verbs."""

from limbeck.cli.app import main

__all__ = ["main"]
