"""The verifier: right decisions on real photos, and never a decision where there is none."""

from pathlib import Path

import numpy as np
import pytest
from photographs import BIDEN, OBAMA, OBAMA2, OBAMA3
from PIL import Image

from faceverify import Verifier
from faceverify.choices import FaceChoice
from faceverify.errors import ImageError, ModelError, NoFaceError, UsageError
from faceverify.faces.options import FaceOptions
from faceverify.matching.distance import cosine_distance


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return Verifier.load()


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (OBAMA, OBAMA, True),
        (OBAMA, OBAMA2, True),
        (OBAMA, OBAMA3, True),
        (OBAMA2, OBAMA3, True),
        (OBAMA, BIDEN, False),
        (OBAMA2, BIDEN, False),
        (OBAMA3, BIDEN, False),
    ],
    ids=lambda value: Path(str(value)).stem,
)
def test_real_photos(verifier: Verifier, first: str, second: str, same: bool):
    decision = verifier.verify(first, second)
    assert decision.same is same
    assert decision.exit_status == (0 if same else 1)
    assert (decision.a, decision.b) == (first, second)
    back = verifier.verify(second, first)
    assert back.distance == pytest.approx(decision.distance, abs=1e-6)


def test_a_photo_and_itself_are_at_distance_zero(verifier: Verifier):
    assert verifier.verify(OBAMA, OBAMA).distance == pytest.approx(0, abs=1e-6)


def test_bytes_images_and_arrays_are_photos_too(verifier: Verifier, photos):
    with open(OBAMA, "rb") as stream:
        data = stream.read()
    decision = verifier.verify(data, photos["obama"])
    assert decision.distance < 0.005  # the JPEG is read at half its size
    assert verifier.verify(np.asarray(photos["obama"]), data).same


def test_the_threshold_belongs_to_the_rate():
    strict, loose = Verifier.load(fmr=1e-5).point, Verifier.load(fmr=1e-1).point
    assert strict.threshold < Verifier.load().point.threshold < loose.threshold
    assert (strict.fmr, Verifier.load(threshold=0.3).point.fmr) == (1e-5, None)
    with pytest.raises(ModelError, match="no threshold for a false match rate"):
        Verifier.load(fmr=2e-3)


def test_nothing_is_decided_without_a_face(verifier: Verifier):
    blank = Image.new("RGB", (200, 200), "white")
    with pytest.raises(NoFaceError):
        verifier.verify(blank, blank)
    with pytest.raises(ImageError):
        verifier.verify(b"", OBAMA)


def test_all_faces_are_no_side_of_a_comparison():
    with pytest.raises(UsageError, match="one side of a comparison"):
        Verifier.load(options=FaceOptions(face=FaceChoice.ALL))


def test_pairs_come_in_order_and_each_photo_is_processed_once(monkeypatch):
    verifier = Verifier.load()
    seen = []
    template = verifier.template
    monkeypatch.setattr(
        verifier, "template", lambda photo: (seen.append(photo), template(photo))[1]
    )
    pairs = [(OBAMA, OBAMA2), ("missing.jpg", OBAMA), (OBAMA, BIDEN), (OBAMA2, OBAMA)]
    decisions = list(verifier.verify_pairs(pairs))
    assert [(decision.a, decision.b) for decision in decisions] == pairs
    assert [decision.same for decision in decisions] == [True, None, False, True]
    assert decisions[1].as_dict()["error"]["code"] == "image-missing"
    assert decisions[1].exit_status == 2
    assert sorted(seen) == sorted({OBAMA, OBAMA2, BIDEN, "missing.jpg"})


def test_cosine_distance():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 20, 8))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    expected = [
        1 - sum(x * y for x, y in zip(p, q, strict=True)) for p, q in zip(a, b, strict=True)
    ]
    assert np.allclose(cosine_distance(a, b), expected)
    assert (cosine_distance(a, a) >= 0).all()
    assert np.allclose(cosine_distance(a, -a), 2)


def test_remembered_errors_hold_no_pixels():
    verifier = Verifier.load()
    pairs = [("missing.jpg", OBAMA), ("missing.jpg", BIDEN)]
    for decision in verifier.verify_pairs(pairs):
        assert decision.error.__traceback__ is decision.error.__context__ is None
        assert decision.error.__cause__ is None
