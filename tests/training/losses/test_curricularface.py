"""CurricularFace, which weighs hard negatives more as training goes on."""

import pytest
import torch
from centre_losses import ENGINES, angle, batch_of, build, check_equation, cross_entropy, plus

CASES = {"curricularface": ("curricularface", {"scale": 7.0, "momentum": 0.7})}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_equation_written_out(engine):
    check_equation(build(*CASES["curricularface"], engine=engine), curricularface)


def test_its_weight_follows_the_targets_cosines():
    loss = build(*CASES["curricularface"], momentum=0.25)
    rows, labels = batch_of(loss)
    cosine = torch.nn.functional.cosine_similarity(rows, loss.softmax.centres[labels])
    loss(rows, labels)
    torch.testing.assert_close(loss.weight, 0.25 * cosine.mean().detach())
    assert "weight" in loss.state_dict()


def curricularface(x, y, W, b, o):
    """Eq. 3 to 5; o holds the running mean of the targets' cosines that counts for this batch."""
    target = plus(angle(x, W[y]), o["margin"])
    logits = []
    for w in W:
        cosine = angle(x, w).cos()
        hard = cosine > target
        logits.append(o["scale"] * (cosine * (o["weight"] + cosine) if hard else cosine))
    logits[y] = o["scale"] * target
    return cross_entropy(logits, y)
