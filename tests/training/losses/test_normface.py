"""NormFace, which is COCO loss too: softmax over scaled cosines."""

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

CASES = {"normface": ("normface", {"scale": 7.0})}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_equation_written_out(engine):
    check_equation(build(*CASES["normface"], engine=engine), normface)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_pytorch_metric_learning_gives_the_same():
    peer = peers.NormalizedSoftmaxLoss(CLASSES, SIZE, temperature=1 / 7)
    check_peer(build(*CASES["normface"]), peer)


def normface(x, y, W, b, o):
    return cross_entropy([o["scale"] * angle(x, w).cos() for w in W], y)
