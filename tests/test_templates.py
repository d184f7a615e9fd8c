"""From photos to templates: reduced reading, choice, quality, crops that are aligned already."""

import io

import numpy as np
import pytest
from photographs import OBAMA
from PIL import Image

from faceverify.errors import LowQualityError, NoFaceError, SeveralFacesError, UsageError
from faceverify.faces.alignment import known_crop
from faceverify.faces.choice import FaceChoice
from faceverify.images import Photo
from faceverify.models.model_file import load_model_file
from faceverify.models.registry import find_model
from faceverify.templates import FaceFinder, TemplateExtractor


@pytest.fixture(scope="module")
def extractor() -> TemplateExtractor:
    return TemplateExtractor.load()


def as_jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95)
    return stream.getvalue()


def test_templates_have_length_one_and_say_where_they_come_from(extractor, photos):
    (template,) = extractor.extract(OBAMA)
    assert template.photo == OBAMA
    assert template.embedding.shape == (128,)
    assert np.linalg.norm(template.embedding) == pytest.approx(1, abs=1e-6)
    left, top, right, bottom = template.face.box
    assert 300 < left < right < 680
    assert 50 < top < bottom < 480


def test_a_large_jpeg_is_read_at_a_reduced_scale_and_gives_the_same_face(
    detector, extractor, photos, monkeypatch
):
    large = photos["obama"].resize((3640, 4548), Image.Resampling.BICUBIC)
    decoded = []
    whole = Photo.decode

    def decode(photo, *, short_side=None):
        image = whole(photo, short_side=short_side)
        decoded.append(image.size)
        return image

    monkeypatch.setattr(Photo, "decode", decode)
    (found,) = FaceFinder(detector).find(as_jpeg(large))
    assert max(size[0] for size in decoded) <= 1820  # never the whole photo
    (small,) = FaceFinder(detector).find(photos["obama"])
    assert np.abs(found.face.points / 4 - small.face.points).max() < 0.03 * small.face.size
    assert found.quality.eye_distance == pytest.approx(4 * small.quality.eye_distance, rel=0.05)
    first, second = (extractor.extract(photo)[0] for photo in (as_jpeg(large), photos["obama"]))
    assert 1 - first.embedding @ second.embedding < 0.01


def test_a_small_face_in_a_large_photo_is_cut_out_in_full_detail(detector, photos):
    wall = Image.new("RGB", (3000, 2000), (150, 140, 130))
    wall.paste(photos["obama"].resize((364, 455)), (1300, 800))
    (found,) = FaceFinder(detector).find(as_jpeg(wall))
    assert 60 < found.face.size < 200
    assert found.image.width >= 1500


@pytest.fixture(scope="module")
def two_faces(photos) -> Image.Image:
    pair = Image.new("RGB", (1000, 600), (128, 128, 128))
    pair.paste(photos["obama"].resize((455, 568)), (0, 0))
    pair.paste(photos["biden"].crop((200, 0, 900, 900)).resize((350, 450)), (600, 50))
    return pair


def test_several_faces(detector, two_faces):
    def find(choice):
        return FaceFinder(detector, choice=choice).find(two_faces)

    assert len(find(FaceChoice.ALL)) == 2
    assert len(find(FaceChoice.LARGEST)) == len(find(FaceChoice.CENTER)) == 1
    with pytest.raises(SeveralFacesError):
        find(FaceChoice.ONLY)


def test_quality_below_the_wanted_is_refused_by_name(detector, photos):
    blurred = photos["obama"].resize((45, 56)).resize((910, 1137))
    finder = FaceFinder(detector, min_quality=0.5)
    with pytest.raises(LowQualityError, match="face quality 0"):
        finder.find(blurred)
    assert finder.find(photos["obama"])


def test_no_face(detector):
    with pytest.raises(NoFaceError):
        FaceFinder(detector).find(Image.new("RGB", (300, 300), "green"))


def test_aligned_crops_are_not_detected_again(extractor, photos):
    (found,) = extractor._finder.find(photos["obama"])
    arcface = known_crop("arcface-112")
    from faceverify.faces.alignment import FivePoints

    crop = found.crop(FivePoints(arcface.points), (112, 112))
    aligned = TemplateExtractor.load(aligned="arcface-112")
    distance = (
        1 - aligned.extract(crop)[0].embedding @ extractor.extract(photos["obama"])[0].embedding
    )
    assert distance < 0.02
    with pytest.raises(UsageError, match="no crop template 'x'"):
        TemplateExtractor.load(aligned="x")


def test_augmented_templates_are_near_but_not_the_same(extractor, photos):
    plain = extractor.extract(photos["obama"])[0].embedding
    more = TemplateExtractor.load(augment=4).extract(photos["obama"])[0].embedding
    assert np.linalg.norm(more) == pytest.approx(1, abs=1e-6)
    assert 1e-6 < 1 - plain @ more < 0.02


def test_the_default_model_is_the_one_that_is_loaded(extractor):
    assert extractor.model.id == load_model_file(find_model("default")).id
