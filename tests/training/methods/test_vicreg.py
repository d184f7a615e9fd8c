"""VICReg: each of its terms, one number at a time."""

import pytest
import torch
from slow_views import batch_of, passed, rows

from faceverify.training.methods.vicreg import VICReg


def written_out(first, second, invariance, variance, covariance):
    """Equation 6 of projected views."""
    first, second = first.numpy(), second.numpy()
    count, size = first.shape
    s = sum(((first[i] - second[i]) ** 2).sum() for i in range(count)) / count / size
    v, c = 0.0, 0.0
    for z in (first, second):
        mean = sum(z) / count
        v += sum(max(0.0, 1 - (z[:, j].var(ddof=1) + 1e-4) ** 0.5) for j in range(size)) / size
        for j in range(size):
            for k in range(size):
                if j != k:
                    entry = sum((z[i, j] - mean[j]) * (z[i, k] - mean[k]) for i in range(count))
                    c += (entry / (count - 1)) ** 2 / size
    return invariance * s + variance * v / 2 + covariance * c


@pytest.mark.parametrize("weights", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (3, 2, 1)])
def test_the_equation_written_out(weights):
    torch.manual_seed(0)
    names = ("invariance", "variance", "covariance")
    method = VICReg(embedding_size=5, projection=4, **dict(zip(names, weights, strict=True)))
    method = method.double()
    first, second = rows(9, seed=1), rows(9, seed=2)
    projected = [method.projector(view).detach() for view in (first, second)]
    wanted = written_out(*projected, *weights)
    assert wanted > 0
    assert method(passed, batch_of(first, second)).item() == pytest.approx(wanted)


def test_lightly_gives_the_same():
    """But for the variance, which is halved in the code of the paper and here."""
    loss = pytest.importorskip("lightly.loss", reason="lightly is not installed")
    torch.manual_seed(0)
    method = VICReg(embedding_size=5, projection=4, variance=0.0).double()
    first, second = rows(9, seed=1), rows(9, seed=2)
    projected = [method.projector(view).detach() for view in (first, second)]
    theirs = loss.VICRegLoss(lambda_param=25.0, mu_param=0.0, nu_param=1.0)(*projected)
    torch.testing.assert_close(method(passed, batch_of(first, second)).detach(), theirs)
