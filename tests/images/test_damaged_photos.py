"""Thousands of damaged photos: nothing but an ImageError may come out, and never much memory."""

import functools
import io
import random
import warnings

import numpy as np
import pytest
from PIL import Image

from faceverify.errors import ImageError
from faceverify.images.photo import open_photo

MAX_PIXELS = 1 << 20
FORMATS = (
    "AVIF", "BLP", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "IM", "JPEG", "JPEG2000", "MPO",
    "MSP", "PCX", "PNG", "PPM", "QOI", "SGI", "SPIDER", "TGA", "TIFF", "WEBP", "XBM",
)  # fmt: skip
MODES = {"GIF": "P", "BLP": "P", "MSP": "1", "XBM": "1", "SPIDER": "F"}


@functools.cache
def small_photo(kind):
    """A photo of 40 x 32, with EXIF where the format has it, for headers are worth damaging."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((40, 32), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[274], exif[271] = 6, "a camera"
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of writing IM
        image.convert(MODES.get(kind, "RGB")).save(stream, kind, exif=exif)
    return stream.getvalue()


def flip(data, _others, chance):
    """Change some bits anywhere."""
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def edit_header(data, _others, chance):
    """Put extreme values where sizes, counts and offsets stand."""
    width = chance.choice((1, 2, 4))
    at = chance.randrange(min(len(data), 300))
    data[at : at + width] = chance.choice((b"\0" * width, b"\xff" * width, chance.randbytes(width)))
    return data


def cut(data, _others, chance):
    """Keep the beginning."""
    return data[: chance.randrange(len(data))]


def drop(data, _others, chance):
    """Lose a stretch from within."""
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.randrange(1, 100) :]


def repeat(data, _others, chance):
    """Have a stretch twice."""
    at = chance.randrange(len(data))
    return data[: at + chance.randrange(1, 200)] + data[at:]


def splice(data, others, chance):
    """Go on as another photo."""
    other = chance.choice(others)
    return data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]


MUTATIONS = (flip, edit_header, cut, drop, repeat, splice)


def mutants(kind, count):
    others = [small_photo(other) for other in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", kind)]
    original = others[-1]
    for seed in range(count):
        chance = random.Random(f"{kind} {seed}")
        data = bytearray(original)
        for _ in range(chance.choice((1, 1, 2))):
            data = chance.choice(MUTATIONS)(data, others, chance) or data
        yield seed, bytes(data)


def count_refusals(kind, count):
    refused = 0
    for seed, data in mutants(kind, count):
        try:
            photo = open_photo(data, max_pixels=MAX_PIXELS)
            short_side = random.Random(seed).choice((None, 4))
            decoded = photo.decode(short_side=short_side)
        except ImageError as error:
            refused += 1
            message = str(error)
            assert message.startswith("<bytes>: "), (kind, seed)
            assert "\n" not in message, (kind, seed)
            assert len(message) < 250, (kind, seed)
        except Exception as error:
            pytest.fail(f"{kind}, seed {seed}: {error!r}")
        else:
            assert decoded.mode == "RGB", (kind, seed)
            assert decoded.width * decoded.height <= MAX_PIXELS, (kind, seed)
            if short_side is None:
                assert decoded.size == (photo.width, photo.height), (kind, seed)
    return refused


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_photo_is_read(kind):
    photo = open_photo(small_photo(kind))
    assert photo.decode().size == (photo.width, photo.height)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_few_damaged_photos(kind):
    assert count_refusals(kind, 14) > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_many_damaged_photos(kind):
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = 500 if kind == "ICNS" else 2000  # which paints ten sizes of each photo
    assert count // 5 < count_refusals(kind, count) < count
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300_000, f"{grown} KiB more"
