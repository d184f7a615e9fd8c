"""Softmax with cross-entropy, and its bias."""

import pytest
from centre_losses import ENGINES, build, check_equation, cross_entropy

CASES = {"softmax": ("softmax", {})}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_equation_written_out(engine):
    check_equation(build(*CASES["softmax"], engine=engine), softmax)


def softmax(x, y, W, b, o):
    return cross_entropy([w @ x + b_j for w, b_j in zip(W, b, strict=True)], y)
