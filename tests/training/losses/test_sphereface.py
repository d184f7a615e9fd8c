"""SphereFace (A-Softmax), annealed."""

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
    psi,
)
from pytorch_metric_learning import losses as peers
from refused_options import check_refused

CASES = {"sphereface": ("sphereface", {"margin": 4, "anneal_to": 2.0})}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_equation_written_out(engine):
    check_equation(build(*CASES["sphereface"], engine=engine), sphereface)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_pytorch_metric_learning_gives_the_same():
    peer = peers.SphereFaceLoss(CLASSES, SIZE, margin=4)
    check_peer(build(*CASES["sphereface"], anneal_to=0.0), peer)


def test_annealing_falls_as_published():
    """1000 / (1 + 0.12 step), at least 5, on the published 28,000 steps."""
    loss = build(*CASES["sphereface"], anneal_to=5.0)
    easings = []
    for step in range(2000):
        loss.begin_step(step, 28_000)
        easings.append(loss.easing)
        if 20 < step < 200:
            assert 0.8 < loss.easing / (1000 / (1 + 0.12 * step)) < 1.25
    assert easings[0] == 1000
    assert easings[-1] == 5
    assert sorted(easings, reverse=True) == easings


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"margin": 0}, "in 1 to 8"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("sphereface", options, words)


def sphereface(x, y, W, b, o):
    """Eq. 7."""
    thetas, easing = [angle(x, w) for w in W], o["anneal_to"]
    logits = [x.norm() * theta.cos() for theta in thetas]
    logits[y] = x.norm() * (easing * thetas[y].cos() + psi(thetas[y], o["margin"])) / (1 + easing)
    return cross_entropy(logits, y)
