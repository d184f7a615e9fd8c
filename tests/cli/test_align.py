"""``faceverify align``."""

import json
import os
import signal

import numpy as np
import pytest
from photographs import FACES
from PIL import Image

from faceverify.faces.alignment import ALIGNMENT_NAMES, REFERENCE_POINTS, BoxCrop, named_alignment

GOOD = ["a b", "x\udcff", "日本 語/é"]


def crops_in(folder, suffix="png"):
    return {
        str(path.relative_to(folder).with_suffix("")): path
        for path in sorted(folder.rglob(f"*.{suffix}"))
    }


def test_a_tree_of_photos_becomes_the_same_tree_of_crops(run, album, tmp_path):
    crops, report = tmp_path / "crops", tmp_path / "report.jsonl"
    ran = run("align", album, crops, "--json", "--report", report)
    assert ran.status == 2
    assert list(crops_in(crops)) == GOOD
    for path in crops_in(crops).values():
        with Image.open(path) as crop:
            assert (crop.size, crop.mode, crop.format) == ((112, 112), "RGB", "PNG")
    assert report.read_text() == ran.out
    assert "5 photos: 3 done, 2 refused (image-truncated 1, no-face 1)" in ran.err
    first, torn, wall, *_ = ran.objects
    assert first["crop"] == str(crops / "a b.png")
    assert 0 < first["quality"] <= 1
    assert first["error"] is None
    assert torn["error"]["code"] == "image-truncated"
    assert (wall["crop"], wall["skipped"]) == (None, False)


@pytest.mark.parametrize("name", REFERENCE_POINTS)
def test_a_crop_carries_the_reference_points(run, album, tmp_path, name):
    """Oracle: the same transform from least squares over its matrix, sampled by Pillow alone."""
    side = 2 * REFERENCE_POINTS[name].side  # larger than in the photo: nothing is filtered
    run("align", album, tmp_path / "crops", "--alignment", name, "--size", side, "-q")
    found = run("detect", "--json", album / "a b.jpg", "--face", "prominent").objects[0]
    target = 2 * np.array(REFERENCE_POINTS[name].points)  # from the corner, as Pillow has it
    rows = [([x, -y, 1, 0], [y, x, 0, 1]) for x, y in found["faces"][0]["points"]]
    a, b, c, d = np.linalg.lstsq(np.reshape(rows, (10, 4)), target.ravel(), rcond=None)[0]
    inverse = np.linalg.inv([[a, -b, c], [b, a, d], [0, 0, 1]])
    with Image.open(album / "a b.jpg") as photo, Image.open(tmp_path / "crops/a b.png") as crop:
        coefficients = inverse[:2].ravel().tolist()
        expected = photo.transform((side, side), Image.Transform.AFFINE, coefficients, 2)
        apart = np.abs(np.asarray(crop, float) - np.asarray(expected))
    assert apart.mean() < 0.2  # half a pixel beside it is above 2


def test_facenet_crops_are_the_box_and_its_margin(run, album, tmp_path):
    ran = run("align", album, tmp_path / "c", "-t", "facenet-160", "--format", "jpg", "-q")
    assert ran.status == 2
    assert list(crops_in(tmp_path / "c", "jpg")) == GOOD
    with Image.open(tmp_path / "c" / "a b.jpg") as crop:
        assert (crop.size, crop.format) == ((160, 160), "JPEG")


def test_names_give_alignments_and_sizes():
    assert {name: named_alignment(name)[1] for name in ALIGNMENT_NAMES} == {
        "arcface-112": 112,
        "dlib-150": 150,
        "facenet-160": 160,
    }
    alignment, side = named_alignment("arcface-112", 224)
    assert side == 224
    np.testing.assert_allclose(
        alignment.points, 2 * np.array(REFERENCE_POINTS["arcface-112"].points)
    )
    assert named_alignment("facenet-160", 200) == (BoxCrop(14 / 160), 200)


def test_a_second_run_cuts_only_what_is_missing(run, album, tmp_path):
    crops = tmp_path / "crops"
    run("align", album, crops)
    paths = crops_in(crops)
    paths["a b"].unlink()
    paths["x\udcff"].write_bytes(b"mine")
    ran = run("align", album, crops, "--json", "-q")
    assert [item["skipped"] for item in ran.objects if item["error"] is None] == [False, True, True]
    assert paths["a b"].exists()
    assert paths["x\udcff"].read_bytes() == b"mine"


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("date", [2e9, 5e8, None])
def test_a_photo_replaced_under_its_name_is_cut_anew(run, tmp_path, small_faces, kind, date):
    photos, crops = tmp_path / "photos", tmp_path / "crops"
    photos.mkdir()
    for name in ("a", "b"):
        (photos / f"{name}.jpg").write_bytes(small_faces["obama"])
        os.utime(photos / f"{name}.jpg", (1e9, 1e9))
    run("align", photos, crops, "--format", kind)
    before = {name: (crops / f"{name}.{kind}").read_bytes() for name in ("a", "b")}
    assert before["a"] == before["b"]
    (photos / "b.jpg").write_bytes(small_faces["biden"])
    os.utime(photos / "b.jpg", (date or 1e9, date or 1e9))
    for expected in ([True, False], [True, True]):
        ran = run("align", photos, crops, "--format", kind, "--json")
        assert [one["skipped"] for one in ran.objects] == expected
    run("align", photos, tmp_path / "anew", "--format", kind)
    after = {name: (crops / f"{name}.{kind}").read_bytes() for name in ("a", "b")}
    assert after["a"] == before["a"]
    assert after["b"] == (tmp_path / "anew" / f"b.{kind}").read_bytes() != before["b"]


