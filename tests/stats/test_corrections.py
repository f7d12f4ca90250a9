"""Corrections for many comparisons, against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.stats.corrections import holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_by_hand():
    p_values = [0.01, 0.04, 0.03, 0.005]
    assert holm(p_values) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(P_VALUES, st.floats(0.001, 0.5))
def test_holm_rejects_what_its_steps_reject(p_values, level):
    rejected = set()
    for step, number in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[number] * (len(p_values) - step) > level:
            break
        rejected.add(number)
    assert {number for number, p in enumerate(holm(p_values)) if p <= level} == rejected


def test_what_could_not_be_compared_stays_and_is_not_counted():
    assert holm([]) == []
    assert holm([None]) == [None]
    assert holm([0.04]) == [0.04]
    assert holm([None, 0.04, None, 0.01])[1::2] == holm([0.04, 0.01])
    assert holm([None, 0.04, None, 0.01])[::2] == [None, None]


def test_holm_keeps_the_chance_of_any_false_finding():
    drawn = np.random.default_rng(0).random((2000, 10))
    assert np.mean([min(holm(row)) < 0.05 for row in drawn]) == pytest.approx(0.05, abs=0.015)
