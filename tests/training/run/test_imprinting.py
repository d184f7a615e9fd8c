"""Class centres at the means of a trained backbone's embeddings."""

import numpy as np
import pytest
import torch
from generated_people import tiny_config, write_people
from torch import nn

from faceverify.training.data.loading.source import some_of_each
from faceverify.training.distributed.collectives import Shard
from faceverify.training.losses import build_loss
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.metrics_log import read_metrics
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.imprinting import has_directions, imprint
from faceverify.training.run.train import train_model

LABELS = np.array([2, 0, 1, 2, 0, 1, 2, 2, 0, 1])


class Backbone(nn.Module):
    """Doubles, and drops half of it where it learns."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(2 * x)


def images():
    return torch.randn(10, 4, generator=torch.Generator().manual_seed(0))


def images_at(positions):
    for part in np.array_split(positions, 3):
        yield images()[part], torch.from_numpy(LABELS[part])


def means():
    rows = l2_normalize(images())
    return l2_normalize(
        torch.stack([rows[torch.from_numpy(LABELS) == c].sum(dim=0) for c in range(3)])
    )


@pytest.mark.parametrize("name", ["cosface", "sphereface", "proxy-nca"])
def test_centres_point_where_people_are_and_stay_as_long(name):
    loss = build_loss(name, embedding_size=4, classes=3)
    backbone = Backbone()
    imprint(backbone, loss, LABELS, images_at)
    centres = loss.softmax.centres.detach()
    torch.testing.assert_close(centres, means() * 0.02)  # 0.01 sqrt(D)
    assert backbone.training
    assert backbone.dropout.training


def test_a_process_sets_the_centres_that_it_holds():
    loss = build_loss("arcface", embedding_size=4, classes=2)
    loss.softmax.shard = Shard(1, 3, 3)
    imprint(Backbone(), loss, LABELS, images_at)
    torch.testing.assert_close(loss.softmax.centres.detach(), means()[1:] * 0.02)


def test_the_first_of_several_centres():
    loss = build_loss("arcface", embedding_size=4, classes=3, sub_centres=2)
    before = loss.softmax.centres.detach().clone()
    imprint(Backbone(), loss, LABELS, images_at)
    torch.testing.assert_close(loss.softmax.centres.detach()[:, 0], means() * 0.02)
    assert torch.equal(loss.softmax.centres.detach()[:, 1], before[:, 1])


@pytest.mark.parametrize("name", ["softmax", "center", "triplet"])
def test_losses_without_directions(name):
    assert not has_directions(build_loss(name, embedding_size=4, classes=3))
    assert has_directions(build_loss("arcface", embedding_size=4, classes=3))


def test_a_few_images_of_each_person_spread_over_all():
    labels = np.repeat([0, 1, 2], [1, 40, 16])
    assert some_of_each(labels, range(2), 16).tolist() == [0, *(1 + np.arange(16) * 40 // 16)]
    assert some_of_each(labels, range(2, 3), 20).tolist() == list(range(41, 57))


@pytest.mark.thorough
def test_fine_tuning_begins_where_the_weights_are(tmp_path):
    people = write_people(tmp_path / "people")
    first = train_model(tiny_config(people, budget={"epochs": 6}), RunFolder(tmp_path / "first"))
    said, losses = [], []
    for images in (16, 0):
        init = {"init": str(first.model), "imprint": images}
        config, run = (
            tiny_config(people, backbone=init, budget={"steps": 1}),
            tmp_path / str(images),
        )
        train_model(config, RunFolder(run), say=said.append)
        losses.append(read_metrics(run / "metrics.jsonl")[0]["loss"])
    assert losses[0] < 0.7 * losses[1]
    assert sum("class centres begin" in line for line in said) == 1
