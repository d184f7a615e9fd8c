"""Photos: every colour mode, orientation, kind of source and fault."""

import hashlib
import io
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin

from faceverify.errors import ImageError, UsageError
from faceverify.images import photo as images
from faceverify.images.decoding import TURNS
from faceverify.images.discovery import find_photos
from faceverify.images.photo import open_photo

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def scene(width=48, height=32):
    """A red corner at the upper left, blue rising to the right, green downwards."""
    x, y = np.meshgrid(np.linspace(0, 200, width), np.linspace(0, 200, height))
    pixels = np.stack([np.zeros_like(x), y, x], axis=-1).astype(np.uint8)
    pixels[: height // 4, : width // 4] = RED
    return Image.fromarray(pixels)


def difference(one, other):
    """Mean difference of two images of one size, in grey levels."""
    assert one.size == other.size
    return np.abs(np.asarray(one, np.float32) - np.asarray(other, np.float32)).mean()


def refusal(source, **options):
    with pytest.raises(ImageError) as caught:
        open_photo(source, **options).decode()
    assert "\n" not in str(caught.value)
    return caught.value


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of_size(width, height, *chunks):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    middle = b"".join(png_chunk(kind, body) for kind, body in chunks)
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    end = png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + middle + pixels + end


# Formats and modes

FORMATS = {
    "JPEG": {"quality": 95}, "PNG": {}, "WEBP": {"lossless": True}, "BMP": {}, "TIFF": {},
    "PPM": {}, "TGA": {}, "PCX": {}, "SGI": {}, "JPEG2000": {}, "QOI": {}, "DIB": {}, "IM": {},
    "MPO": {"quality": 95}, "AVIF": {"quality": 95}, "DDS": {}, "ICNS": {},
}  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.filterwarnings("ignore:IM image format:DeprecationWarning")  # of writing it
def test_every_colour_format(kind):
    image = scene(32, 32) if kind == "ICNS" else scene()
    photo = open_photo(encoded(image, kind, **FORMATS[kind]))
    decoded = photo.decode()
    assert decoded.mode == "RGB"
    assert decoded.size == (photo.width, photo.height)
    if kind != "ICNS":  # which scales
        assert difference(decoded, image) < 3


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "RGBA"])
def test_every_mode_shows_the_scene(mode):
    image = scene().convert("L").convert("1") if mode == "1" else scene().convert(mode)
    same_colours = image if mode in ("1", "P") else scene().convert("L" if mode == "L" else "RGB")
    expected = same_colours.convert("RGB")
    assert difference(open_photo(image).decode(), expected) < 6


@pytest.mark.parametrize("mode", ["LA", "La", "RGBA", "RGBa"])
def test_what_is_transparent_is_white(mode):
    clear = Image.new(mode, (2, 2))
    assert open_photo(clear).decode().getpixel((0, 0)) == WHITE


def test_half_transparent_is_half_white():
    image = Image.new("RGBA", (1, 1), (0, 0, 0, 128))
    assert open_photo(image).decode().getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize(("kind", "transparency"), [("PNG", 0), ("PNG", b"\0\xff"), ("GIF", 0)])
def test_a_palette_with_a_transparent_entry(kind, transparency):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, *RED])
    image.putpixel((1, 0), 1)
    decoded = open_photo(encoded(image, kind, transparency=transparency)).decode()
    assert [decoded.getpixel((x, 0)) for x in (0, 1)] == [WHITE, RED]


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_png_with_a_transparent_colour(mode):
    clear, solid = (RED, (0, 0, 9)) if mode == "RGB" else (7, 9)
    image = Image.new(mode, (2, 1), clear)
    image.putpixel((1, 0), solid)
    decoded = open_photo(encoded(image, "PNG", transparency=clear)).decode()
    assert decoded.getpixel((0, 0)) == WHITE
    assert decoded.getpixel((1, 0)) == (solid if mode == "RGB" else (9, 9, 9))


