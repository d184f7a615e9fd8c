"""``faceverify detect``."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops


def test_an_object_for_each_photo(run, album):
    ran = run("detect", "--json", album, "--quiet")
    assert ran.status == 2
    assert ran.err == ""
    found = {Path(item["photo"]).name: item for item in ran.objects}
    assert list(found) == ["a b.jpg", "torn.jpg", "wall.png", "x\udcff.jpg", "é.jpg"]
    assert found["torn.jpg"]["error"]["code"] == "image-truncated"
    assert found["wall.png"]["error"]["code"] == "no-face"
    assert found["wall.png"]["faces"] == []
    (face,) = found["a b.jpg"]["faces"]
    assert list(face) == ["box", "points", "turned", "score", "quality", "measured"]
    assert face["score"] > 0.9
    assert face["turned"] == 0
    assert 0 < face["quality"] <= 1
    assert face["measured"]["eye_distance"] == pytest.approx(
        np.hypot(*np.subtract(face["points"][1], face["points"][0])), abs=0.1
    )


def test_a_line_for_each_face(run, album):
    ran = run("detect", album)
    lines = ran.out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{album}/a b.jpg: face 1 of 1, ")
    assert lines[1].startswith(f"{album}/x\udcff.jpg: ")
    assert "no face found" in ran.err


def test_small_faces_are_found_when_asked_for(run, album, tmp_path):
    far = Image.new("RGB", (400, 300), "gray")
    with Image.open(album / "a b.jpg") as photo:
        photo.thumbnail((80, 80))  # the face some 22 pixels high
        far.paste(photo, (150, 100))
    far.save(tmp_path / "far.png")
    assert run("detect", tmp_path / "far.png").status == 3
    assert run("detect", tmp_path / "far.png", "--min-face", 14).status == 0
    wanted = run("detect", tmp_path / "far.png", "--min-face", 14, "--min-quality", 0.9, "--json")
    assert wanted.objects[0]["error"]["code"] == "low-quality"


def test_drawings_mirror_the_tree_and_show_the_faces(run, album, tmp_path):
    out = tmp_path / "drawn"
    ran = run("detect", "--json", album, "--draw", out, "-q")
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*.*"))
    assert written == ["a b.jpg", "x\udcff.jpg", "日本 語/é.jpg"]
    drawings = [item["drawing"] for item in ran.objects if item["drawing"]]
    assert drawings == [str(out / name) for name in written]
    with Image.open(out / "a b.jpg") as drawn, Image.open(album / "a b.jpg") as photo:
        assert drawn.size == photo.size
        changed = ImageChops.difference(drawn.convert("L"), photo.convert("L"))
        left, top, right, bottom = changed.point(lambda value: 255 * (value > 60)).getbbox()
    box = ran.objects[0]["faces"][0]["box"]
    assert np.abs(np.subtract((left, right, bottom), (box[0], box[2], box[3]))).max() < 6
    assert top < box[1]  # the score stands above the box


def test_no_file_is_ever_overwritten(run, album, tmp_path):
    photo, twin = album / "a b.jpg", tmp_path / "twin" / "a b.jpg"
    twin.parent.mkdir()
    twin.write_bytes(photo.read_bytes())
    before = photo.read_bytes()

    beside = run("detect", "--json", photo, "--draw", album)
    assert beside.status == 2
    assert beside.objects[0]["error"]["code"] == "output-collision"
    inside = run("detect", album, "--draw", album / "drawn")
    assert inside.status == 2
    assert "is searched for photos" in inside.err
    assert photo.read_bytes() == before
    assert not (album / "drawn").exists()

    both = run("detect", "--json", photo, twin, "--draw", tmp_path / "out")
    assert [item["error"] and item["error"]["code"] for item in both.objects] == [
        None,
        "output-collision",
    ]
    again = run("detect", "--json", photo, "--draw", tmp_path / "out")
    assert "would overwrite" in again.err


def test_what_is_no_jpeg_is_drawn_as_png(run, album, tmp_path):
    with Image.open(album / "a b.jpg") as image:
        image.save(tmp_path / "a.webp")
    assert run("detect", tmp_path / "a.webp", "--draw", tmp_path / "out").status == 0
    with Image.open(tmp_path / "out" / "a.webp.png") as drawn:
        assert drawn.format == "PNG"


def test_standard_input(run, album, small_faces):
    assert run("detect", "-", stdin=small_faces["biden"]).out.startswith("-: face 1 of 1")
    listing = str(album / "x\udcff.jpg").encode("utf-8", "surrogateescape")
    assert len(run("detect", "-", stdin=listing).out.splitlines()) == 1


def test_ctrl_c_ends_a_run_whose_photo_never_comes(start, album, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    process = start("detect", album / "a b.jpg", tmp_path / "pipe.jpg")
    assert b"face 1 of 1" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 130
    assert process.stderr.read() == b"faceverify: interrupted\n"
