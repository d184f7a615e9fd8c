"""Photos to embeddings: of length 1, averaged over crops, of photos that are aligned already."""

import io

import numpy as np
import pytest
from photographs import OBAMA
from PIL import Image

from faceverify.embeddings.extractor import FaceEmbedder
from faceverify.faces.alignment import reference_points
from faceverify.faces.options import FaceOptions
from faceverify.models.registry import load_model


@pytest.fixture(scope="module")
def extractor() -> FaceEmbedder:
    return FaceEmbedder.load()


def test_embeddings_have_length_one_and_say_where_they_come_from(extractor, photos):
    (face,) = extractor.extract(OBAMA)
    assert face.photo == OBAMA
    assert face.embedding.shape == (128,)
    assert np.linalg.norm(face.embedding) == pytest.approx(1, abs=1e-6)
    left, top, right, bottom = face.face.box
    assert 300 < left < right < 680
    assert 50 < top < bottom < 480


def test_a_large_jpeg_gives_the_embedding_of_a_small_one(extractor, photos):
    large = io.BytesIO()
    photos["obama"].resize((3640, 4548), Image.Resampling.BICUBIC).save(large, "JPEG", quality=95)
    first, second = (extractor.extract(one)[0] for one in (large.getvalue(), photos["obama"]))
    assert 1 - first.embedding @ second.embedding < 0.01


def test_aligned_crops_are_not_detected_again(extractor, photos):
    (found,) = extractor._finder.find(photos["obama"])
    arcface = reference_points("arcface-112")
    from faceverify.faces.alignment import FivePoints

    crop = found.crop(FivePoints(arcface.points), (112, 112))
    aligned = FaceEmbedder.load(options=FaceOptions(aligned="arcface-112"))
    distance = (
        1 - aligned.extract(crop)[0].embedding @ extractor.extract(photos["obama"])[0].embedding
    )
    assert distance < 0.02


def test_augmented_embeddings_are_near_but_not_the_same(extractor, photos):
    plain = extractor.extract(photos["obama"])[0].embedding
    more = FaceEmbedder.load(options=FaceOptions(augment=4)).extract(photos["obama"])[0].embedding
    assert np.linalg.norm(more) == pytest.approx(1, abs=1e-6)
    assert 1e-6 < 1 - plain @ more < 0.02


def test_the_default_model_is_the_one_that_is_loaded(extractor):
    assert extractor.model.id == load_model("default").id
