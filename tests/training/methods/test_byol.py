"""BYOL: predictions of the other view as the teacher sees it, and a teacher that follows."""

import math

import pytest
import torch
from slow_views import Scaled, batch_of, cosine, rows

from faceverify.training.methods.byol import BYOL


def written_out(method, backbone, first, second):
    """Equation 2 for both orders of the views, one image at a time."""
    total = 0.0
    for one, other in ((first, second), (second, first)):
        predicted = method.predictor(method.projector(backbone(one))).detach()
        target = method.teacher.heads(method.teacher.backbone(other)).detach()
        for image in range(len(one)):
            total += 2 - 2 * cosine(predicted[image], target[image])
    return total / len(first)


def learner():
    torch.manual_seed(0)
    backbone = Scaled()
    method = BYOL(embedding_size=5, backbone=backbone, projection=4, hidden=7).double()
    with torch.no_grad():  # or the student would be its teacher
        backbone.weight.fill_(3.0)
        for weight in method.projector.parameters():
            weight.add_(0.1)
    return method, backbone


def test_the_equation_written_out():
    method, backbone = learner()
    first, second = rows(seed=1), rows(seed=2)
    wanted = written_out(method, backbone, first, second)
    found = method(lambda views: [backbone(view) for view in views], batch_of(first, second))
    assert found.item() == pytest.approx(wanted)


def test_the_teacher_follows_with_a_momentum_that_rises_to_one():
    method, backbone = learner()
    for step, momentum in ((0, 0.99), (50, 0.995), (100, 1.0)):
        method.begin_step(step, 100)
        wanted = 1 - 0.01 * (math.cos(math.pi * step / 100) + 1) / 2
        assert method.momentum == pytest.approx(momentum) == pytest.approx(wanted)
    method.begin_step(50, 100)
    before = [one.clone() for one in method.teacher.heads.parameters()]
    method.finish_step(backbone)
    assert float(method.teacher.backbone.weight) == pytest.approx(0.995 * 2 + 0.005 * 3)
    for own, old, student in zip(
        method.teacher.heads.parameters(), before, method.projector.parameters(), strict=True
    ):
        torch.testing.assert_close(own.detach(), 0.995 * old + 0.005 * student.detach())


def test_lightly_gives_the_same():
    loss = pytest.importorskip("lightly.loss", reason="lightly is not installed")
    from faceverify.training.methods.byol import apart

    first, second = rows(seed=1), rows(seed=2)
    theirs = loss.NegativeCosineSimilarity()(first, second)
    torch.testing.assert_close(apart(first, second), 2 + 2 * theirs)
