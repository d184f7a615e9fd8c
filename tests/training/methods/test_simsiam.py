"""SimSiam: the symmetric loss, and where its gradient stops."""

import pytest
import torch
from slow_views import batch_of, cosine, passed, rows

from faceverify.training.methods.simsiam import SimSiam


def written_out(method, first, second):
    """Equation 2, one image at a time."""
    z1, z2 = method.projector(first).detach(), method.projector(second).detach()
    p1, p2 = method.predictor(z1).detach(), method.predictor(z2).detach()
    total = 0.0
    for image in range(len(first)):
        total += -cosine(p1[image], z2[image]) / 2 - cosine(p2[image], z1[image]) / 2
    return total / len(first)


def learner():
    torch.manual_seed(0)
    return SimSiam(embedding_size=5, projection=8, hidden=16).double()


def test_the_equation_written_out():
    method = learner()
    first, second = rows(seed=1), rows(seed=2)
    wanted = written_out(method, first, second)
    assert method(passed, batch_of(first, second)).item() == pytest.approx(wanted)


def test_the_gradient_stops_at_the_projection_that_is_predicted():
    method = learner()
    first, second = rows(seed=1).requires_grad_(), rows(seed=2).requires_grad_()
    method(passed, batch_of(first, second)).backward()
    found = first.grad.clone(), second.grad.clone()
    for parameter in method.parameters():
        parameter.grad = None
    first.grad = second.grad = None
    z1, z2 = method.projector(first), method.projector(second)
    fixed1, fixed2 = z1.detach().clone(), z2.detach().clone()  # constants
    similar = torch.nn.functional.cosine_similarity
    forth = similar(method.predictor(z1), fixed2).mean()
    back = similar(method.predictor(z2), fixed1).mean()
    (-forth / 2 - back / 2).backward()
    torch.testing.assert_close(found, (first.grad, second.grad))
    assert found[0].abs().max() > 0


def test_lightly_gives_the_same():
    loss = pytest.importorskip("lightly.loss", reason="lightly is not installed")
    from faceverify.training.methods.simsiam import alike

    first, second = rows(seed=1), rows(seed=2)
    torch.testing.assert_close(
        -alike(first, second), loss.NegativeCosineSimilarity()(first, second)
    )
