"""CosFace, the additive cosine margin."""

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
)
from pytorch_metric_learning import losses as peers
from refused_options import check_refused

CASES = {"cosface": ("cosface", {"scale": 7.0})}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_equation_written_out(engine):
    check_equation(build(*CASES["cosface"], engine=engine), cosface)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_pytorch_metric_learning_gives_the_same():
    peer = peers.CosFaceLoss(CLASSES, SIZE, margin=0.35, scale=7)
    check_peer(build(*CASES["cosface"]), peer)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": -1}, "above 0"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("cosface", options, words)


def cosface(x, y, W, b, o):
    """Eq. 4."""
    logits = [o["scale"] * angle(x, w).cos() for w in W]
    logits[y] = logits[y] - o["scale"] * o["margin"]
    return cross_entropy(logits, y)