def test_adobe_cmyk_is_not_a_negative():
    """Photoshop stores CMYK in JPEG inverted and says so by an Adobe marker, as Pillow does."""
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert b"Adobe" in data
    assert difference(open_photo(data).decode(), Image.new("RGB", (16, 16), RED)) < 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_keeps_its_scale(kind):
    values = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    decoded = np.asarray(open_photo(encoded(Image.fromarray(values), kind)).decode())
    assert (decoded[..., 0] == np.arange(256).reshape(16, 16)).all()


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I"])
def test_16_bit_grey_in_memory(mode):
    decoded = open_photo(Image.new(mode, (3, 2), 128 * 257)).decode()
    assert decoded.getpixel((2, 1)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.25, 0.25, 0.25], [64, 64, 64]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([0.0, 300.0, 600.0], [0, 128, 255]),
        ([0.0, 128.0, 255.0], [0, 128, 255]),
        ([7.0, 7.0, 7.0], [7, 7, 7]),
        ([-3e38, 0.0, 3e38], [0, 128, 255]),
    ],
)
def test_floats(values, expected):
    image = Image.fromarray(np.array([values], np.float32))
    assert [open_photo(image).decode().getpixel((x, 0))[0] for x in range(3)] == expected


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floats_that_are_no_numbers(value):
    error = refusal(Image.fromarray(np.array([[0.5, value]], np.float32)))
    assert "NaN or infinite; save it with 8 bits" in str(error)
    assert error.code == "image-format"


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_grey_of_fewer_bits_in_16_is_no_black_picture(kind, bits):
    top = (1 << bits) - 1
    values = np.array([[0, top // 2, top]], np.uint16)
    decoded = open_photo(encoded(Image.fromarray(values), kind)).decode()
    assert [decoded.getpixel((x, 0))[0] for x in range(3)] == pytest.approx([0, 127, 255], abs=1)


def deep_png(values):
    """A PNG of colours of 16 bits, (H, W, 3)."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)


def test_colours_of_fewer_bits_in_16_are_refused_instead_of_black():
    values = np.random.default_rng(0).integers(0, 1 << 12, (8, 8, 3))
    error = refusal(deep_png(values))
    assert "colours of 16 bits, of which the upper are unused" in str(error)
    assert error.code == "image-format"
    decoded = np.asarray(open_photo(deep_png(values << 4)).decode())
    assert np.abs(decoded.astype(int) - (values >> 4)).max() <= 1
    assert not np.asarray(open_photo(deep_png(values * 0)).decode()).any()  # black is black


def test_colours_as_floats_are_refused_by_name():
    tags = [(256, 4, 1), (257, 4, 1), (258, 3, 32), (259, 3, 1), (262, 3, 2), (277, 3, 3),
            (339, 3, 3), (273, 4, 8), (278, 4, 1), (279, 4, 12)]  # fmt: skip
    entries = b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in sorted(tags)
    )
    data = b"II*\0" + struct.pack("<I", 20) + bytes(12) + struct.pack("<H", len(tags)) + entries
    error = refusal(data + bytes(64))
    assert "a TIFF whose pixels are of a kind that is not read; save them as 8" in str(error)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame(kind):
    frames = [Image.new("RGB", (9, 9), colour) for colour in (RED, WHITE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert difference(open_photo(data).decode(), frames[0]) == 0


def test_one_pixel():
    assert (
        open_photo(encoded(Image.new("RGB", (1, 1), RED), "PNG")).decode().getpixel((0, 0)) == RED
    )


# Orientation


def laid(orientation):
    """The scene as a camera stores it that says ``orientation``: the inverse of the turn."""
    back = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    return scene().transpose(TURNS[back]) if back > 1 else scene()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
def test_upright(kind, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"TIFF": {}, "PNG": {}, "WEBP": {"lossless": True}}.get(kind, {"quality": 95})
    photo = open_photo(encoded(laid(orientation), kind, exif=exif, **options))
    decoded = photo.decode()
    assert (photo.width, photo.height) == decoded.size == (48, 32)
    assert difference(decoded, scene()) < 5
    assert decoded.getexif().get(ExifTags.Base.Orientation, 1) == 1


def test_upright_by_the_letter():
    """Orientation 6: row 0 of the file is the right-hand side (TIFF 6.0, page 36)."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored = Image.new("RGB", (3, 2))
    stored.putpixel((0, 0), RED)
    decoded = open_photo(encoded(stored, "PNG", exif=exif)).decode()
    assert decoded.size == (2, 3)
    assert decoded.getpixel((1, 0)) == RED


def test_upright_where_a_png_says_so_behind_its_pixels():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = encoded(laid(6), "PNG")
    end = png_chunk(b"IEND", b"")
    assert data.endswith(end)
    late = (
        data.removesuffix(end) + png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + end
    )
    photo = open_photo(late)
    assert (photo.width, photo.height) == (48, 32)
    assert difference(photo.decode(), scene()) == 0


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_upright_tiff_by_either_decoder(compression):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 8
    data = encoded(laid(8), "TIFF", exif=exif, compression=compression)
    assert difference(open_photo(data).decode(), scene()) == 0


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_orientations_that_do_not_exist(value):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    assert difference(open_photo(encoded(scene(), "PNG", exif=exif)).decode(), scene()) == 0


@pytest.mark.parametrize(
    "exif", [b"", b"nonsense", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_is_no_broken_photo(kind, exif):
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True}
    data = encoded(scene(), kind, exif=b"Exif\0\0" + exif, **options)
    assert difference(open_photo(data).decode(), scene()) < 4


def test_an_opened_pillow_image_is_made_upright_and_left_alone():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    theirs = Image.open(io.BytesIO(encoded(laid(6), "PNG", exif=exif)))
    photo = open_photo(theirs)
    assert difference(photo.decode(), scene()) == 0
    assert theirs.size == (32, 48)
    assert theirs.getexif()[ExifTags.Base.Orientation] == 6


# Sources


def test_paths(tmp_path):
    path = tmp_path / "photo.jpg"
    scene().save(path, quality=95)
    for source in (path, str(path), path.read_bytes()):
        assert difference(open_photo(source).decode(), scene()) < 4
    assert open_photo(path).name == str(path)
    assert open_photo(path.read_bytes()).name == "<bytes>"


@pytest.mark.parametrize("name", ["photo.jpg", "subject01.happy", "photo", "photo.txt"])
def test_the_content_tells_the_format(tmp_path, name):
    (tmp_path / name).write_bytes(encoded(scene(), "PNG"))
    assert difference(open_photo(tmp_path / name).decode(), scene()) == 0


def test_standard_input(monkeypatch):
    stream = io.BytesIO(encoded(scene(), "PNG"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
    photo = open_photo("-")
    assert photo.name == "standard input"
    assert difference(photo.decode(), scene()) == 0
    again = refusal("-")
    assert (again.code, str(again)[:21]) == ("image-empty", "standard input: empty")


def test_no_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert refusal("-").code == "image-unreadable"


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="needs /dev/fd")
def test_a_pipe():
    data = encoded(scene(600, 400), "BMP")
    reader, writer = os.pipe()

    def feed():
        with open(writer, "wb") as stream:
            stream.write(data)  # far more than a pipe holds at once

    thread = threading.Thread(target=feed)
    thread.start()
    photo = open_photo(f"/dev/fd/{reader}")
    os.close(reader)
    thread.join()
    assert difference(photo.decode(), scene(600, 400)) == 0


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_an_endless_pipe(monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 10 << 20)
    assert "nothing but zero bytes" in str(refusal("/dev/zero"))


def test_too_many_bytes(monkeypatch, tmp_path):
    monkeypatch.setattr(images, "MAX_BYTES", 10 << 20)
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff" + bytes(11 << 20))
    assert refusal(tmp_path / "a.jpg").code == "image-too-large"


def test_arrays():
    pixels = np.asarray(scene())
    assert difference(open_photo(pixels).decode(), scene()) == 0
    for view in (pixels[:, ::-1, ::-1], pixels[::2, ::3], np.asfortranarray(pixels)):
        assert (np.asarray(open_photo(view).decode()) == view).all()
    assert (np.asarray(open_photo(pixels[..., 1]).decode()) == pixels[..., 1:2]).all()


@pytest.mark.parametrize("source", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.uint8)])
def test_what_was_opened_does_not_change(source):
    for theirs in (source.copy(), Image.fromarray(source).copy()):
        photo = open_photo(theirs)
        if isinstance(theirs, np.ndarray):
            theirs[:] = 255
        else:
            theirs.paste("white", (0, 0, 5, 4))
        assert photo.decode().getextrema() == ((0, 0),) * 3
        photo.decode().paste("white", (0, 0, 5, 4))
        assert photo.decode().getextrema() == ((0, 0),) * 3


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 5, 3)), np.full((4, 5), np.nan), np.zeros((4, 5, 4), np.uint8),
        np.zeros((4, 5, 1), np.uint8), np.zeros((3,), np.uint8), np.zeros((2, 4, 5, 3), np.uint8),
        np.zeros((4, 5), np.int8), np.zeros((4, 5, 3), np.uint16), np.zeros((4, 5), bool),
        np.zeros((4, 5), object),
    ],
)  # fmt: skip
def test_arrays_that_are_no_photos(array):
    assert str(refusal(array)) == (
        f"<array>: {array.dtype} of shape {array.shape}; give uint8, (H, W, 3) RGB or (H, W) grey"
    )


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0, 3)])
def test_arrays_without_pixels(shape):
    assert refusal(np.zeros(shape, np.uint8)).code == "image-empty"


