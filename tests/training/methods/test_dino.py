"""DINO: cross-entropy with a centred, sharpened teacher; its schedules and signs."""

import math

import numpy as np
import pytest
import torch
from slow_views import Scaled, batch_of, rows

from faceverify.training.methods.dino import DINO


def softmax(values):
    powers = [math.exp(value - max(values)) for value in values]
    return [power / sum(powers) for power in powers]


def outputs(net, heads, view):
    """Cosines of projected embeddings and prototypes, one by one."""
    projector, prototypes = heads
    found = []
    for row in projector(net(view)).detach().numpy():
        found.append([
            float(row @ one / np.linalg.norm(row) / np.linalg.norm(one))
            for one in prototypes.weight.detach().numpy()
        ])  # fmt: skip
    return found


def written_out(method, backbone, views, heat):
    """Algorithm 1 over all pairs of a large view of the teacher and another of the student."""
    centre = method.centre.numpy()
    losses = []
    for i in range(2):
        taught = outputs(method.teacher.backbone, method.teacher.heads, views[i])
        for v in range(len(views)):
            if v == i:
                continue
            student = outputs(backbone, method.heads, views[v])
            for t, s in zip(taught, student, strict=True):
                p = softmax([(value - c) / heat for value, c in zip(t, centre, strict=True)])
                q = softmax([value / method.temperature for value in s])
                losses.append(-sum(a * math.log(b) for a, b in zip(p, q, strict=True)))
    return sum(losses) / len(losses)


def learner(**options):
    torch.manual_seed(0)
    backbone = Scaled()
    method = DINO(
        embedding_size=5, backbone=backbone, prototypes=7, projection=4, hidden=6, **options
    ).double()
    with torch.no_grad():
        backbone.weight.fill_(3.0)
        for weight in method.heads.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
        method.centre.normal_(std=0.1)
    return method, backbone


def test_the_equation_written_out():
    method, backbone = learner()
    views = [rows(seed=seed) for seed in range(4)]
    wanted = written_out(method, backbone, views, 0.04)
    found = method(lambda views: [backbone(view) for view in views], batch_of(*views))
    assert found.item() == pytest.approx(wanted)


def test_the_centre_and_the_teacher_follow():
    method, backbone = learner(momentum=0.9)
    views = [rows(seed=seed) for seed in range(3)]
    before = method.centre.clone()
    taught = [outputs(method.teacher.backbone, method.teacher.heads, view) for view in views[:2]]
    method(lambda views: [backbone(view) for view in views], batch_of(*views))
    method.finish_step(backbone)
    mean = np.mean(np.concatenate(taught), axis=0)
    np.testing.assert_allclose(method.centre, 0.9 * before.numpy() + 0.1 * mean)
    assert method.teacher.backbone.weight.item() == pytest.approx(0.9 * 2 + 0.1 * 3)


def test_schedules():
    method, _ = learner(first_teacher_temperature=0.04, teacher_temperature=0.08, fixed=0.3)
    found = []
    for step in (0, 5, 10, 60):
        method.begin_step(step, 100)
        found.append(method.teacher_temperature)
    assert found == pytest.approx([0.04, 0.06, 0.08, 0.08])
    assert method.momentum == pytest.approx(1 - 0.01 * (math.cos(0.6 * math.pi) + 1) / 2)
    for step, turns in ((29, False), (30, True)):
        method.begin_step(step, 100)
        weight = method.prototypes.weight
        (slope,) = torch.autograd.grad(method.prototypes(rows(3, 4)).square().sum(), weight)
        assert bool(slope.any()) == turns


def test_both_collapses_of_the_teacher_tell_nothing():
    method, _ = learner()
    method.centre.zero_()
    for outputs_of_all, entropy in ((torch.zeros(6, 7), math.log(7)), (9 * torch.eye(7)[:1], 0.0)):
        method._outputs = outputs_of_all.expand(6, 7).double()
        wanted = {"teacher_entropy": entropy, "teacher_information": 0.0}
        assert method.signs() == pytest.approx(wanted, abs=1e-9)
    method._outputs = 9 * torch.eye(7).double()  # each photo to a prototype of its own
    wanted = {"teacher_entropy": 0.0, "teacher_information": math.log(7)}
    assert method.signs() == pytest.approx(wanted, abs=1e-9)


def test_lightly_gives_the_same():
    loss = pytest.importorskip("lightly.loss", reason="lightly is not installed")
    from faceverify.training.methods.dino import cross_entropy

    theirs = loss.DINOLoss(output_dim=7, warmup_teacher_temp_epochs=1, teacher_temp=0.05).double()
    taught, student = ([rows(6, 7, seed=seed) for seed in range(n)] for n in (2, 4))
    targets = [torch.softmax(one / 0.05, dim=1) for one in taught]
    found = cross_entropy(targets, [one / 0.1 for one in student])
    torch.testing.assert_close(found, theirs(taught, student, teacher_temp=0.05))
