"""SupCon over views: positives are the other view and the images of the same person."""

import math

import pytest
import torch
from slow_views import batch_of, cosine, passed, rows

from faceverify.training.data.views import Batch
from faceverify.training.methods.supcon import SupConViews


def written_out(projected, labels, temperature):
    """Equation 2, one anchor at a time."""
    count = len(projected)
    losses = []
    for i in range(count):
        others = [k for k in range(count) if k != i]
        over = sum(math.exp(cosine(projected[i], projected[k]) / temperature) for k in others)
        positives = [k for k in others if labels[k] == labels[i]]
        logs = [
            cosine(projected[i], projected[k]) / temperature - math.log(over) for k in positives
        ]
        losses.append(-sum(logs) / len(positives))
    return sum(losses) / count


def test_the_equation_written_out():
    torch.manual_seed(0)
    method = SupConViews(embedding_size=5, projection=4).double()
    first, second = rows(seed=1), rows(seed=2)
    people = [0, 1, 0, 2, 1, 0]
    projected = method.projector(torch.cat([first, second])).detach()
    batch = batch_of(first, second)
    batch = Batch(batch.views, torch.tensor(people), batch.indices)
    wanted = written_out(projected, people * 2, 0.1)
    assert method(passed, batch).item() == pytest.approx(wanted, rel=1e-5)
