"""Warm-up of a margin; the annealing of lambda is in test_sphereface.py, as published."""

from hypothesis import given
from hypothesis import strategies as st

from faceverify.training.losses.annealing import warm_up


@given(st.integers(0, 100), st.floats(0.0, 1.0))
def test_a_warm_up_is_whole_at_its_end(step, share):
    assert 0 <= warm_up(step, 100, share) <= 1
    assert warm_up(100, 100, share) == 1
