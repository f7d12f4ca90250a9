"""What the tasks of natural language inference share: their rows, their labels and their teacher's answers."""

import re

from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks.answers import choice_of, normalise, read_choice
from limbeck.tasks.task import Row, first_line, row_id, text_field

LABELS = ("entailment", "neutral", "contradiction")
NOUNS = ("label", "relationship", "relation", "verdict")

_NAMED = re.compile("|".join(LABELS), re.IGNORECASE)
_ALONE = {
    "yes": "entailment",
    "no": "contradiction",
    "maybe": "neutral",
    "unknown": "neutral",
    "undetermined": "neutral",
    "cannot be determined": "neutral",
    "it is not possible to tell": "neutral",
}
_ALONE |= dict.fromkeys(
    ("implikation", "implication", "implicaci\u00f3n", "implicazione", "\u8574\u542b"), "entailment"
)
_ALONE |= dict.fromkeys(("neutre", "neutro", "neutrale", "\u4e2d\u7acb"), "neutral")
_ALONE |= dict.fromkeys(("widerspruch", "contradicci\u00f3n", "contraddizione", "\u77db\u76fe"), "contradiction")
_ALONE |= dict(zip("012", LABELS, strict=True))
_DEGREE = re.compile(r"(?:(?:an?|the)\s)?(?:strong|clear|direct|logical|definite|likely|probable)\s", re.IGNORECASE)
_ARTICLES = re.compile(
    r"(?:(?:it|this|that|is|it's|an?|the|one|of|likely|clearly|probably|label|most likely)\s+)*", re.IGNORECASE
)
_NEITHER = re.compile(
    r"neither\s(?:an?\s)?(?:entail|contradict)\w*,?\snor\s(?:an?\s)?(?:entail|contradict)\w*", re.IGNORECASE
)
_VERB = re.compile(
    r"(?:(?:it|this|that|the|premise|hypothesis|is)\s+){0,5}(?:(?P<entails>entail(?:s|ed)?)|contradict(?:s|ed|ory)?)\b",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:not|no|nothing|never|nor|neither|or|but|both)\b|n't\b|entail.*contradict|contradict.*entail", re.IGNORECASE
)


def read(row: Row, id: str) -> Example:
    """A row with `premise`, `hypothesis` and `label`: 0, 1, 2 or the word for it."""
    segments = (text_field(row, "premise"), text_field(row, "hypothesis"))
    return Example(row_id(row, id), segments, _label(row), choices=LABELS)


def _label(row: Row) -> str:
    value = row.get("label")
    if value is None:
        return ""
    if isinstance(value, int | str) and not isinstance(value, bool):
        numbered = dict(zip("012", LABELS, strict=True))
        if label := numbered.get(str(value)) or choice_of(str(value), LABELS):
            return label
    raise LimbeckError(f"field 'label': 0, 1, 2 or one of {', '.join(LABELS)} was expected, not {value!r:.40}")


def read_answer(text: str, _example: Example) -> str | None:
    """Return the label that the answer is or begins with; None where it is none of the three, or denies one.

    Other words for a label count as it: "entails" and "contradicts" at the answer's start, after its subject at most,
    "neither entailment nor contradiction", and "yes", "no", "maybe" and the data's numbers where they are the whole
    answer. They are read only where no label's own name stands.
    """
    answer = _DEGREE.sub("", first_line(text), count=1)
    if _NEITHER.match(_ARTICLES.sub("", answer, count=1)):
        return "neutral"
    label = read_choice(answer, LABELS) if _NAMED.match(_ARTICLES.sub("", answer, count=1)) else None
    if label is not None or _NAMED.search(answer):
        return label
    alone = _ALONE.get(normalise(answer))
    verb = _VERB.match(answer)
    if alone is not None or verb is None or _UNSURE.search(answer):
        return alone
    return "entailment" if verb["entails"] else "contradiction"
