"""Tables of photos and captions."""

import numpy as np
import pytest
from PIL import Image

from faceverify.errors import TrainingError
from faceverify.training.data.sets.captions import open_captions


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ann").mkdir()
    for name in ("ann/1.png", "ann/2.png", "3.png"):
        Image.new("RGB", (8, 8), "teal").save(tmp_path / name)
    return tmp_path


def opened(folder, text):
    path = folder / "captions.csv"
    path.write_text(text)
    return open_captions(path)


def test_each_photo_has_its_captions_and_a_part_keeps_them(folder):
    lines = ["one,ann/1.png", "two,3.png", "three,./ann/1.png", "one,ann/1.png", "four,ann/2.png"]
    found = opened(folder, "\n".join(["caption,photo", *lines]))
    assert [found.name(index) for index in range(3)] == [
        str(folder / name) for name in ("ann/1.png", "3.png", "ann/2.png")
    ]
    assert found.captions == (("one", "three"), ("two",), ("four",))
    assert found.identities == ["", "ann"]
    assert found.labels.tolist() == [1, 0, 1]
    assert found.notes == ("3 photos, 4 different captions",)
    part = found.at(np.array([2, 0]))
    assert part.captions == (("four",), ("one", "three"))
    assert part.name(0) == str(folder / "ann/2.png")


def test_a_photo_may_have_an_absolute_path_and_a_caption_several_lines(folder):
    found = opened(folder, f'photo,caption\n{folder / "3.png"},"one\n  two"\nann/1.png,x\n')
    assert found.captions[0] == ("one two",)
    assert found.name(0) == str(folder / "3.png")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("photo,caption\nann/1.png,\n", ":2: has no caption"),
        ('photo,caption\nann/1.png,"  "\n', ":2: has no caption"),
        ("photo,caption\n,one\n", ":2: has no photo"),
        ("photo,caption\nann/1.png,one\nann/9.png,two\n", ":3: no such photo: 'ann/9.png'"),
        ("photo,caption\nann,one\n", ":2: no such photo: 'ann'"),
        ("photo,caption\n", "names no photo"),
        ("photo,tags\nann/1.png,one\n", "none of a caption"),
        ("photo,caption\nann/1.png,one\n3.png,one\n", "all 2 photos have one caption, 'one'"),
    ],
)
def test_what_cannot_be_learned_from_is_one_line(folder, text, said):
    with pytest.raises(TrainingError, match=said) as refused:
        opened(folder, text)
    assert refused.value.code == "training-data"


@pytest.mark.parametrize("source", ["{}", "{}/photos.txt", "{}/a.tar", "https://host/{{0..3}}.tar"])
def test_what_has_no_captions_is_refused(folder, source):
    with pytest.raises(TrainingError, match=r"photos with captions, .*make_captions\.py"):
        open_captions(source.format(folder))
