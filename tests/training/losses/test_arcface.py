"""ArcFace, the additive angular margin, with and without sub-centres."""

import math

import pytest
from centre_losses import (
    CLASSES,
    ENGINES,
    SIZE,
    angle,
    build,
    check_equation,
    check_peer,
    cross_entropy,
    plus,
)
from pytorch_metric_learning import losses as peers
from refused_options import check_refused

CASES = {
    "arcface": ("arcface", {"scale": 7.0}),
    "sub-centres": ("arcface", {"scale": 7.0, "sub_centres": 3}),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_the_equation_written_out(case, engine):
    equation = arcface if case == "arcface" else sub_centre_arcface
    check_equation(build(*CASES[case], engine=engine), equation)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
@pytest.mark.parametrize("case", CASES)
def test_pytorch_metric_learning_gives_the_same(case):
    """Past the pole of an added angle too: version 2.9 goes on with cos(t) - m sin(m) as we do."""
    options = {"margin": math.degrees(0.5), "scale": 7}
    peer = (
        peers.ArcFaceLoss(CLASSES, SIZE, **options)
        if case == "arcface"
        else peers.SubCenterArcFaceLoss(
            num_classes=CLASSES, embedding_size=SIZE, sub_centers=3, **options
        )
    )
    check_peer(build(*CASES[case]), peer)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"margin": 2.0}, "in [0, 1.5], in radians"),
        ({"warm_up": 1.5}, "in [0, 1]"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("arcface", options, words)


def arcface(x, y, W, b, o):
    """Eq. 3."""
    logits = [o["scale"] * angle(x, w).cos() for w in W]
    logits[y] = o["scale"] * plus(angle(x, W[y]), o["margin"])
    return cross_entropy(logits, y)


def sub_centre_arcface(x, y, W, b, o):
    """W is (C, K, D)."""
    thetas = [min((angle(x, w) for w in ws), key=lambda theta: theta.item()) for ws in W]
    logits = [o["scale"] * theta.cos() for theta in thetas]
    logits[y] = o["scale"] * plus(thetas[y], o["margin"])
    return cross_entropy(logits, y)
