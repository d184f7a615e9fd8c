"""SphereFace-R, version 1."""

import math

import pytest
import torch
from centre_losses import ENGINES, angle, build, check_equation, cross_entropy

CASES = {"sphereface-r": ("sphereface-r", {"margin": 1.7, "scale": 7.0})}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_equation_written_out(engine):
    check_equation(build(*CASES["sphereface-r"], engine=engine), sphereface_r)


def sphereface_r(x, y, W, b, o):
    logits = [o["scale"] * angle(x, w).cos() for w in W]
    logits[y] = o["scale"] * torch.cos((o["margin"] * angle(x, W[y])).clamp(max=math.pi))
    return cross_entropy(logits, y)
