"""What the tests of losses over pairs share: small batches, distances one pair at a time."""

import itertools

import pytest
import torch

from faceverify.training.losses import build_head
from faceverify.training.losses.distances import squared_distances
from faceverify.training.losses.l2_normalize import l2_normalize

SIZE = 5
LABELS = [0, 0, 0, 1, 1, 2, 2, 2, 3]  # the last one has no partner
SPREADS = [2.0, 0.7, 0.2]


def build(name, **options):
    torch.manual_seed(0)
    return build_head(name, embedding_size=SIZE, classes=4, **options).double()


def batch(seed=0, labels=LABELS, spread=1.0):
    """Embeddings scattered around their identity's centre; smaller spread: further learned."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(10, SIZE, generator=generator, dtype=torch.float64)
    noise = torch.randn(len(labels), SIZE, generator=generator, dtype=torch.float64)
    labels = torch.tensor(labels)
    return centres[labels] + spread * noise, labels


def face_batch(size=60, identities=9, seed=0, dtype=torch.float64):
    """Embeddings, labels and squared distances of a batch in which some identities are alone."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(identities, (size,), generator=generator)
    labels[:3] = torch.tensor([100, 101, 102])
    centres = torch.randn(103, 8, generator=generator, dtype=dtype)
    rows = centres[labels] + 1.5 * torch.randn(size, 8, generator=generator, dtype=dtype)
    return rows, labels, squared_distances(l2_normalize(rows))


def check_equation(name, options, spread, equation):
    """The loss of a batch is that of the equation: of embeddings, labels and options."""
    embeddings, labels = batch(spread=spread)
    expected = equation(embeddings, labels, **options)
    assert expected > 0 or spread < 1
    found = build(name, **options)(embeddings, labels)
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def units(embeddings):
    return [row / row.norm() for row in embeddings]


def distance(one, other):
    return float((one - other).norm())


def pairs_of(labels):
    pairs = list(itertools.permutations(range(len(labels)), 2))
    return (
        [(i, j) for i, j in pairs if labels[i] == labels[j]],
        [(i, j) for i, j in pairs if labels[i] != labels[j]],
    )
