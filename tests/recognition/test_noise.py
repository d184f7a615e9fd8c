"""Noise and damaged photos never match an enrolled person: many thousand tries."""

import io

import numpy as np
import pytest
from photographs import BIDEN, OBAMA, OBAMA2, OBAMA3
from PIL import Image, ImageFilter

from faceverify import Verifier
from faceverify.errors import ImageError, NoDecisionError
from faceverify.matching.distance import cosine_distance


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return Verifier.load()


@pytest.fixture(scope="module")
def enrolled(verifier: Verifier) -> list[np.ndarray]:
    return [verifier.embed(path).embedding for path in (OBAMA, OBAMA2, OBAMA3, BIDEN)]


def noise(random: np.random.Generator) -> Image.Image:
    """Random noise: white, smooth, few colours, stripes, or blocks."""
    side = int(random.integers(40, 200))
    kind = random.integers(5)
    if kind == 0:
        pixels = random.integers(0, 256, (side, side, 3), np.uint8)
    elif kind == 1:
        small = random.integers(0, 256, (int(random.integers(3, 12)),) * 2 + (3,), np.uint8)
        return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)
    elif kind == 2:
        pixels = random.integers(0, 2, (side, side, 3), np.uint8) * 255
        return Image.fromarray(pixels).filter(
            ImageFilter.GaussianBlur(float(random.uniform(0.5, 6)))
        )
    elif kind == 3:
        pixels = np.repeat(random.integers(0, 256, (1, side, 3), np.uint8), side, axis=0)
    else:
        pixels = np.kron(random.integers(0, 256, (9, 9, 3)), np.ones((side // 9 + 1,) * 2 + (1,)))
    return Image.fromarray(pixels.astype(np.uint8))


def tries(verifier: Verifier, enrolled: list[np.ndarray], count: int) -> int:
    """Noise against all people; returns how often a face was detected in it."""
    random = np.random.default_rng(count)
    faces = 0
    for _ in range(count):
        try:
            probe = verifier.embed(noise(random))
        except NoDecisionError:
            continue
        faces += 1
        distance = min(cosine_distance(probe.embedding, other) for other in enrolled)
        assert distance > verifier.point.threshold
    return faces


def mutations(verifier: Verifier, enrolled: list[np.ndarray], photo: Image.Image, count: int):
    """A damaged photo of one person against another: an error, or different."""
    stream = io.BytesIO()
    photo.resize((160, 200)).save(stream, "JPEG", quality=80)
    good = stream.getvalue()
    random = np.random.default_rng(count)
    for _ in range(count):
        data = bytearray(good)
        for _ in range(int(random.integers(1, 8))):
            data[int(random.integers(len(data)))] = int(random.integers(256))
        if random.integers(4) == 0:
            del data[int(random.integers(len(data))) :]
        try:
            probe = verifier.embed(bytes(data))
        except (ImageError, NoDecisionError):
            continue
        assert cosine_distance(probe.embedding, enrolled[-1]) > verifier.point.threshold


def test_noise_matches_no_one(verifier, enrolled):
    tries(verifier, enrolled, 60)


@pytest.mark.thorough
def test_a_damaged_photo_matches_no_other_person(verifier, enrolled, photos):
    mutations(verifier, enrolled, photos["obama"], 100)


@pytest.mark.slow
def test_noise_matches_no_one_ten_thousand_times(verifier, enrolled):
    faces = tries(verifier, enrolled, 10_000)
    assert faces < 500


@pytest.mark.slow
def test_a_damaged_photo_matches_no_other_person_five_thousand_times(verifier, enrolled, photos):
    mutations(verifier, enrolled, photos["obama"], 5_000)