def test_the_crop_of_a_photo_that_has_no_face_any_more_goes(run, album, tmp_path):
    run("align", album, tmp_path / "crops")
    (album / "wall.png").replace(album / "a b.jpg")
    ran = run("align", album, tmp_path / "crops", "--json", "-q")
    assert ran.objects[0]["error"]["code"] == "no-face"
    assert list(crops_in(tmp_path / "crops")) == GOOD[1:]


def test_a_photo_that_was_only_touched_keeps_its_crop(run, album, tmp_path):
    run("align", album, tmp_path / "crops")
    os.utime(album / "a b.jpg", (2e9, 2e9))
    assert run("align", album, tmp_path / "crops", "--json").objects[0]["skipped"]


def test_a_crop_by_hand_stays_until_its_photo_changes(run, album, tmp_path):
    run("align", album, tmp_path / "crops")
    crop = tmp_path / "crops" / "a b.png"
    Image.new("RGB", (112, 112), "red").save(crop)
    assert run("align", album, tmp_path / "crops", "--json").objects[0]["skipped"]
    os.utime(album / "a b.jpg", (2e9, 2e9))
    assert not run("align", album, tmp_path / "crops", "--json").objects[0]["skipped"]
    with Image.open(crop) as image:
        assert image.getpixel((56, 56)) != (255, 0, 0)


@pytest.mark.thorough
def test_the_crop_of_a_photo_too_large_to_be_decoded_whole(run, album, tmp_path, monkeypatch):
    crops = []
    for limit in (1 << 28, 50_000):
        monkeypatch.setattr("faceverify.images.photo.LARGE_PIXELS", limit)
        out = tmp_path / str(limit)
        run("align", album, out, "--size", 400)  # larger than the finder's detail
        with Image.open(out / "a b.png") as crop:
            crops.append(np.asarray(crop.convert("L"), float))
    assert np.abs(crops[0] - crops[1]).mean() < 12


def test_crops_of_two_faces_are_not_mixed(run, album, tmp_path):
    run("align", album, tmp_path / "crops")
    ran = run("align", album, tmp_path / "crops", "--face", "largest")
    assert (ran.status, "other crops" in ran.err) == (2, True)


def test_crops_of_two_alignments_are_not_mixed(run, album, tmp_path):
    crops = tmp_path / "crops"
    run("align", album, crops)
    for options in (["-t", "dlib-150"], ["--template", "dlib-150"], ["--size", 128]):
        ran = run("align", album, crops, *options)
        assert ran.status == 2
        assert "other crops" in ran.err
    assert run("align", album, crops, "--size", 112, "--json").objects[0]["skipped"]


def test_two_photos_never_share_a_crop(run, album, tmp_path):
    with Image.open(album / "日本 語" / "é.jpg") as image:
        image.save(album / "a b.png")
    for _ in range(2):
        ran = run("align", album, tmp_path / "crops", "--json", "-q")
        assert [item["error"] and item["error"]["code"] for item in ran.objects[:2]] == [
            None,
            "output-collision",
        ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["album", "album/crops"], "is searched for photos"),
        (["album", "album"], "is searched for photos"),
        (["album/wall.png", "crops"], "not a folder"),
        (["missing", "crops"], "not a folder"),
        (["album", "crops", "--alignment", "arcface"], "known: arcface-112, dlib-150, facenet-160"),
        (["album", "crops", "--face", "all"], "a photo has one crop"),
        (["album", "file"], "file: cannot be made"),
    ],
)
def test_wrong_usage(run, album, monkeypatch, arguments, message):
    monkeypatch.chdir(album.parent)
    (album.parent / "file").touch()
    ran = run("align", *arguments)
    assert ran.status == 2
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_large_crops_have_the_detail_of_the_photo(run, small_faces, tmp_path):
    """The finder looks at a large photo shrunk; a large crop is cut out of it whole."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes((FACES / "obama3.jpg").read_bytes())
    sharpness = {}
    for face in ("prominent", "only"):  # "only" looks at the photo as it is
        run("align", tmp_path / "photos", tmp_path / face, "--face", face, "--size", 400, "-q")
        with Image.open(tmp_path / face / "a.png") as crop:
            grey = np.asarray(crop.convert("L"), float)
        sharpness[face] = np.abs(np.diff(grey)).mean()
    assert sharpness["prominent"] == pytest.approx(sharpness["only"], rel=0.03)


def test_ctrl_c_leaves_whole_crops_only(start, small_faces, tmp_path):
    photos, crops = tmp_path / "photos", tmp_path / "crops"
    photos.mkdir()
    for number in range(300):
        (photos / f"{number:03}.jpg").write_bytes(small_faces["obama"])
    process = start("align", photos, crops, "--json")
    assert json.loads(process.stdout.readline())["error"] is None
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 130
    made = [path for path in crops.iterdir() if path.suffix != ".json"]
    assert 0 < len(made) < 300
    for path in made:
        with Image.open(path) as crop:
            assert crop.size == (112, 112)
            crop.load()
