"""Sets of faces: folders of people, their further values, parts of a set."""

import os

import numpy as np
import pytest
from face_files import encoded, people_folder, picture

from faceverify.errors import FaceverifyError, ImageError, TrainingError
from faceverify.training.data.sets.open import open_face_set


@pytest.fixture
def folder(tmp_path):
    return people_folder(tmp_path / "people", {"eve": 3, "ann": 2, "bob": 1})


def test_people_and_photos_are_in_the_order_of_their_names(folder):
    faces = open_face_set(folder)
    assert faces.kind == "folders"
    assert faces.identities == ["ann", "bob", "eve"]
    assert faces.labels.tolist() == [0, 0, 1, 2, 2, 2]
    assert faces.counts().tolist() == [2, 1, 3]
    assert faces.name(1) == str(folder / "ann" / "0001.jpg")
    assert faces.read(1) == (folder / "ann" / "0001.jpg").read_bytes()
    assert tuple(faces.image(1).shape) == (3, 20, 24)


def test_what_is_no_photo_of_a_person_is_left_out_and_said(folder):
    (folder / "nobody").mkdir()
    (folder / "stray.jpg").write_bytes(b"")
    (folder / ".hidden").mkdir()
    (folder / "ann" / "notes.txt").write_text("no photo")
    (folder / "ann" / "deeper").mkdir()
    (folder / "ann" / "deeper" / "x.png").write_bytes(encoded(picture(99), "PNG"))
    faces = open_face_set(folder)
    assert len(faces) == 7
    assert faces.identities == ["ann", "bob", "eve"]
    assert faces.notes == (
        "1 photos lie in no person's folder: left out",
        "1 people have no photo (nobody): left out",
    )


@pytest.mark.parametrize(
    ("files", "found"),
    [((), "no photos"), (("a.jpg", "b.jpg"), "2 photos outside any person's folder")],
)
def test_a_folder_without_people(tmp_path, files, found):
    for name in files:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(TrainingError, match=found):
        open_face_set(tmp_path)


def test_what_is_no_set(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    for source, found in (
        (tmp_path / "none", "no such file"),
        (tmp_path / "notes.txt", "neither"),
        ("s3://faces/{0..9}.tar", "which `train` alone does"),
        (f"{tmp_path}/{{0..9}}.tar", "10 of 10 shards are missing"),
    ):
        with pytest.raises(TrainingError, match=found) as error:
            open_face_set(source)
        assert error.value.code == "training-data"


def test_a_photo_that_went_away(folder):
    faces = open_face_set(folder)
    (folder / "bob" / "0000.jpg").unlink()
    with pytest.raises(ImageError, match=r"bob/0000\.jpg: cannot be read"):
        faces.read(2)


def test_parts_of_a_set(folder):
    faces = open_face_set(folder)
    part = faces.only(["eve", "ann"])
    assert part.identities == ["ann", "eve"]
    assert part.labels.tolist() == [0, 0, 1, 1, 1]
    assert [part.read(i) for i in range(5)] == [faces.read(i) for i in (0, 1, 3, 4, 5)]
    again = part.at(np.array([4, 2]))
    assert again.identities == ["eve"]
    assert again.name(1) == faces.name(3)
    assert faces.without(["bob"]).identities == part.identities
    assert len({one.images.stamp() for one in (faces, part, again)}) == 3
    with pytest.raises(TrainingError, match=r"1 of 2 people are not in it \(zoe\)"):
        faces.only(["ann", "zoe"])


def test_the_stamp_changes_with_the_photos(folder):
    before = open_face_set(folder).images.stamp()
    assert open_face_set(folder).images.stamp() == before
    os.utime(folder / "ann" / "0000.jpg", (1e9, 1e9))
    assert open_face_set(folder).images.stamp() != before


def table(folder, text):
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    return open_face_set(folder)


ROWS = "".join(
    f"{path},{age},{age / 2}\n"
    for path, age in (
        ("eve/0002.jpg", 7), ("ann/0000.jpg", 31), ("ann/0001.jpg", 32), ("bob/0000.jpg", 50),
        ("eve/0000.jpg", 5), ("eve/0001.jpg", 6),
    )
)  # fmt: skip


def test_further_values(folder):
    faces = table(folder, "path,age,yaw\n" + ROWS)
    assert faces.columns["age"].tolist() == [31, 32, 50, 5, 6, 7]
    assert faces.columns["yaw"].tolist() == [15.5, 16, 25, 2.5, 3, 3.5]
    assert faces.only(["eve"]).columns["age"].tolist() == [5, 6, 7]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "begin it with"),
        ("path\n", "begin it with"),
        ("file,age\n" + ROWS, "begin it with"),
        ("path,age,age\n" + ROWS, "begin it with"),
        ("path,age,yaw\n" + ROWS.replace("bob", "Bob"), r"no line for 1 of 6 photos \(bob"),
        ("path,age,yaw\n" + ROWS.replace("25.0", "nan"), r":5: found \['50', 'nan'\]"),
        ("path,age,yaw\n" + ROWS.replace("25.0", "x"), "2 finite numbers"),
        ("path,age\n" + ROWS, "1 finite numbers"),
    ],
)
def test_wrong_values(folder, text, found):
    with pytest.raises(TrainingError, match=found):
        table(folder, text)


def test_every_error_is_one_line(tmp_path):
    with pytest.raises(FaceverifyError) as error:
        open_face_set(tmp_path / "a\nb")
    assert "\n" not in str(error.value)
