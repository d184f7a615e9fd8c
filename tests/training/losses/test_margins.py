"""Margins as functions of the cosine: laws for any angle, and the poles."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faceverify.training.losses.annealing import warm_up
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.margins import (
    WIDEST,
    add_angle,
    cosine_of,
    multiply_angle,
    sine_of,
    stretch_angle,
    subtract_from_cosine,
)

ANGLES = torch.linspace(0, math.pi, 20_001, dtype=torch.float64)
COSINES = ANGLES.cos()

MARGINS = [
    *[lambda c, m=m: add_angle(c, m) for m in (0.0, 0.1, 0.5, WIDEST)],
    *[lambda c, m=m: subtract_from_cosine(c, m) for m in (0.0, 0.35)],
    *[lambda c, m=m: multiply_angle(c, m) for m in (1, 2, 3, 4, 5)],
    *[lambda c, m=m: stretch_angle(c, m) for m in (1.0, 1.35, 2.0, 4.0)],
]


@pytest.mark.parametrize("margin", MARGINS)
def test_never_rises_with_the_angle_and_never_helps(margin):
    changed = margin(COSINES)
    assert (changed.diff() <= 1e-9).all()
    assert (changed <= COSINES + 1e-9).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("margin", [*MARGINS, lambda c: add_angle(c, -0.4)])
def test_slopes_at_the_poles_are_finite_and_rise_with_the_cosine(margin, dtype):
    step = torch.finfo(dtype).eps
    cosine = torch.tensor([1.0, -1.0, 1 - step, step - 1, 1 + step, -1 - step, 0.0], dtype=dtype)
    cosine.requires_grad_()
    changed = margin(cosine)
    changed.sum().backward()
    assert changed.isfinite().all()
    assert cosine.grad.isfinite().all()
    assert (cosine.grad >= 0).all()


@given(st.floats(0.0, math.pi), st.floats(-WIDEST, WIDEST))
def test_an_added_angle_is_added(theta, angle):
    changed = add_angle(torch.tensor([math.cos(theta)], dtype=torch.float64), angle).item()
    if 1e-6 < theta + angle < math.pi - 1e-6:
        assert changed == pytest.approx(math.cos(theta + angle), abs=2e-6)
    elif theta + angle < -1e-6:
        assert changed == 1
    elif theta + angle > math.pi + 1e-6:
        assert changed == pytest.approx(math.cos(theta) - angle * math.sin(angle))


def test_an_added_angle_may_differ_from_image_to_image():
    cosines, angles = torch.tensor([0.5, -0.99, 0.99]), torch.tensor([0.3, 0.5, -0.5])
    together = add_angle(cosines, angles)
    alone = [add_angle(cosines[i : i + 1], angles[i].item()) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


@given(st.floats(0.0, math.pi), st.integers(1, 8))
def test_a_multiplied_angle_follows_its_definition(theta, factor):
    k = min(math.floor(factor * theta / math.pi), factor - 1)
    wanted = (-1) ** k * math.cos(factor * theta) - 2 * k
    changed = multiply_angle(torch.tensor([math.cos(theta)], dtype=torch.float64), factor)
    assert changed.item() == pytest.approx(wanted, abs=1e-6)


@given(st.floats(0.01, math.pi - 0.01), st.floats(1.0, 8.0))
def test_a_stretched_angle_stops_at_pi(theta, factor):
    changed = stretch_angle(torch.tensor([math.cos(theta)], dtype=torch.float64), factor)
    assert changed.item() == pytest.approx(math.cos(min(factor * theta, math.pi)), abs=1e-6)


def test_slopes_are_exact():
    """Of the whole of cos(t + m): an engine that holds the sine fixed would give cos(m)."""
    cosine = torch.tensor([0.3, -0.5], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(add_angle(cosine, 0.5).sum(), cosine)
    theta = cosine.detach().acos()
    torch.testing.assert_close(slope, (theta + 0.5).sin() / theta.sin())
    inner = torch.tensor([0.9, 0.3, -0.5, -0.95], dtype=torch.float64, requires_grad=True)
    for margin in MARGINS:
        assert torch.autograd.gradcheck(margin, (inner,))


def test_a_vector_of_length_0_has_cosine_0_and_no_gradient():
    rows = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    units = l2_normalize(rows)
    units.sum().backward()
    torch.testing.assert_close(units.detach(), torch.tensor([[0.0, 0.0], [0.6, 0.8]]))
    assert rows.grad[0].tolist() == [0, 0]
    lengths = torch.tensor([0.0, 2.0])
    assert cosine_of(torch.tensor([0.0, 1.0]), lengths).tolist() == [0.0, 0.5]
    assert sine_of(torch.tensor([1.0, 0.6])).tolist() == pytest.approx([1e-6, 0.8])


@given(st.integers(0, 100), st.floats(0.0, 1.0))
def test_a_warm_up_is_whole_at_its_end(step, share):
    assert 0 <= warm_up(step, 100, share) <= 1
    assert warm_up(100, 100, share) == 1
