"""Photos with labels: folders, and tables."""

import pytest
from list_files import write
from PIL import Image

from faceverify.errors import PairListError
from faceverify.evaluation.lists.labelled_photos import read_label_folder, read_label_table


@pytest.fixture
def folder(tmp_path):
    for name in ("dark/a.png", "dark/deep/b.png", "bright/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    return tmp_path


def test_a_folder_a_label(folder):
    found = read_label_folder(folder)
    assert sorted(found.labels) == ["bright", "dark", "dark"]
    assert found.people == []
    (folder / "none").mkdir()
    with pytest.raises(PairListError, match="one folder a label"):
        read_label_folder(folder / "none")


def test_a_table_with_people_and_without(folder):
    text = "photo,label\ndark/a.png,x y\nbright/a.png,z\n"
    found = read_label_table(write(folder, text, "t.csv"))
    assert found.photos == [folder / "dark/a.png", folder / "bright/a.png"]
    assert (found.labels, found.people) == (["x y", "z"], [])
    text = "name,photo,label\nAnn,a.png,x\nBob,deep/b.png,x\n"
    found = read_label_table(write(folder, text, "t.csv"), images=folder / "dark")
    assert found.photos == [folder / "dark/a.png", folder / "dark/deep/b.png"]
    assert found.people == ["Ann", "Bob"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("photo,label\ndark/a.png,x\n./dark/a.png,x\n", ":3: 'dark/a.png' stands in line 2"),
        ("photo,label\nnone.png,x\n", ":2: no such photo: 'none.png'"),
        ("photo,label\ndark/a.png,\n", ":2: has no label"),
        ("photo,label,person\ndark/a.png,x,\n", ":2: has no person"),
        ("photo,label\n", "names no photo"),
        ("photo,person\n", "none of a label"),
    ],
)
def test_what_is_wrong_is_one_line(folder, text, said):
    with pytest.raises(PairListError, match=said):
        read_label_table(write(folder, text, "t.csv"))


def test_ready_embeddings_need_no_photos(folder):
    text = "photo,label\nnone.png,x\n"
    assert read_label_table(write(folder, text, "t.csv"), check_files=False).names == ["none.png"]
