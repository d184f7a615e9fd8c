"""Learning rates, against their equations, and laws for any of them."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs the train extra")

from faceverify.errors import TrainingError
from faceverify.training.optim.schedules import SCHEDULES, make_schedule


def test_cosine_as_written_out():
    rate = make_schedule("cosine", floor=0.1)
    for step in range(10):
        assert rate(step, 10) == pytest.approx(0.1 + 0.45 * (1 + math.cos(math.pi * step / 10)))


def test_polynomial_as_written_out():
    rate = make_schedule("polynomial", power=2, warm_up=0.2)
    assert [rate(step, 10) for step in range(2)] == pytest.approx([1 / 3, 2 / 3])
    for step in range(2, 10):
        assert rate(step, 10) == pytest.approx((1 - (step - 2) / 8) ** 2)


def test_steps_as_written_out():
    rate = make_schedule("step", milestones=(0.5, 0.8), factor=0.1)
    assert [rate(step, 10) for step in range(10)] == pytest.approx([1] * 5 + [0.1] * 3 + [0.01] * 2)
    late = make_schedule("step", milestones=(0.5,), factor=0.1, warm_up=0.2)
    assert late(4, 10) == 1
    assert late(5, 10) == pytest.approx(0.1)  # milestones count from the start of the run


def test_constant_is_constant():
    rate = make_schedule("constant", warm_up=0.5)
    assert [rate(step, 4) for step in range(4)] == pytest.approx([1 / 3, 2 / 3, 1, 1])


schedules = st.builds(
    make_schedule,
    st.sampled_from(SCHEDULES),
    warm_up=st.floats(0, 0.9),
    floor=st.floats(0, 1),
    power=st.floats(0.1, 4),
    factor=st.floats(0.01, 1),
)


@given(rate=schedules, total=st.integers(1, 60), at=st.floats(0, 1, exclude_max=True))
def test_a_rate_is_a_share_that_rises_then_falls(rate, total, at):
    rates = [rate(step, total) for step in range(total)]
    assert all(0 < share <= 1 for share in rates)
    top = rates.index(max(rates))
    assert all(a <= b + 1e-12 for a, b in pairwise(rates[: top + 1]))
    assert all(a >= b - 1e-12 for a, b in pairwise(rates[top:]))
    assert rate(int(at * total), total) == rates[int(at * total)]


@given(name=st.sampled_from(["cosine", "polynomial"]), floor=st.floats(0, 1))
def test_the_end_is_near_the_floor(name, floor):
    assert make_schedule(name, floor=floor)(9_999, 10_000) == pytest.approx(floor, abs=1e-3)


def test_a_schedule_that_nobody_knows():
    with pytest.raises(TrainingError, match="'linear', not one of cosine"):
        make_schedule("linear")