def test_what_is_no_source_is_a_type_error():
    with pytest.raises(TypeError, match="NoneType"):
        open_photo(None)


def test_sha256():
    data = encoded(scene(), "PNG")
    assert open_photo(data).sha256 == hashlib.sha256(data).hexdigest()
    in_memory = open_photo(scene()).sha256
    assert in_memory == open_photo(np.asarray(scene())).sha256
    assert in_memory == open_photo(scene().convert("RGBA")).sha256
    flat, tall = np.zeros((2, 6), np.uint8), np.zeros((6, 2), np.uint8)
    assert open_photo(flat).sha256 != open_photo(tall).sha256


# Size


@pytest.mark.parametrize(
    ("short_side", "size"),
    [
        (None, (1200, 801)), (5000, (1200, 801)), (801, (1200, 801)), (401, (1200, 801)),
        (400, (600, 401)), (201, (600, 401)), (200, (300, 201)), (101, (300, 201)),
        (100, (150, 101)), (1, (150, 101)), (0, (150, 101)),
    ],
)  # fmt: skip
def test_a_jpeg_comes_smaller_but_never_too_small(short_side, size):
    photo = open_photo(encoded(scene(1200, 801), "JPEG"))
    decoded = photo.decode(short_side=short_side)
    assert decoded.size == size
    assert difference(decoded, scene(1200, 801).resize(size, Image.Resampling.BOX)) < 3


