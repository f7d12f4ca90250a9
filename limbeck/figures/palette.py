"""What tells series apart: colour, dashes and marker, each by itself for the first few, together for dozens."""

from collections.abc import Mapping
from typing import Any

INK = "#010203"  # stands for the page's own colour until `svg` writes currentColor

# At least 3:1 against white and against #121212, a narrow band of luminance. Any two are at least 0.097 apart in OKLab
# as seen normally, by protanopes and by deuteranopes, 0.075 by tritanopes (Machado et al. 2009).
COLOURS = ("#1f5eff", "#f4620c", "#217a5f", "#b46bb9", "#d4102c", "#819977", "#b002b7", "#598dfe")
_DASHES = ("solid", (0, (5, 2)), (0, (1.6, 1.4)), (0, (7, 2, 1.5, 2)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def style(place: int) -> Mapping[str, Any]:
    """How matplotlib draws the line of the series at `place`; no two of the first 256 alike."""
    turn = place // len(COLOURS)
    marker = _MARKERS[(place + turn // len(_DASHES)) % len(_MARKERS)]
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": _DASHES[(place + turn) % len(_DASHES)],
        "marker": marker,
        "markersize": 8 if marker == "*" else 6,
        "markeredgewidth": 0,
        "linewidth": 2,
        "clip_on": False,
    }
