"""From photos to templates: their embeddings, augmented, and of crops that are aligned already."""

import io

import numpy as np
import pytest
from photographs import OBAMA
from PIL import Image

from faceverify.embeddings.extractor import TemplateExtractor
from faceverify.faces.alignment import known_crop
from faceverify.faces.options import FaceOptions
from faceverify.models.registry import load_model


@pytest.fixture(scope="module")
def extractor() -> TemplateExtractor:
    return TemplateExtractor.load()


def test_templates_have_length_one_and_say_where_they_come_from(extractor, photos):
    (template,) = extractor.extract(OBAMA)
    assert template.photo == OBAMA
    assert template.embedding.shape == (128,)
    assert np.linalg.norm(template.embedding) == pytest.approx(1, abs=1e-6)
    left, top, right, bottom = template.face.box
    assert 300 < left < right < 680
    assert 50 < top < bottom < 480


def test_a_large_jpeg_gives_the_template_of_a_small_one(extractor, photos):
    large = io.BytesIO()
    photos["obama"].resize((3640, 4548), Image.Resampling.BICUBIC).save(large, "JPEG", quality=95)
    first, second = (extractor.extract(one)[0] for one in (large.getvalue(), photos["obama"]))
    assert 1 - first.embedding @ second.embedding < 0.01


def test_aligned_crops_are_not_detected_again(extractor, photos):
    (found,) = extractor._finder.find(photos["obama"])
    arcface = known_crop("arcface-112")
    from faceverify.faces.alignment import FivePoints

    crop = found.crop(FivePoints(arcface.points), (112, 112))
    aligned = TemplateExtractor.load(options=FaceOptions(aligned="arcface-112"))
    distance = (
        1 - aligned.extract(crop)[0].embedding @ extractor.extract(photos["obama"])[0].embedding
    )
    assert distance < 0.02


def test_augmented_templates_are_near_but_not_the_same(extractor, photos):
    plain = extractor.extract(photos["obama"])[0].embedding
    more = (
        TemplateExtractor.load(options=FaceOptions(augment=4)).extract(photos["obama"])[0].embedding
    )
    assert np.linalg.norm(more) == pytest.approx(1, abs=1e-6)
    assert 1e-6 < 1 - plain @ more < 0.02


def test_the_default_model_is_the_one_that_is_loaded(extractor):
    assert extractor.model.id == load_model("default").id