def test_a_jpeg_on_its_side_comes_smaller_and_upright():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored = scene(400, 800).transpose(Image.Transpose.ROTATE_90)
    photo = open_photo(encoded(stored, "JPEG", exif=exif))
    assert (photo.width, photo.height) == (400, 800)
    assert photo.decode(short_side=100).size == (100, 200)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_other_formats_come_whole(kind):
    assert open_photo(encoded(scene(200, 100), kind)).decode(short_side=10).size == (200, 100)


def test_more_pixels_than_allowed():
    data = encoded(scene(), "PNG")
    assert open_photo(data, max_pixels=48 * 32).decode().size == (48, 32)
    for source in (data, scene(), np.asarray(scene())):
        error = refusal(source, max_pixels=48 * 32 - 1)
        assert error.code == "image-too-large"
        assert "48 x 32 pixels, where 1,535 in all are allowed); scale" in str(error)


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (10_000, 10_000), (2**31 - 1, 1)])
def test_a_bomb_is_refused_by_its_header(width, height):
    with pytest.raises(ImageError) as caught:
        open_photo(png_of_size(width, height))
    assert caught.value.code == "image-too-large"


def test_the_environment_sets_the_largest_photo(monkeypatch):
    monkeypatch.setenv("FACEVERIFY_MAX_PIXELS", "1000")
    assert "1,000 in all are allowed" in str(refusal(encoded(scene(), "PNG")))
    monkeypatch.setenv("FACEVERIFY_MAX_PIXELS", "1000000000")
    assert open_photo(png_of_size(30_000, 30_000)).width == 30_000
    for wrong in ("many", "-1", "0", "1e9"):
        monkeypatch.setenv("FACEVERIFY_MAX_PIXELS", wrong)
        with pytest.raises(UsageError, match="no number of pixels"):
            open_photo(encoded(scene(), "PNG"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photo_of_200_megapixels_is_opened(kind):
    small = encoded(scene(64, 48), kind)
    at = small.index(b"\xff\xc0") + 5 if kind == "JPEG" else 16
    size = (
        struct.pack(">HH", 12_240, 16_320) if kind == "JPEG" else struct.pack(">II", 16_320, 12_240)
    )
    large = small[:at] + size + small[at + len(size) :]
    if kind == "PNG":
        large = large[:29] + struct.pack(">I", zlib.crc32(large[12:29])) + large[33:]
    assert "out of" in str(refusal(large))  # few bytes
    photo = open_photo(large + bytes(2_000_000))
    assert (photo.width, photo.height) == (16_320, 12_240)


def test_a_large_jpeg_is_decoded_at_half_its_size_at_most(monkeypatch):
    monkeypatch.setattr(images, "LARGE_PIXELS", 640 * 480 - 1)
    photo = open_photo(encoded(scene(640, 480), "JPEG"))
    assert photo.decode().size == (320, 240)
    assert photo.decode(short_side=400).size == (320, 240)
    assert photo.decode(short_side=100).size == (160, 120)
    whole = open_photo(encoded(scene(640, 480), "PNG"), max_pixels=640 * 480)
    assert whole.decode().size == (640, 480)


def test_refusing_a_bomb_takes_no_memory(tmp_path):
    pytest.importorskip("resource")
    (tmp_path / "bomb.png").write_bytes(png_of_size(30_000, 30_000))
    script = (
        "import resource, sys; from faceverify.images.photo import ImageError, open_photo\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))\n"
        "try: open_photo(sys.argv[1])\n"
        "except ImageError as error: print(error)\n"
    )
    command = [sys.executable, "-c", script, tmp_path / "bomb.png"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "bomb.png: too large (30,000 x 30,000 pixels, where 268,435,456" in said


@pytest.mark.thorough(but=("zTXt",))
@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_a_bomb_in_a_text_or_profile(kind):
    body = b"name\0\0" + zlib.compress(b"x" * 100_000_000)
    data = png_of_size(8, 8, (kind, body))
    tracemalloc.start()
    try:
        assert open_photo(data).width == 8
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def text_chunks(size):
    """Text, XMP and colour profiles of a size, packed and not."""
    text = b"x" * size
    return [
        (b"tEXt", b"Comment\0" + text), (b"zTXt", b"Comment\0\0" + zlib.compress(text)),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(text)),
        (b"iCCP", b"profile\0\0" + zlib.compress(text)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "size", [1000, 3_000_000, pytest.param(70_000_000, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("behind", [False, True])
def test_metadata_of_any_size_leaves_a_png_whole(size, behind):
    data = encoded(scene(), "PNG")
    at = len(data) - 12 if behind else 33
    for chunk in text_chunks(size):
        with_text = data[:at] + png_chunk(*chunk) + data[at:]
        assert difference(open_photo(with_text).decode(), scene()) == 0, chunk[0]


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_damaged_metadata_leaves_a_png_whole(kind):
    body = b"name\0" + (b"\1\0\0\0" if kind == b"iTXt" else b"\0") + b"no zlib data"
    data = encoded(scene(), "PNG")
    assert (
        difference(open_photo(data[:33] + png_chunk(kind, body) + data[33:]).decode(), scene()) == 0
    )


def test_many_texts_leave_a_png_whole():
    data = encoded(scene(), "PNG")
    many = b"".join(png_chunk(b"tEXt", b"a\0" + b"x" * 900_000) for _ in range(80))
    assert difference(open_photo(data[:33] + many + data[33:]).decode(), scene()) == 0


def test_the_orientation_in_the_metadata_of_a_png_is_kept():
    data = encoded(laid(6), "PNG")
    xmp = b'<rdf:Description tiff:Orientation="6"/>'
    chunks = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    chunks += png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 3_000_000))
    assert difference(open_photo(data[:33] + chunks + data[33:]).decode(), scene()) == 0


# Faults


def test_missing(tmp_path):
    error = refusal(tmp_path / "photo.jpg")
    assert error.code == "image-missing"
    assert str(error) == (
        f"{tmp_path / 'photo.jpg'}: not found (No such file or directory); check the path"
    )
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file" / "photo.jpg").code == "image-missing"


@pytest.mark.parametrize(
    ("path", "code"), [("a\0b", "image-unreadable"), ("n" * 5000, "image-unreadable")]
)
def test_paths_that_cannot_be(path, code):
    assert refusal(path).code == code


def test_a_folder(tmp_path):
    error = refusal(tmp_path)
    assert error.code == "image-not-an-image"
    assert str(error) == f"{tmp_path}: a folder, not an image; name a photo inside it"


def test_a_file_without_permission(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    error = refusal("photo.jpg")
    assert error.code == "image-unreadable"
    assert str(error) == "photo.jpg: cannot be read (Permission denied); check its permissions"


def test_an_empty_file(tmp_path):
    (tmp_path / "photo.jpg").touch()
    error = refusal(tmp_path / "photo.jpg")
    assert (error.code, "photo.jpg: empty (0 bytes)" in str(error)) == ("image-empty", True)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"<!DOCTYPE html><html></html>", "a web page, not an image; download the file"),
        (b"PK\x03\x04" + bytes(99), "a zip archive, not an image; unpack it"),
        (b"%PDF-1.7\nxyz", "a PDF, not an image; take the photo out"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript program, not an"),
        (bytes(999), "nothing but zero bytes, not an image; copy it again"),
        (b"a", 'text, not an image (starts with "a")'),
        (b"\1\2\3\4", r'not an image (starts with "\x01\x02\x03\x04")'),
        (b"BMW, a list of cars\n" * 9, 'text, not an image (starts with "BMW'),
    ],
)
def test_what_is_no_image(data, shown):
    error = refusal(data)
    assert error.code == "image-not-an-image"
    assert str(error).startswith(f"<bytes>: {shown}")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "a raw photo (Canon CR2), which is not read"),
        (b"8BPS\0\2" + bytes(99), "a large Photoshop document (PSB), which is not read here; exp"),
        (b"<?xml version='1.0'?>\n<svg xmlns='x'/>", "an SVG drawing, which is not read here; exp"),
        (b"\xff\x0a" + bytes(99), "a JPEG XL, which is not read here; export it"),
    ],
)
def test_photos_in_formats_that_are_not_read(data, shown):
    error = refusal(data)
    assert error.code == "image-format"
    assert str(error).startswith(f"<bytes>: {shown}")


