"""An objective's settings change what they say they change, and refuse what has no meaning."""

import pytest

from limbeck.errors import LimbeckError
from limbeck.objectives import METHODS, AlignmentTerm, ObjectiveSettings


@pytest.mark.parametrize("name", METHODS)
def test_a_bare_name_is_the_tables_row_and_its_resolved_form_reads_back(name):
    settings = ObjectiveSettings(name=name)
    assert settings.build() == METHODS[name]
    assert ObjectiveSettings.model_validate(settings.resolved()).build() == METHODS[name]


def test_changes_reach_their_terms():
    alignment = {"pool": "mean", "divergence": "kl", "mask_padding": False, "normalise": False, "detach": "none"}
    weights = {"label_weight": 0.3, "rationale_weight": 0.7, "alignment_weight": 2.0}
    terms = ObjectiveSettings(name="mi", **weights, **alignment, symmetric=True).build().terms
    assert [term.weight for term in terms] == [0.3, 0.7, 2.0]
    assert terms[2] == AlignmentTerm(2.0, **alignment, symmetric=True)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "mii"}, "did you mean 'mi'"),
        ({"name": "mi", "pool": "maximum"}, "pool"),
        ({"name": "dss", "alignment_weight": 0.1}, "alignment_weight has no meaning for dss"),
        ({"name": "mi", "alignment_weight": -1}, "alignment_weight"),
        ({"name": "mi", "alignment_weight": float("nan")}, "alignment_weight"),
    ],
)
def test_what_has_no_meaning_is_refused(values, field):
    with pytest.raises(LimbeckError, match=field):
        ObjectiveSettings.parse(values, "here")
