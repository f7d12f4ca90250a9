"""The teacher: its raw words, taken apart."""

from limbeck.llm.parsing import Parsed, parse, stated_answer
from limbeck.llm.thoughts import split_thoughts

__all__ = ["Parsed", "parse", "split_thoughts", "stated_answer"]
