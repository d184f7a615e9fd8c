"""Batches that leave the norms of a backbone a single image."""

import pytest
import torch
from generated_people import tiny_config, write_people

from faceverify.errors import TrainingError
from faceverify.training.backbones import build_backbone, contract_for
from faceverify.training.run.batch_statistics import check_statistics, fewest_at_once
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.train import train_model


@pytest.mark.parametrize(
    ("size", "compute", "world", "fewest"),
    [
        (16, {}, 1, 16),
        (16, {}, 16, 1),
        (16, {"accumulate": 8}, 2, 1),
        (16, {"gradient_cache": 5}, 1, 1),
        (16, {"gradient_cache": 4}, 1, 4),
        (16, {"gradient_cache": 64}, 4, 4),
        (16, {"gradient_cache": 7}, 2, 1),
    ],
)
def test_the_smallest_part_of_a_batch(size, compute, world, fewest, tmp_path):
    config = tiny_config(tmp_path, batches={"size": size}, compute=compute)
    assert fewest_at_once(config, world) == fewest


@pytest.mark.parametrize(
    "changes",
    [
        {"batches": {"size": 2}, "compute": {"accumulate": 2}},
        {"method": {"name": "vae"}, "batches": {"size": 3}, "compute": {"gradient_cache": 2}},
    ],
)  # fmt: skip
def test_a_single_image_is_one_line_before_the_work(changes, tmp_path, monkeypatch):
    monkeypatch.setenv("FACEVERIFY_CACHE", str(tmp_path / "cache"))
    people, run = write_people(tmp_path / "people"), RunFolder(tmp_path / "run")
    with pytest.raises(
        TrainingError, match=r"one at a time .* need two; use a larger --batch-size"
    ):
        train_model(tiny_config(people, **changes), run)
    assert not run.path.exists()


def test_what_works_is_let_through_and_nothing_changes(tmp_path):
    config = tiny_config(tmp_path, batches={"size": 2}, compute={"accumulate": 2})
    contract = contract_for("resnet18", embedding_size=16, size=64)
    net = build_backbone("resnet18", embedding_size=16, size=64, width=2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    check_statistics(net, (), config, contract, world=1, views=2)
    with pytest.raises(TrainingError, match="one at a time"):
        check_statistics(net, (), config, contract, world=1, views=1)
    check_statistics(net, ("neck",), config, contract, world=1, views=1)  # its norm stands still
    pooled = build_backbone("resnet18", embedding_size=16, size=64, width=2, neck="pool")
    check_statistics(pooled, (), config, contract, world=1, views=1)  # norms of maps alone
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
