"""JPEG damaged inside: refused, where its bytes do not fit its pixels; whole ones never are."""

import io
import random
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faceverify.errors import ImageError
from faceverify.images.jpeg_stream import RESTART, first_scan
from faceverify.images.photo import open_photo

KINDS = {
    "usual": {"quality": 90},
    "fine": {"quality": 95, "subsampling": 0, "optimize": True},
    "progressive": {"quality": 90, "progressive": True},
    "restarts": {"quality": 90, "restart_marker_rows": 1},
}


def encoded(image, **options):
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def files(photos):
    face = photos["obama"].resize((400, 500))
    grey = encoded(face.convert("L"), quality=90)
    return {"grey": grey} | {kind: encoded(face, **options) for kind, options in KINDS.items()}


def is_refused(data, short_side=None):
    try:
        open_photo(data).decode(short_side=short_side)
    except ImageError as error:
        return "copy or download it again" in str(error)
    return False


def zeros(data, at, count):
    return data[:at] + bytes(count) + data[at + count :]


def garbage(data, at, count):
    return data[:at] + random.Random(at).randbytes(count) + data[at + count :]


def lost(data, at, count):
    return data[:at] + data[at + count :]


def twice(data, at, count):
    return data[:at] + data[at - count : at] + data[at:]


def ends(data, at, _count):
    return data[:at] + b"\xff\xd9"


def page(data, at, _count):
    return data[:at] + b"<html>502 Bad Gateway</html>"


# of 30 places each: how many at least are found, of 512 bytes; a row of restart markers hides what
# happens between two of them, and a progressive JPEG what no marker and no hole shows
@pytest.mark.thorough(but=("garbage-kinds2-22", "zeros-kinds1-24", "ends-kinds5-28"))
@pytest.mark.parametrize(
    ("damage", "kinds", "least"),
    [
        (zeros, ("usual", "fine", "grey"), 24), (zeros, ("progressive",), 24),
        (garbage, ("usual", "fine", "grey", "progressive", "restarts"), 22),
        (lost, ("usual", "fine", "grey"), 30), (twice, ("usual", "fine", "grey"), 30),
        (ends, ("usual", "fine", "grey", "restarts"), 28),
        (page, ("usual", "fine", "grey", "restarts", "progressive"), 30),
    ],
)  # fmt: skip
def test_damage_inside_is_refused(files, damage, kinds, least):
    for kind in kinds:
        data = files[kind]
        scan = first_scan(data)
        end = len(data) if kind == "progressive" else scan.end
        places = np.linspace(scan.start + 600, end - 1200, 30).astype(int)
        for short_side in (None, 100):
            found = sum(is_refused(damage(data, int(at), 512), short_side) for at in places)
            assert found >= least, (kind, short_side, found)


@pytest.mark.parametrize("change", [lambda part: b"", lambda part: part + part])
def test_a_part_between_restart_markers_that_is_missing_or_there_twice_is_refused(files, change):
    data = files["restarts"]
    scan = first_scan(data)
    one, two = [found.start() for found in RESTART.finditer(data, scan.start, scan.end)][8:10]
    assert is_refused(data[:one] + change(data[one:two]) + data[two:])


def test_whole_ones_are_read_as_pillow_reads_them(files):
    for data in files.values():
        whole = Image.open(io.BytesIO(data)).convert("RGB")
        assert open_photo(data).decode().tobytes() == whole.tobytes()


@settings(max_examples=150)
@given(data=st.data())
def test_no_whole_jpeg_is_refused(data):
    draw = data.draw
    width, height = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    random_state = np.random.default_rng(draw(st.integers(0, 9)))
    flat = np.full((height, width, 3), draw(st.sampled_from([0, 0x5A, 128, 255])), np.uint8)
    noise = random_state.integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(draw(st.sampled_from([flat, noise, flat // 2 + noise // 4])))
    options = {
        "quality": draw(st.integers(1, 95)),
        "progressive": draw(st.booleans()),
        **draw(st.sampled_from([{}, {"restart_marker_rows": 2}, {"restart_marker_blocks": 3}])),
    }
    mode = draw(st.sampled_from(["RGB", "L", "CMYK"]))
    if mode == "RGB":
        options["subsampling"] = draw(st.integers(0, 2))
    file = encoded(image.convert(mode), **options)
    for short_side in (None, 8):
        open_photo(file).decode(short_side=short_side)
    # what some cameras leave at the end, and what may follow it
    open_photo(file[:-2] + b"\0\0" + file[-2:] + b"trailer").decode()
    open_photo(file[:-2] + b"\xff\xff" + file[-2:]).decode()


def test_every_jpeg_of_the_face_databases_is_whole(shared_data):
    paths = sorted((shared_data / "lfw").rglob("*.jpg"))[::40]
    for path in paths:
        open_photo(path).decode()


@pytest.mark.parametrize("size", range(0, 40, 3))
def test_whatever_the_header_it_is_an_image_error(files, size):
    data = bytearray(files["usual"])
    place = data.index(b"\xff\xc0")
    for filler in (b"\xff", b"\0", b"\x11"):
        broken = bytes(data[: place + size]) + filler * 30 + bytes(data[place + size + 30 :])
        with suppress(ImageError):
            open_photo(broken).decode()
