"""How sure a student is of an answer: four definitions, each a number from 0 to 1.

With p_t the probability of an answer's t-th token given the text and the tokens before it, t = 1 .. T, where the T-th
is the end token (none where the answer was cut off at the longest that the student writes):

- `sequence`: prod_t p_t, the probability that the student, sampled from, writes this answer and no other.
- `normalised`: (prod_t p_t)^(1/T), the geometric mean a token. Comparable between lengths, but of no event.
- `first-token`: max_v p(v) over the vocabulary, where the first token is written.
- `choices`: P(answer) / sum_c P(c), with P as in `sequence` and c over the choices, and over the answer itself where it
  counts as none of them.

The default is `choices` where there are any, elsewhere `sequence`: the one of the others that is the probability of
what is graded, the whole answer. (Of an answer that can be spelled in several right ways it is too low.)

In a joint view they are of the label's part alone, given what was written before it: to the end token where the label
comes last, to the token after the label where that is followed by its reasons. There is no `choices` then, because each
choice would need a pass of its own through all that was written, and `first-token` is p_1, which greedy search makes
the highest.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from limbeck.models import Definition


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure a student is of one answer; `probabilities` are what `choices` is taken from, and sum to 1."""

    by_definition: dict[str, float]
    probabilities: dict[str, float] | None = None

    def get(self, wanted: Definition | None) -> float | None:
        """The confidence by the definition `wanted`, None where it is not defined; as a default, by the default one."""
        default = "sequence" if self.probabilities is None else "choices"
        return self.by_definition.get(wanted or default)


def confidence(
    log_p: Sequence[float], first: float, among: Mapping[str, float] | None = None, meant: str | None = None
) -> Confidence | None:
    """All that is defined of an answer; None of a broken student, whose probabilities are no numbers.

    Args:
        log_p: log-probabilities of the answer's tokens, one at least.
        first: the highest log-probability over the vocabulary where the first is written.
        among: log-probabilities of whole answers, of the choices or (last) of an answer that is none of them.
        meant: the one of `among` that the answer is.
    """
    found = {
        "sequence": _rounded(math.exp(math.fsum(log_p))),
        "normalised": _rounded(math.exp(math.fsum(log_p) / len(log_p))),
        "first-token": _rounded(math.exp(first)),
    }
    probabilities = {one: _rounded(p) for one, p in over_choices(among).items()} if among else None
    if probabilities is not None and meant is not None:
        found["choices"] = probabilities[meant]
    numbers = [*found.values(), *(probabilities or {}).values()]
    return None if any(map(math.isnan, numbers)) else Confidence(found, probabilities)


def _rounded(p: float) -> float:
    """To the digits that a probability computed in float32 has."""
    return float(f"{p:.7g}")


def over_choices(log_p: Mapping[str, float]) -> dict[str, float]:
    """Probabilities of answers of these log-probabilities, given that it is one of them: their softmax."""
    highest = max(log_p.values())
    weights = {choice: math.exp(one - highest) for choice, one in log_p.items()}
    total = math.fsum(weights.values())
    return {choice: weight / total for choice, weight in weights.items()}


def choice_meant(answer: str, choices: Sequence[str], equal: Callable[[str, str], bool]) -> str | None:
    """The choice that an answer is, or else the first that it counts as by the task's rule; None where it is none."""
    return answer if answer in choices else next((choice for choice in choices if equal(answer, choice)), None)


def label_first(ids: Sequence[int], label: str, text: Callable[[Sequence[int]], str]) -> slice | None:
    """Where the label is in an answer that begins with it: its tokens and the one after. None where it is not found."""
    ends = (n for n in range(1, len(ids) + 1) if text(ids[:n]) == label)
    return next((slice(0, n + 1) for n in ends), None)


def label_last(ids: Sequence[int], label: str, text: Callable[[Sequence[int]], str]) -> slice | None:
    """Where the label is in an answer that ends with it: its tokens to the very end. None where it is not found."""
    begins = (n for n in range(len(ids) - 1, -1, -1) if text(ids[n:]) == label)
    return next((slice(n, None) for n in begins), None)
