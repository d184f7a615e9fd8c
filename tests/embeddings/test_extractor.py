"""Photos to embeddings: of length 1, averaged over crops, of photos that are aligned already."""

import io

import numpy as np
import pytest
from photographs import BIDEN, OBAMA
from PIL import Image

from faceverify.embeddings.extractor import FaceEmbedder
from faceverify.errors import FaceverifyError
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


@pytest.mark.thorough(but=("0.15",))
@pytest.mark.parametrize("least", [0.0, 0.15])
def test_many_photos_at_once_are_each_alone(photos, tmp_path, least):
    blurred, nobody = io.BytesIO(), io.BytesIO()
    photos["obama"].resize((48, 60)).resize((910, 1137)).save(blurred, "PNG")
    Image.new("RGB", (90, 90)).save(nobody, "PNG")
    extractor = FaceEmbedder.load(options=FaceOptions(min_quality=least))
    asked = [OBAMA, tmp_path / "gone.jpg", blurred.getvalue(), nobody.getvalue(), BIDEN]
    found = extractor.embeddings(asked)
    for source, one in zip(asked, found, strict=True):
        if isinstance(one, FaceverifyError):
            with pytest.raises(type(one)) as raised:
                extractor.extract(source)
            assert raised.value.code == one.code
        else:
            (alone,) = extractor.extract(source)
            assert 1 - one @ alone.embedding < 1e-6
    refused = [one.code for one in found if isinstance(one, FaceverifyError)]
    assert refused == ["image-missing", *(["low-quality"] if least else []), "no-face"]
