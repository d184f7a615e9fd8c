"""Photos below folders: all of them, sorted, and by person."""

import io
import os
import sys
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from faceverify.errors import ImageError
from faceverify.images.discovery import EXTENSIONS, find_photos
from faceverify.images.people import find_people, read_people


def tree(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def found(root):
    return [str(path.relative_to(root)) for path in find_photos(root)]


def test_find_photos(tmp_path):
    tree(tmp_path, "b/2.jpg", "b/10.JPG", "b/.hidden.jpg", "b/deep/er/x.pgm", "a.png", "c.gif")
    tree(tmp_path, "@eaDir/a.png/thumb.jpg", "b/__MACOSX/1.jpg", "b/$RECYCLE.BIN/2.jpg")
    tree(tmp_path, "album.jpg/1.webp", ".git/x.png", "notes.txt", "no-extension", "jpg")
    assert found(tmp_path) == [
        "a.png", "album.jpg/1.webp", "b/10.JPG", "b/2.jpg", "b/deep/er/x.pgm", "c.gif", "jpg",
        "no-extension",
    ]  # fmt: skip


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)
VIDEO = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(99)


def contents(root, **files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def jpeg():
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG")
    return stream.getvalue()


def odd_files(folder):
    """Files that a folder of photos may hold: photos under odd names, and others."""
    photo = jpeg()
    contents(folder, **{
        "1.jpg": photo, "2": photo, "3.JPEG~": photo, "4.txt": photo, "5.HEIC": HEIC, "6": HEIC,
        "7.mp4": VIDEO, "8.jpg": b"<html>", "9.pdf": b"%PDF-1.7\n\xe2\xe3\n", "a.bin": b"\0\1\2",
        "b": b"", "c.jfif": photo,
    })  # fmt: skip
    others = {
        "Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "notes.txt": b"anything",
        "utf16.txt": "Größe\n".encode("utf-16"), "latin.txt": "Größe und mehr\n".encode("cp1252"),
        "1.jpg.xmp": b"<?xpacket?><x/>", "1.aae": b"<?xml version='1.0'?><x/>",
        "2.AAE": b"bplist00\0\1", "LICENSE": b"MIT",
        "DESKTOP.INI": b"\xff\xfe[\0", "e.npz": b"PK\3\4\0", "empty.csv": b"", ".DS_Store": b"\0",
        "labels.csv": b"path,age\n", "page.html": b"<html></html>",
    }  # fmt: skip
    contents(folder, **others)
    return sorted(name for name in others if not name.startswith("."))


def test_every_file_is_a_photo_or_known_to_be_none(tmp_path):
    others = odd_files(tmp_path)
    passed = []
    names = [path.name for path in find_photos(tmp_path, passed=passed.append)]
    assert names == sorted(
        ["1.jpg", "2", "3.JPEG~", "4.txt", "5.HEIC", "6", "7.mp4", "8.jpg", "9.pdf", "a.bin", "b",
         "c.jfif"]
    )  # fmt: skip
    assert sorted(path.name for path in passed) == others


def test_a_file_with_the_extension_of_a_photo_is_not_looked_into(tmp_path, monkeypatch):
    tree(tmp_path, "a.jpg", "b/c.png")
    monkeypatch.setattr("builtins.open", None)
    assert found(tmp_path) == ["a.jpg", "b/c.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / "b")
    (tmp_path / "c.jpg").symlink_to(tmp_path / "b")
    problems = []
    assert list(find_photos(tmp_path, refuse=problems.append)) == []
    assert [str(one).partition(":")[2] for one in problems] == [
        " a pipe, socket or device, not an image"
    ] * 3
    with pytest.raises(ImageError, match="a pipe"):
        found(tmp_path)


def test_people_with_odd_files(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    odd_files(tmp_path / "ann")
    contents(tmp_path / "bob", **{"1.mp4": VIDEO})
    contents(tmp_path, **{"readme": b"text", "x": jpeg(), "y.HEIC": HEIC, "z.onnx": b"\x08\7"})
    people = read_people(tmp_path)
    photos = ["1.jpg", "2", "3.JPEG~", "4.txt", "8.jpg", "c.jfif"]
    assert sorted(path.name for path in people.photos) == photos
    assert (people.outside, people.empty, set(people.names)) == (2, ["bob"], {"ann"})
    assert [one.path.name for one in people.foreign] == [
        "5.HEIC", "6", "7.mp4", "9.pdf", "a.bin", "b", "1.mp4"
    ]  # fmt: skip
    (_, note) = people.notes
    assert note.startswith("7 files are not read as photos: left out (")
    assert "HEIC" in note
    passed = []
    list(find_people(tmp_path, passed=passed.append))
    assert {"readme", "z.onnx", "LICENSE"} <= {path.name for path in passed}


def test_find_photos_follows_links_but_not_in_circles(tmp_path):
    tree(tmp_path, "elsewhere/1.jpg", "root/2.jpg")
    (tmp_path / "root" / "alice").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "circle").symlink_to(tmp_path / "root")
    (tmp_path / "root" / "lost.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "root" / "self.jpg").symlink_to(tmp_path / "root" / "self.jpg")
    assert found(tmp_path / "root") == ["2.jpg", "alice/1.jpg", "lost.jpg", "self.jpg"]


def test_find_photos_reports_what_it_cannot_list(tmp_path):
    for root in (tmp_path / "missing", tmp_path / "file"):
        (tmp_path / "file").touch()
        with pytest.raises(ImageError, match="not found") as caught:
            list(find_photos(root))
        assert caught.value.code == "image-missing"


def test_find_photos_streams(tmp_path, monkeypatch):
    tree(tmp_path, "a/1.jpg", "b/2.jpg", "c/3.jpg")
    listed, scandir = [], os.scandir
    monkeypatch.setattr(
        os, "scandir", lambda folder: listed.append(Path(folder).name) or scandir(folder)
    )
    assert [path.name for path in islice(find_photos(tmp_path), 1)] == ["1.jpg"]
    assert listed == [tmp_path.name, "a"]


def test_every_extension_is_one_that_pillow_reads():
    Image.init()
    assert set(Image.registered_extensions()) >= EXTENSIONS
    assert {Image.registered_extensions()[suffix] for suffix in EXTENSIONS} <= set(Image.OPEN) | {
        "MPO"
    }


def test_find_photos_goes_on_behind_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jpg").touch()
    scandir = os.scandir

    def refuse(folder):
        if os.path.basename(folder) == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    problems: list[ImageError] = []
    found = list(find_photos(tmp_path, refuse=problems.append))
    assert found == [tmp_path / "a" / "x.jpg", tmp_path / "c" / "x.jpg"]
    assert [str(tmp_path / "b") in str(problem) for problem in problems] == [True]
    with pytest.raises(ImageError, match="Permission denied"):
        list(find_photos(tmp_path))


# People


@pytest.fixture
def people(tmp_path) -> Path:
    """Two people, one with photos in a folder below; an empty one, stray photos, a circle."""
    root = tmp_path / "people"
    tree(root, "joe/old/1.jpg", "joe/2.jpg", "Ádám/1.png", "nobody/notes.txt", ".hidden/1.jpg")
    tree(root, "a.jpg", "kim.png", "notes.txt", "joe/.hidden.jpg")
    (root / "joe" / "zoo").symlink_to(root)
    (root / "kim").symlink_to(root / "Ádám")
    return root


def test_the_first_folder_names_the_person_and_what_is_none_comes_in_its_place(people):
    found = list(find_people(people))
    told = [(one.person, str(one.path.relative_to(people))) for one in found]
    assert told == [
        ("", "a.jpg"), ("joe", "joe/2.jpg"), ("joe", "joe/old/1.jpg"), ("kim", "kim/1.png"),
        ("", "kim.png"), ("nobody", "nobody"), ("Ádám", "Ádám/1.png"),
    ]  # fmt: skip
    wrong = {one.path.name: one.error.code for one in found if one.error is not None}
    assert wrong == {
        "a.jpg": "image-of-nobody", "kim.png": "image-of-nobody", "nobody": "image-missing"
    }  # fmt: skip


def test_all_photos_of_people_and_what_was_left_out(people):
    found = read_people(people)
    assert found.names == ["joe", "joe", "kim", "Ádám"]
    assert found.photos == [one.path for one in find_people(people) if one.error is None]
    assert (found.outside, found.empty) == (2, ["nobody"])
    assert found.notes == ["2 photos lie in no person's folder: left out"]
    assert (read_people(people / "joe").notes, read_people(people / "nobody").lack) == (
        ["1 photos lie in no person's folder: left out"], "no photos",
    )  # fmt: skip


def test_a_folder_of_a_person_that_cannot_be_read(people, monkeypatch):
    scandir = os.scandir

    def refuse(folder):
        if os.path.basename(folder) == "old":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    told = [(one.person, one.path.name, one.error) for one in find_people(people)]
    ((person, name, error),) = [one for one in told if "Permission" in str(one[2])]
    assert (person, name) == ("joe", "joe")  # after the photos that could be read
    assert told.index((person, name, error)) == 2
    with pytest.raises(ImageError, match="old: cannot be read"):
        read_people(people)


def test_a_root_that_is_none(tmp_path):
    for read in (read_people, lambda root: list(find_people(root))):
        with pytest.raises(ImageError, match="not found"):
            read(tmp_path / "missing")


@pytest.mark.parametrize(
    ("paths", "people"),
    [
        (["train/ann/1.jpg", "train/bob/1.jpg", "val/ann/2.jpg"], "train"),
        (["Train/ann/1.jpg", "test/1.jpg"], "Train"),
        (["lfw/ann/1.jpg", "lfw/bob/1.jpg"], "lfw"),
        (["a/b/ann/1.jpg", "a/b/bob/1.jpg"], "a/b"),
        (["set/train/ann/1.jpg", "set/val/bob/1.jpg"], "set/train"),
        (["x/train/ann/1.jpg", "y/train/bob/1.jpg"], "x/train"),
        ([f"{r}/{r}{n}/1.jpg" for r in ("african", "asian") for n in range(3)], "african"),
        (["train/ann/monday/1.jpg", "train/ann/friday/1.jpg", "train/bob/monday/1.jpg"], "train"),
    ],
)
def test_a_root_one_too_high_names_the_folder_of_people(tmp_path, paths, people):
    tree(tmp_path, *paths)
    for read in (read_people, lambda root: list(find_people(root))):
        with pytest.raises(ImageError, match="found folders of folders") as found:
            read(tmp_path)
        assert found.value.code == "image-tree"
        assert f"such as {tmp_path / people};" in str(found.value)


@pytest.mark.parametrize(
    "paths",
    [
        ["ann/monday/1.jpg", "ann/friday/1.jpg", "bob/monday/1.jpg", "bob/friday/1.jpg"],
        [f"{n:03d}/{view}/1.jpg" for n in range(12) for view in ("frontal", "profile")],
        [f"ann{n}/{n}-{day}/1.jpg" for n in range(12) for day in range(20)],
        ["ann/1.jpg", "bob/1/1.jpg", "bob/2/1.jpg", "bob/3/1.jpg"],
        ["val/1.jpg", "test/1.jpg"],
        ["ann/gallery/1.jpg", "ann/probe/2.jpg", "bob/gallery/1.jpg", "bob/probe/1.jpg"],
        ["ann/raw/1.jpg"],
    ],
)
def test_people_whose_photos_lie_in_folders_of_theirs(tmp_path, paths):
    tree(tmp_path, *paths)
    found = read_people(tmp_path)
    assert set(found.names) == {path.split("/")[0] for path in paths}
    assert len(found.photos) == len(paths)


def test_one_person_with_most_of_the_photos_is_noted(tmp_path):
    tree(tmp_path, *(f"rest/{n}.jpg" for n in range(20)), "ann/1.jpg", "bob/1.jpg")
    assert read_people(tmp_path).notes == ["rest has 20 of the 22 photos: is that one person?"]
