"""L-Softmax, the multiplicative angular margin, annealed."""

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

CASES = {"lsoftmax": ("lsoftmax", {"margin": 3, "anneal_to": 0.5})}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_equation_written_out(engine):
    check_equation(build(*CASES["lsoftmax"], engine=engine), lsoftmax)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_pytorch_metric_learning_gives_the_same():
    peer = peers.LargeMarginSoftmaxLoss(CLASSES, SIZE, margin=3)
    check_peer(build(*CASES["lsoftmax"], anneal_to=0.0), peer)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"margin": 2.5}, "a whole number"),
        ({"anneal_from": 1.0, "anneal_to": 2.0}, "at least anneal_to"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("lsoftmax", options, words)


def lsoftmax(x, y, W, b, o):
    """Eq. 4 to 6; section 5.1 on annealing."""
    logits = [w @ x for w in W]
    theta, easing = angle(x, W[y]), o["anneal_to"]
    eased = (easing * theta.cos() + psi(theta, o["margin"])) / (1 + easing)
    logits[y] = W[y].norm() * x.norm() * eased
    return cross_entropy(logits, y)
