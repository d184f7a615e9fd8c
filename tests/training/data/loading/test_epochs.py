"""What a step sees: the same from however many processes, and the face where using has it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from generated_people import tiny_config, write_people
from PIL import Image
from torch.nn import functional

from faceverify.embeddings.extractor import FaceEmbedder
from faceverify.errors import TrainingError
from faceverify.faces.alignment import REFERENCE_POINTS
from faceverify.faces.options import FaceOptions
from faceverify.training.backbones import build_backbone, contract_for
from faceverify.training.backbones.pretrained import initialise
from faceverify.training.data.loading.epochs import StoredSource, frame_of
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.transforms import Transform
from faceverify.training.data.views import ONE_VIEW
from faceverify.training.distributed.processes import Processes
from faceverify.training.run.contract import contract_of


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
        contract = contract_of(config.backbone, config.data)
        source = StoredSource(faces, contract, config, processes, ONE_VIEW, warn=print, say=print)
        assert source.steps == 1
        return [batch for epoch in range(3) for batch in source.batches(epoch, 0)]

    whole, halves = batches(0, 1), [batches(rank, 2) for rank in (0, 1)]
    assert len(whole) == 3
    for step, batch in enumerate(whole):
        halved = [halves[0][step], halves[1][step]]
        (images,) = batch.views
        assert torch.equal(torch.cat([one.views[0] for one in halved]), images)
        assert torch.equal(torch.cat([one.labels for one in halved]), batch.labels)
        assert len(images.unique(dim=0)) == 16  # each varied by itself


# Frames: where a crop of one alignment lies in what a backbone of another one sees


def crop_of(photo, side=112):
    """A photo's middle as if it were a crop, as an image."""
    return photo.resize((side, side), box=(0, 0, min(photo.size), min(photo.size)))


def planes(image):
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]


def seen(contract, image, alignment="arcface-112"):
    """What a backbone of a contract sees of a crop, (1, 3, height, width)."""
    frame = frame_of(contract, alignment, (image.height, image.width))
    transform = Transform(
        (contract.height, contract.width),
        contract.mean,
        contract.scale,
        contract.colour_order,
        frame=frame,
    )
    return transform(planes(image))


def test_crops_of_the_same_frame_are_only_scaled(photos):
    crop = crop_of(photos["obama"])
    contract = contract_for("iresnet18")
    assert frame_of(contract, "arcface-112", (112, 112)) is None
    torch.testing.assert_close(seen(contract, crop), (planes(crop).float() - 127.5) / 127.5)


@pytest.mark.parametrize(("alignment", "side"), [("arcface-112", 112), ("dlib-150", 150)])
def test_crops_of_another_frame_are_carried_as_the_using_half_does(photos, alignment, side):
    contract = contract_for("resnet29")
    image = crop_of(photos["obama"], side)
    face = REFERENCE_POINTS[alignment].face(image.size)
    expected = np.asarray(contract.alignment.crop(image, face, (150, 150)), np.float32)
    found = seen(contract, image, alignment) * 256 + torch.tensor(contract.mean)[:, None, None]
    apart = np.abs(found[0].permute(1, 2, 0).numpy() - expected)
    inside = (expected > 0).any(axis=2)  # beyond the crop's edge it is black there, mirrored here
    assert inside.mean() > 0.9
    assert apart[inside].max() < 1.01  # one grey level: Pillow rounds
    assert apart[inside].mean() < 0.6


def test_learning_sees_the_embedding_of_using(photos, tmp_path):
    image = crop_of(photos["obama"])
    image.save(tmp_path / "crop.png")
    extractor = FaceEmbedder.load("dlib-resnet29", FaceOptions(aligned="arcface-112"))
    (expected,) = extractor.extract(tmp_path / "crop.png")
    net = build_backbone("resnet29", embedding_size=128, size=150).eval()
    x = seen(initialise(net, "dlib-resnet29").contract, image)
    with torch.no_grad():
        (found,) = functional.normalize(net(x) + net(x.flip(3)))
    assert float(found @ torch.from_numpy(expected.embedding)) > 0.9995  # the edge is mirrored


def test_colours_swap_for_a_model_that_wants_it(photos):
    contract = replace(contract_for("iresnet18"), colour_order="BGR", mean=(1.0, 2.0, 3.0))
    crop = crop_of(photos["obama"])
    wanted = (planes(crop)[:, 2].float() - 1) / 127.5
    torch.testing.assert_close(seen(contract, crop)[:, 0], wanted)


def test_frames_that_no_similarity_reaches():
    boxed = contract_for("iresnet18", alignment="facenet-160", size=160)
    with pytest.raises(TrainingError, match="cannot be carried"):
        frame_of(boxed, "arcface-112", (112, 112))
    with pytest.raises(TrainingError, match="faceverify align"):
        frame_of(contract_for("resnet29"), "facenet-160", (160, 160))


def test_a_crop_twice_the_size_is_carried_too(photos):
    """The same crop stored larger shows the same face at the same place."""
    contract = contract_for("resnet29")
    photo = photos["biden"].resize((20, 20)).resize((900, 900))  # nothing that sampling could lose
    small, large = (seen(contract, crop_of(photo, side)) for side in (112, 224))
    assert (small - large).abs()[..., 5:-5, 5:-5].mean() * 256 < 1


def test_a_border_lands_where_the_alignment_says():
    """Half of a crop white, half black."""
    contract = contract_for("resnet29")
    image = Image.new("RGB", (112, 112))
    image.paste((255, 255, 255), (56, 0, 112, 112))
    row = seen(contract, image)[0, 0, 75] * 256 + contract.mean[0]
    (border,) = torch.nonzero(row > 127.5)[0].tolist()
    face = REFERENCE_POINTS["arcface-112"].face((112, 112))
    expected = contract.alignment.crop(image, face, (150, 150))
    (wanted,) = np.nonzero(np.asarray(expected)[75, :, 0] > 127)[0][:1]
    assert abs(border - wanted) <= 1
