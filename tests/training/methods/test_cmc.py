"""CMC: luminance and chrominance of a photo, one by the other among those of the batch."""

import math

import pytest
from slow_views import batch_of, cosine, passed, rows
from torch import nn

from faceverify.errors import TrainingError
from faceverify.training.backbones import build_backbone
from faceverify.training.methods.cmc import CMC, both_ways


def one_way(views, others, temperature):
    """Equations 1 and 2: the other view of each image among those of all, one at a time."""
    losses = []
    for i in range(len(views)):
        each = [math.exp(cosine(views[i], others[k]) / temperature) for k in range(len(views))]
        losses.append(-math.log(each[i] / sum(each)))
    return sum(losses) / len(losses)


def written_out(first, second, temperature):
    """Equation 3: both ways."""
    return one_way(first, second, temperature) + one_way(second, first, temperature)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_the_equation_written_out(temperature):
    first, second = rows(seed=1), rows(seed=2)
    found = both_ways(first, second, temperature)
    assert found.item() == pytest.approx(written_out(first, second, temperature))


def test_the_halves_of_an_embedding_are_the_views():
    net = build_backbone("lab:vit", embedding_size=6, size=8, width=8, depth=1, heads=2)
    method = CMC(embedding_size=6, backbone=net, temperature=0.3, projection=4).double()
    embeddings = rows(7, 6)
    light = method.luminance(embeddings[:, :3]).detach()
    colour = method.chrominance(embeddings[:, 3:]).detach()
    wanted = written_out(light, colour, 0.3)
    assert method(passed, batch_of(embeddings)).item() == pytest.approx(wanted)


def test_a_backbone_of_one_encoder_is_refused():
    with pytest.raises(TrainingError, match="one of chrominance; use --backbone lab:resnet18"):
        CMC(embedding_size=6, backbone=nn.Linear(2, 2))
