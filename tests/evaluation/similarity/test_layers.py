"""Similarity of the layers of two models on photos."""

import numpy as np
import pytest
from photographs import FACES
from small_nets import small_model

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.cka import LayerSimilarities
from faceverify.evaluation.similarity.crops import ModelCrops, crops_of
from faceverify.evaluation.similarity.layers import BATCH, layer_section, layer_table
from faceverify.faces.options import FaceOptions
from faceverify.models.layer_outputs import LayeredModel
from faceverify.models.registry import load_model


def faces(count, side=16):
    draws = np.random.default_rng(0)
    smooth = np.kron(
        draws.integers(0, 256, (count, side // 4, side // 4, 3)), np.ones((1, 4, 4, 1))
    )
    crops = (smooth + draws.integers(0, 40, (count, side, side, 3))).clip(0, 255).astype(np.uint8)
    return [ModelCrops((one, one)) for one in crops]


def test_in_minibatches_of_all_faces():
    one, other = small_model("one"), small_model("other", seed=1)
    found = layer_table([one, other], faces(2 * BATCH + 5), "folder")
    assert found.names == ("one", "other")
    assert [name.split()[1] for name in found.layers[0]] == ["z", "embeddings"]
    whole = LayerSimilarities(2, 2)
    crops = np.stack([face.crops[0] for face in faces(2 * BATCH + 5)])
    for part in np.array_split(crops, 3):
        whole.add(LayeredModel(one).features(part), LayeredModel(other).features(part))
    assert np.array(found.values) == pytest.approx(whole.values())
    same = layer_table([one, one], faces(40), "folder")
    assert np.diag(np.array(same.values)) == pytest.approx(1)


def test_a_layer_that_never_changes_is_none_and_not_the_best():
    still = small_model("still", still=True)
    found = layer_table([still, small_model()], faces(20), "folder")
    assert found.values[-1] == (None, None)
    *_, last = layer_section(found).estimates
    assert (last.value, last.detail) == (None, "the same for all photos")


def test_too_few_faces():
    with pytest.raises(UsageError, match="folder: found 3 photos with a face, expected 4"):
        layer_table([small_model(), small_model()], faces(3), "folder")


def test_each_model_has_the_crops_of_its_contract(tmp_path):
    contracts = [load_model(name).contract for name in ("sface", "dlib-resnet29")]
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(b"\xff\xd8\xff")
    photos = [FACES / "obama.jpg", torn, FACES / "biden.jpg"]
    first, failed, second = crops_of(photos, contracts, FaceOptions())
    assert failed is None
    assert [one.shape for one in first.crops] == [(112, 112, 3), (150, 150, 3)]
    assert not np.array_equal(first.crops[0], second.crops[0])
