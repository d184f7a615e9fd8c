"""HEIC, the format of telephones: read where pillow-heif is installed, else named."""

import io
import sys

import numpy as np
import pytest
from PIL import ExifTags, Image

from faceverify.errors import ImageError
from faceverify.images.decoding import identify_image
from faceverify.images.photo import open_photo

HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)


@pytest.mark.parametrize(
    "start", [HEAD, HEAD.replace(b"heic", b"mif1", 1), HEAD.replace(b"mif1", b"msf1")]
)
def test_without_the_extra_it_says_what_helps(monkeypatch, start):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"HEIC.*pip install 'faceverify\[heif\]'") as caught:
        open_photo(start)
    assert caught.value.code == "image-format"


def small(image):
    return image.resize((144, 180))


@pytest.fixture
def heic(photos):
    """A photo that lies on its side, as HEIC."""
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stream = io.BytesIO()
    lying = small(photos["obama"]).transpose(Image.Transpose.ROTATE_90)
    pillow_heif.from_pillow(lying).save(stream, exif=exif.tobytes(), quality=90)
    return stream.getvalue()


def test_with_the_extra_it_is_read_upright(heic, photos):
    upright = small(photos["obama"])
    photo = open_photo(heic)
    decoded = photo.decode()
    assert (photo.width, photo.height) == decoded.size == upright.size
    assert np.abs(np.asarray(decoded, int) - np.asarray(upright, int)).mean() < 4


def test_its_size_is_checked_before_it_is_decoded(heic):
    with pytest.raises(ImageError, match="too large"):
        open_photo(heic, max_pixels=1000)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_cut_short_it_is_refused(heic, share):
    with pytest.raises(ImageError) as caught:
        open_photo(heic[: int(len(heic) * share)]).decode()
    assert caught.value.code in ("image-truncated", "image-unreadable")


def test_reading_it_registers_nothing(heic):
    formats = dict(Image.OPEN)
    assert identify_image(heic).format == "HEIF"
    assert dict(Image.OPEN).keys() - formats.keys() == set()