def raw_photo(thumbnail):
    """A TIFF laid out as cameras do: a small picture in front, sub-directories for the sensor's."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254], tags[271], tags[330] = 1, "SONY", 8
    return encoded(thumbnail, "TIFF", tiffinfo=tags)


def test_the_thumbnail_of_a_raw_photo_is_not_taken_for_the_photo():
    thumbnail = scene(160, 120)
    assert Image.open(io.BytesIO(raw_photo(thumbnail))).size == (160, 120)  # so would Pillow
    assert "a raw photo (such as NEF or ARW)" in str(refusal(raw_photo(thumbnail)))
    dng = TiffImagePlugin.ImageFileDirectory_v2()
    dng[50706] = b"\1\4\0\0"
    assert "a raw photo (DNG)" in str(refusal(encoded(thumbnail, "TIFF", tiffinfo=dng)))
    reduced = TiffImagePlugin.ImageFileDirectory_v2()
    reduced[254] = 1
    assert open_photo(encoded(thumbnail, "TIFF", tiffinfo=reduced)).width == 160


def test_a_film_is_refused_by_its_first_bytes(tmp_path):
    with open(tmp_path / "film.avi", "wb") as stream:
        stream.write(b"RIFF\0\0\0\0AVI LIST")
        stream.truncate(1 << 34)
    assert "a video (AVI)" in str(refusal(tmp_path / "film.avi"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "TGA", "QOI"])
@pytest.mark.parametrize("share", [0.4, 0.7, 0.9])
def test_cut_short(kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    error = refusal(data[: int(len(data) * share)])
    assert error.code in ("image-truncated", "image-unreadable")
    if kind in ("JPEG", "PNG", "GIF", "BMP", "PPM"):
        assert error.code == "image-truncated"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF"])
def test_cut_short_within_the_header(kind):
    error = refusal(encoded(scene(), kind)[:12])
    assert error.code == "image-truncated"
    assert str(error).endswith("; copy or download it again")


@pytest.mark.parametrize("short_side", [None, 8])
def test_a_jpeg_cut_short_is_refused_at_any_scale(short_side):
    data = encoded(scene(640, 480), "JPEG")
    photo = open_photo(data[: len(data) * 3 // 4])
    with pytest.raises(ImageError, match="cut short"):
        photo.decode(short_side=short_side)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM"])
def test_garbage_behind_the_image_is_ignored(kind):
    data = encoded(scene(), kind)
    assert difference(open_photo(data + b"garbage" * 99).decode(), open_photo(data).decode()) == 0


@pytest.mark.parametrize(
    "exception",
    [
        ValueError("x\ny"), SyntaxError("x"), OverflowError(), zlib.error("x"), EOFError(),
        struct.error("x"), RecursionError(), StopIteration(), KeyError("x"), Warning("x"),
        MemoryError(), Image.DecompressionBombError("x"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["load", "draft", "getexif"])
def test_whatever_pillow_raises_is_an_image_error(monkeypatch, exception, method):
    from PIL import JpegImagePlugin

    def fail(*_args, **_options):
        raise exception

    data = encoded(scene(), "JPEG")
    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, method, fail)
    if method == "getexif":  # without its EXIF a photo is still a photo
        assert open_photo(data).width == 48
        return
    with pytest.raises(ImageError, match=r"^<bytes>: (damaged|cut short|too large) [(][^)]"):
        open_photo(data).decode(short_side=8)


def test_ctrl_c_is_not_an_image_error(monkeypatch):
    def interrupt(_image):
        raise KeyboardInterrupt

    monkeypatch.setattr(ImageFile.ImageFile, "load", interrupt)
    with pytest.raises(KeyboardInterrupt):
        open_photo(encoded(scene(), "BMP")).decode()


def test_an_icon_that_holds_another_image_than_it_says():
    data = bytearray(encoded(scene(), "ICO", sizes=[(48, 32)]))
    data[6] = 16  # the width in the directory of the icon
    photo = open_photo(bytes(data))
    assert (photo.width, photo.height) == photo.decode().size


# Warnings and threads


def photos_with_warnings():
    """Photos of which Pillow warns: metadata cut short, and an animation without frames."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03"
    jpeg = encoded(scene(), "JPEG", exif=exif, quality=95)
    png = encoded(scene(), "PNG")
    return [jpeg, png[:33] + png_chunk(b"acTL", bytes(8)) + png[33:]]


