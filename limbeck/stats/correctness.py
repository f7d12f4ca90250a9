"""What intervals and tests are made from: which examples each run answered right."""

import numpy as np
import numpy.typing as npt

from limbeck.errors import LimbeckError

Correct = npt.ArrayLike
"""`[N]` of one run or, a row a seed, `[S, N]` of several runs on the same examples: true where the answer is right."""


def as_runs(correct: Correct, name: str) -> np.ndarray:
    """`correct` as a float array `[S, N]` of 0 and 1; an empty list is one run on no examples.

    Raises:
        LimbeckError: not one or two axes, no run at all, or an entry neither right nor wrong (None: not graded).
    """
    try:
        runs = np.atleast_2d(np.asarray(correct))
    except ValueError:  # rows of different lengths
        raise LimbeckError(f"{name}: runs on different numbers of examples; give each the same ones") from None
    if runs.ndim != 2 or len(runs) == 0:
        raise LimbeckError(f"{name}: give one run as [N] or several as [S, N], not an array of shape {runs.shape}")
    if not ((runs == 0) | (runs == 1)).all():
        raise LimbeckError(f"{name}: an entry is neither right nor wrong; leave out the examples that are not graded")
    return runs.astype(float)
