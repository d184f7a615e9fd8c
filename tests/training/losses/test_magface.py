"""MagFace, a margin that grows with the embedding's length."""

import pytest
from centre_losses import (
    ENGINES,
    angle,
    batch_of,
    build,
    check_equation,
    cross_entropy,
    plus,
)
from refused_options import check_refused

CASES = {"magface": ("magface", {"scale": 7.0, "shortest": 1.2, "longest": 3.0})}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_equation_written_out(engine):
    check_equation(build(*CASES["magface"], engine=engine), magface)


def test_the_batch_has_lengths_on_both_sides_of_both_limits():
    """Or the test above would say little."""
    loss = build(*CASES["magface"])
    lengths = batch_of(loss)[0].norm(dim=1)
    assert (lengths < loss.shortest).any()
    assert (lengths > loss.longest).any()
    assert ((lengths > loss.shortest) & (lengths < loss.longest)).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"most_margin": 0.1}, "in [least_margin, 1.5]"),
        ({"shortest": 200.0}, "above shortest"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("magface", options, words)


def magface(x, y, W, b, o):
    """Eq. 3."""
    length = x.norm().clamp(o["shortest"], o["longest"])
    rise = (o["most_margin"] - o["least_margin"]) / (o["longest"] - o["shortest"])
    margin = o["least_margin"] + rise * (length - o["shortest"])
    logits = [o["scale"] * angle(x, w).cos() for w in W]
    logits[y] = o["scale"] * plus(angle(x, W[y]), margin)
    pull = o["weight"] * (length / o["longest"] ** 2 + 1 / length)
    return cross_entropy(logits, y) + pull