def test_pillow_would_warn():
    for data in photos_with_warnings():
        with pytest.warns(UserWarning, match="Corrupt EXIF|Invalid APNG"):
            Image.open(io.BytesIO(data)).getexif()


def test_no_warnings():
    for data in photos_with_warnings():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert difference(open_photo(data).decode(), scene()) < 4
        assert caught == []


def test_large_photos_without_a_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert open_photo(png_of_size(12_000, 10_000), max_pixels=10**9).width == 12_000
    assert caught == []


def test_the_warnings_of_others_are_still_heard(monkeypatch):
    inside, go_on = threading.Event(), threading.Event()
    load = ImageFile.ImageFile.load

    def wait_inside(image):
        inside.set()
        assert go_on.wait(10)
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", wait_inside)
    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(1) as pool:
        warnings.simplefilter("always")
        photo = open_photo(encoded(scene(), "BMP"))
        warnings.warn("after", stacklevel=1)
        decoding = pool.submit(photo.decode)
        assert inside.wait(10)
        warnings.warn("meanwhile", stacklevel=1)
        go_on.set()
        decoding.result()
    assert [str(warning.message) for warning in caught] == ["after", "meanwhile"]


def test_no_warnings_whatever_filters_come_later():
    open_photo(encoded(scene(), "BMP"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in photos_with_warnings():
            assert difference(open_photo(data).decode(), scene()) < 4


def test_many_threads_decode_one_photo_and_many():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    kinds = ["JPEG", "PNG", "WEBP", "TIFF", "BMP"]
    photos = [open_photo(encoded(laid(6), kind, exif=exif)) for kind in kinds]
    photos.append(open_photo(scene()))
    expected = [photo.decode().tobytes() for photo in photos]
    with ThreadPoolExecutor(8) as pool:
        decoded = list(pool.map(lambda photo: photo.decode().tobytes(), photos * 30))
    assert decoded == expected * 30


def test_threads_that_meet_pillow_for_the_first_time(tmp_path):
    """Pillow's own search, without a list of formats, fails now and then when threads start it."""
    for kind in ("tiff", "webp", "tga", "sgi"):
        scene().save(tmp_path / f"photo.{kind}")
    script = (
        "import sys; from concurrent.futures import ThreadPoolExecutor\n"
        "from pathlib import Path; from faceverify.images.photo import open_photo\n"
        "from faceverify.images.discovery import find_photos\n"
        "paths = list(find_photos(Path(sys.argv[1]))) * 4; assert len(paths) == 16\n"
        "decode = lambda path: open_photo(path).decode()\n"
        "with ThreadPoolExecutor(16) as pool: list(pool.map(decode, paths))\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script, tmp_path], check=True)


def test_importing_is_light():
    script = (
        "import sys, faceverify.images.photo; print(*sys.modules); "
        "import PIL.Image as i; print(i.OPEN)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    modules, formats = loaded.stdout.strip().split("\n")
    assert not {"numpy", "torch", "onnxruntime", "typer", "PIL.ImageCms"} & set(modules.split())
    assert formats == "{}"


def test_a_plain_jpeg_costs_no_copy(monkeypatch):
    photo = open_photo(encoded(scene(), "JPEG"))
    for method in ("convert", "copy", "transpose", "paste", "tobytes"):
        monkeypatch.setattr(Image.Image, method, None)
    assert photo.decode().size == (48, 32)


# Databases of faces


def test_att_faces(shared_data):
    paths = list(islice(find_photos(shared_data / "formats" / "att_faces"), 40))
    assert len(paths) == 40
    for path in paths:
        decoded = np.asarray(open_photo(path).decode())
        assert decoded.shape == (112, 92, 3)
        raw = path.read_bytes()[-112 * 92 :]
        assert decoded[..., 0].tobytes() == decoded[..., 2].tobytes() == raw


def test_yale_faces_have_no_extension(shared_data):
    folder = shared_data / "formats" / "yalefaces"
    paths = sorted(path for path in folder.iterdir() if path.name.startswith("subject"))
    assert paths
    for path in paths:
        assert open_photo(path).decode().size == (320, 243)
