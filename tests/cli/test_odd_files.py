"""Folders that hold more than photos: every file is read, refused with its reason, or counted."""

import json
import sys
from pathlib import Path

import pytest

from faceverify.embeddings.formats.reading import read_embeddings

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)
VIDEO = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(99)
PHOTOS, REFUSED, OTHERS = 3, 4, 3


@pytest.fixture
def people(tmp_path, monkeypatch, small_faces) -> Path:
    """Two people: photos under odd names, what a telephone and a browser leave, and lists."""
    folder = tmp_path / "people"
    for place, data in {
        "ann/1": small_faces["obama"], "ann/2.JPEG~": small_faces["obama2"], "ann/3.HEIC": HEIC,
        "ann/4.mp4": VIDEO, "ann/Thumbs.db": b"\xd0\xcf\x11\xe0", "ann/1.xmp": b"<x/>",
        "bob/1.txt": small_faces["biden"], "bob/2.jpg": b"<html>log in</html>",
        "bob/3.bin": b"\0\1\2", "labels.txt": b"a list",
    }.items():  # fmt: skip
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setenv("FACEVERIFY_CACHE", str(tmp_path / "cache"))
    return folder


REASONS = {
    "3.HEIC": "faceverify[heif]", "4.mp4": "a video (MP4)", "2.jpg": "a web page",
    "3.bin": "not an image",
}  # fmt: skip


def assert_all_told(ran):
    """Status 2, and each refused file with its reason, in one line."""
    assert ran.status == 2
    for name, reason in REASONS.items():
        (line,) = [one for one in ran.err.splitlines() if f"/{name}: " in one]
        assert reason in line


def assert_adds_up(counts):
    assert counts["photos"] == PHOTOS + REFUSED
    assert (counts["done"], counts["refused"], counts["others"]) == (PHOTOS, REFUSED, OTHERS)


def test_detect(run, people):
    ran = run("detect", people, "--json", "--verbose")
    assert_all_told(ran)
    assert sum(bool(one["faces"]) for one in ran.objects) == PHOTOS
    assert len(ran.objects) == PHOTOS + REFUSED
    assert "7 photos: 3 done, 4 refused (" in ran.err
    assert "; 3 other files" in ran.err


def test_embed(run, people):
    ran = run("embed", people, "--out", "e.npz", "--json")
    assert_all_told(ran)
    assert_adds_up(ran.objects[-1])
    assert len(read_embeddings(Path("e.npz"))) == PHOTOS
    lines = Path("e.refused.jsonl").read_text().splitlines()
    assert {Path(json.loads(line)["photo"]).name for line in lines} == set(REASONS)


def test_embeddings_beside_their_photos_are_none(run, people):
    for _ in range(2):
        ran = run("embed", people / "bob", "--out", people / "bob" / "e.npz", "--json")
    assert ran.objects[-1]["skipped"] == 1
    assert "e.npz" not in ran.err
    assert "e.refused" not in ran.err


def test_align(run, people):
    ran = run("align", people, "crops")
    assert_all_told(ran)
    crops = sorted(path.relative_to("crops").as_posix() for path in Path("crops").rglob("*.png"))
    assert crops == ["ann/1.png", "ann/2.png", "bob/1.png"]
    assert "; 3 other files; in crops" in ran.err


def test_enroll_a_tree_and_identify(run, people):
    ran = run("enroll", "--tree", people, "--gallery", "g", "--json", "--force")
    assert_all_told(ran)
    enrolled = [one["photo"] for one in ran.objects if one["error"] is None]
    assert [Path(one).name for one in enrolled] == ["1", "2.JPEG~", "1.txt"]
    assert "7 photos: 3 done, 4 refused" in ran.err
    assert_all_told(run("identify", people, "--gallery", "g", "--json", "--threshold", 0.3))


def test_a_folder_of_people_without_photos_says_so(run, people):
    for name in ("1", "2.JPEG~"):
        (people / "ann" / name).unlink()
    ran = run("enroll", "--tree", people, "--gallery", "g", "--force")
    assert "3.HEIC" in ran.err
    assert "no photos in it" not in ran.err  # there is one, which cannot be read


def test_data_check(run, people):
    ran = run("data", "check", people, "--json", "--sample", "0")
    wrong = {
        Path(one["where"]).name: one["text"]
        for one in ran.objects
        if one["problem"] == "unreadable"
    }
    assert wrong.keys() == REASONS.keys()
    for name, reason in REASONS.items():
        assert reason in wrong[name]
    assert ran.status == 1


def test_evaluate_says_what_was_left_out(run, people):
    ran = run("evaluate", people, "--replicates", 0, "--min-quality", 0)
    assert "3 files are not read as photos: left out" in ran.out
    assert "HEIC" in ran.out
