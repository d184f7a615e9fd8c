"""Photos of nobody in particular: folders of any depth, lists, shards without labels."""

import io
import tarfile

import pytest
from face_files import encoded, picture

from faceverify.errors import TrainingError
from faceverify.training.data.sets.open import open_face_set


def write(folder, *names):
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(seed)))
    return folder


def refused(source, words):
    with pytest.raises(TrainingError, match=words) as found:
        open_face_set(source, named=False)
    assert found.value.code == "training-data"


def test_photos_lie_at_any_depth_and_are_labelled_by_their_folder(tmp_path):
    write(tmp_path, "b.jpg", "film/1/x.jpg", "film/1/y.jpg", "film/2/z.jpg", "a.jpg")
    photos = open_face_set(tmp_path, named=False)
    assert photos.kind == "photos"
    names = ["a.jpg", "b.jpg", "film/1/x.jpg", "film/1/y.jpg", "film/2/z.jpg"]
    assert [photos.name(index) for index in range(5)] == [str(tmp_path / name) for name in names]
    assert photos.labels.tolist() == [0, 0, 1, 1, 2]
    assert tuple(photos.image(2).shape) == (3, 20, 24)
    assert photos.notes == ()


def test_what_is_no_photo_is_left_out_and_said(tmp_path):
    write(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(40))
    (tmp_path / "notes.txt").write_text("no photo")
    photos = open_face_set(tmp_path, named=False)
    assert len(photos) == 2
    (note,) = photos.notes
    assert note.startswith("1 files are not read as photos: left out")


def test_a_folder_without_photos_is_one_line(tmp_path):
    refused(tmp_path, "found no photo; name a folder with aligned crops of faces")
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(40))
    refused(tmp_path, "found no photo .*film.mp4")
    refused(tmp_path / "nowhere", "no such file or folder")


def test_a_list_names_photos_relative_to_its_folder(tmp_path):
    write(tmp_path / "crops", "a.jpg", "in/b.jpg", "c d.jpg")
    listed = tmp_path / "crops" / "list.txt"
    listed.write_bytes(b"\xef\xbb\xbf# crops\r\nin/b.jpg\r\n\r\n" + b"c d.jpg\r\n")
    photos = open_face_set(listed, named=False)
    names = [photos.name(index) for index in range(len(photos))]
    assert names == [str(tmp_path / "crops" / name) for name in ("in/b.jpg", "c d.jpg")]
    elsewhere = tmp_path / "all.txt"
    elsewhere.write_text(str(tmp_path / "crops" / "a.jpg"))
    assert open_face_set(elsewhere, named=False).read(0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "names no photo; give one path a line"),
        (b"a.jpg\nb.jpg\na.jpg\n", r"list.txt:3: a.jpg stands in line 1 already; name each"),
        (b"a.jpg\nz.jpg\n", r"list.txt:2: no such photo: z.jpg"),
        (b"\xff\xfe\x00", "no list of photos, it is no text"),
    ],
)
def test_a_list_that_cannot_be_read_is_one_line(tmp_path, content, words):
    write(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "list.txt").write_bytes(content)
    refused(tmp_path / "list.txt", words)


def test_shards_need_no_labels(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for number in range(3):
            for name, data in (
                (f"{number}.jpg", encoded(picture(number))),
                (f"{number}.json", b"7"),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    photos = open_face_set(tmp_path, named=False)
    assert len(photos) == 3
    assert tuple(photos.image(1).shape) == (3, 20, 24)
    with pytest.raises(TrainingError, match="is no labelled sample"):
        open_face_set(tmp_path)
