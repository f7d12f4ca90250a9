"""The teacher: its raw words, taken apart."""

from limbeck.teacher.parsing import Parsed, parse, stated_answer
from limbeck.teacher.thoughts import split_thoughts

__all__ = ["Parsed", "parse", "split_thoughts", "stated_answer"]
