"""Supervised learning: the loss of one view and the labels; and the registry of methods."""

import numpy as np
import pytest
import torch

from faceverify.errors import TrainingError
from faceverify.training.data.views import ONE_VIEW, Batch
from faceverify.training.losses import build_head
from faceverify.training.methods import METHODS, find_method
from faceverify.training.methods.supervised import Supervised


def batch():
    rows = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    return Batch([rows], torch.tensor([0, 1, 2, 0, 1, 2]), np.arange(6))


def center():
    torch.manual_seed(1)
    return build_head("center", embedding_size=4, classes=3)


def test_it_is_the_loss_of_the_embeddings_and_the_labels():
    calls = []

    def embed(views):
        calls.append(len(views))
        return [2 * view for view in views]

    some = batch()
    assert Supervised(center())(embed, some) == center()(2 * some.views[0], some.labels)
    assert calls == [1]


def test_the_loss_is_told_where_a_step_begins_and_ends():
    method = Supervised(build_head("arcface", embedding_size=4, classes=3, warm_up=0.5))
    method.begin_step(1, 8)
    assert method.loss.margin_share == 0.25
    method = Supervised(center())
    method(lambda views: views, batch())
    before = method.loss.centres.clone()
    method.finish_step(torch.nn.Identity())
    assert not torch.equal(method.loss.centres, before)


def test_rows_that_processes_share_are_named_as_they_are_stored():
    method = Supervised(center())
    shards = method.shards()
    assert set(shards) == {"loss.centres", "loss.softmax.centres", "loss.softmax.bias"}
    assert all(len(method.state_dict()[name]) == shards[name].total == 3 for name in shards)


def test_methods_are_found_by_name():
    assert find_method("supervised") is METHODS["supervised"] is Supervised
    assert Supervised.views == ONE_VIEW
    assert Supervised.needs_labels
    with pytest.raises(TrainingError, match="unknown method 'supervise'; did you mean supervised"):
        find_method("supervise")
