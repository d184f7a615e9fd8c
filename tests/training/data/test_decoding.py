"""Decoding: what Pillow sees, upright, in colour; errors that name the file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from face_files import encoded, picture
from photographs import OBAMA
from PIL import Image

from faceverify.errors import ImageError, TrainingError
from faceverify.images.photo import open_photo
from faceverify.training.data import decoding
from faceverify.training.data.decoding import decode, decode_many, fitted


def seen(data):
    return np.asarray(open_photo(data).decode()).astype(int)


def got(data):
    image = decode(data, "x")
    assert image.dtype == torch.uint8
    return image.permute(1, 2, 0).numpy().astype(int)


def grey(size):
    return picture(3, size).convert("L")


FILES = {
    "jpeg": encoded(picture(1, (40, 30))),
    "small sides": encoded(picture(1, (1, 1))),
    "odd sides": encoded(picture(1, (33, 17)), subsampling=2),
    "progressive": encoded(picture(1, (40, 30)), progressive=True),
    "grey jpeg": encoded(grey((40, 30))),
    "cmyk jpeg": encoded(picture(1, (40, 30)).convert("CMYK")),
    "png": encoded(picture(1, (40, 30)), "PNG"),
    "grey png": encoded(grey((40, 30)), "PNG"),
    "palette": encoded(picture(1, (40, 30)).quantize(16), "PNG"),
    "transparent": encoded(picture(1, (40, 30)).convert("RGBA"), "PNG"),
    "one colour transparent": encoded(
        picture(1, (9, 9)), "PNG", transparency=picture(1, (9, 9)).getpixel((4, 4))
    ),
    "16 bits": encoded(Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30)), "PNG"),
    "gif": encoded(picture(1, (40, 30)), "GIF"),
    "bmp": encoded(picture(1, (40, 30)), "BMP"),
    "pgm": encoded(grey((40, 30)), "PPM"),
    "webp": encoded(picture(1, (40, 30)), "WEBP", lossless=True),
}


@pytest.mark.parametrize("name", FILES)
def test_as_pillow_sees_it(name):
    assert np.abs(got(FILES[name]) - seen(FILES[name])).max() <= (2 if "cmyk" in name else 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_by_its_exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(1, (40, 30)), exif=exif)
    assert got(data).shape == ((30, 40, 3) if orientation < 5 else (40, 30, 3))
    assert np.abs(got(data) - seen(data)).max() <= 1


def test_a_photograph():
    data = Path(OBAMA).read_bytes()
    assert np.abs(got(data) - seen(data)).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_cut_anywhere_is_an_error_or_the_image(kind):
    data = encoded(picture(1, (24, 20)), kind)
    whole, refused = got(data), 0
    for length in range(0, len(data), 5):
        try:
            found = got(data[:length])
        except ImageError as error:
            assert str(error).startswith("x: ")  # noqa: PT017
            refused += 1
        else:
            assert np.array_equal(found, whole)
    assert refused > len(data) / 5 * 0.8


def test_the_error_names_the_file_and_the_trouble():
    for data, code in (
        (b"", "image-empty"),
        (b"hello", "image-not-an-image"),
        (FILES["jpeg"][:200], "image-truncated"),
    ):
        with pytest.raises(ImageError, match=r"^people/ann/1\.jpg: ") as error:
            decode(data, "people/ann/1.jpg")
        assert error.value.code == code


def test_without_torchvisions_decoders(monkeypatch):
    monkeypatch.setattr(decoding, "FAST", False)
    assert np.array_equal(got(FILES["jpeg"]), seen(FILES["jpeg"]))


def test_many():
    cpu = torch.device("cpu")
    images = decode_many([FILES["jpeg"], FILES["gif"]], ["a", "b"], cpu)
    assert torch.equal(images[0], decode(FILES["jpeg"], "a"))
    with pytest.raises(ImageError, match=r"^b: "):
        decode_many([FILES["jpeg"], b"x"], ["a", "b"], cpu)


def test_fitting():
    image = torch.full((3, 60, 50), 77, dtype=torch.uint8)
    assert fitted(image, (60, 50), "x") is image
    smaller = fitted(image, (30, 25), "x")
    assert smaller.shape == (3, 30, 25)
    assert bool((smaller == 77).all())
    with pytest.raises(TrainingError, match="x: 50 x 60 pixels, where the others have the shape"):
        fitted(image, (50, 50), "x")


def test_a_fitted_image_is_what_pillow_makes_of_it():
    image = picture(1, (60, 48))
    ours = fitted(torch.from_numpy(np.array(image)).permute(2, 0, 1), (24, 30), "x")
    theirs = np.asarray(image.resize((30, 24), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(ours.permute(1, 2, 0).numpy() - theirs).max() <= 1


@pytest.mark.gpu
def test_the_gpus_decoder():
    data = [FILES["jpeg"], FILES["grey jpeg"], encoded(picture(5, (112, 112)))]
    found = decode_many(data, list("abc"), torch.device("cuda"))
    for image, one in zip(found, data, strict=True):
        assert image.device.type == "cuda"
        assert np.abs(image.cpu().permute(1, 2, 0).numpy() - seen(one)).max() <= 3
