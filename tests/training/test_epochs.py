"""What a step sees does not depend on how many processes share it."""

import pytest
import torch
from generated_people import tiny_config, write_people

from faceverify.trainer import contract_of
from faceverify.training.data.face_set import open_face_set
from faceverify.training.data.views import ONE_VIEW
from faceverify.training.distributed import Processes
from faceverify.training.epochs import epochs_of


@pytest.mark.parametrize("sampler", ["shuffled", "identities"])
def test_processes_see_the_batches_of_one(tmp_path, sampler):
    # 12 images in batches of 16: some stand in a step twice, and are varied twice
    config = tiny_config(
        write_people(tmp_path, people=4, images=3),
        batches={"sampler": sampler, "images_per_identity": 4},
        augmentation={"flip": 0.5, "crop": 0.9, "colour": 0.9, "occlusion": 0.5},
    )
    faces = open_face_set(config.data.source)

    def batches(rank, world):
        processes = Processes(rank, world, torch.device("cpu"))
        epochs = epochs_of(
            faces,
            contract_of(config.backbone, config.data),
            config,
            processes,
            views=ONE_VIEW,
            warn=print,
        )
        assert len(epochs) == 1
        return [batch for number in range(3) for batch in epochs(number, 0)]

    whole, halves = batches(0, 1), [batches(rank, 2) for rank in (0, 1)]
    assert len(whole) == 3
    for step, batch in enumerate(whole):
        halved = [halves[0][step], halves[1][step]]
        (images,) = batch.views
        assert torch.equal(torch.cat([one.views[0] for one in halved]), images)
        assert torch.equal(torch.cat([one.labels for one in halved]), batch.labels)
        assert len(images.unique(dim=0)) == 16  # each varied by itself
