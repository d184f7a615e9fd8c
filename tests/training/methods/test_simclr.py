"""SimCLR: NT-Xent, one pair at a time."""

import math

import pytest
import torch
from slow_views import batch_of, cosine, passed, rows

from faceverify.training.methods.simclr import SimCLR, nt_xent


def written_out(first, second, temperature):
    """Equation 1: the mean over both views of every image of l(i, j)."""
    views = [*first.numpy(), *second.numpy()]
    count = len(first)
    losses = []
    for i in range(2 * count):
        j = (i + count) % (2 * count)
        others = [k for k in range(2 * count) if k != i]
        over = sum(math.exp(cosine(views[i], views[k]) / temperature) for k in others)
        losses.append(-math.log(math.exp(cosine(views[i], views[j]) / temperature) / over))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_equation_written_out(temperature):
    first, second = rows(seed=1), rows(seed=2)
    found = nt_xent(torch.cat([first, second]), temperature)
    assert found.item() == pytest.approx(written_out(first, second, temperature))


def test_the_loss_is_of_the_projected_views():
    method = SimCLR(embedding_size=5, temperature=0.3).double()
    first, second = rows(seed=1), rows(seed=2)
    projected = method.projector(torch.cat([first, second])).detach()
    wanted = written_out(projected[:6], projected[6:], 0.3)
    assert method(passed, batch_of(first, second)).item() == pytest.approx(wanted)


def test_lightly_gives_the_same():
    loss = pytest.importorskip("lightly.loss", reason="lightly is not installed")
    first, second = rows(seed=1), rows(seed=2)
    found = nt_xent(torch.cat([first, second]), 0.2)
    torch.testing.assert_close(found, loss.NTXentLoss(temperature=0.2)(first, second))
