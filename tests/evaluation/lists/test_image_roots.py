import pytest

from faceverify.errors import PairListError, UsageError
from faceverify.evaluation.lists.image_roots import map_images
from faceverify.evaluation.lists.reading import read_pairs


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("2\t1\nAnn\t1\t2\nAnn\t1\tBob\t1\nBob\t1\t2\nBob\t1\tAnn\t3\n")
    return read_pairs(path)


def place(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_missing_photos_are_counted_named_and_shift_nothing(tmp_path, pairs):
    place(tmp_path, "Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Bob/Bob_0001.jpg")
    images = map_images(pairs, tmp_path)
    assert len(images.first) == len(pairs) == 4
    assert images.complete.tolist() == [True, True, False, False]
    assert pairs.fold.tolist() == [0, 0, 1, 1]
    wanted = r"found 2 of 5 photos missing, in 2 of 4 pairs \(.*Bob_0002\.jpg, .*Ann_0003\.jpg\)"
    with pytest.raises(PairListError, match=wanted):
        images.require_all()


def test_patterns(tmp_path, pairs):
    image = map_images(pairs, tmp_path, pattern="flat/{identity}-{stem}{suffix}.png").first[0]
    assert image == tmp_path / "flat/Ann-Ann_0001.jpg.png"
    image = map_images(pairs, tmp_path, pattern="{folder}/x/{file}").first[0]
    assert image == tmp_path / "Ann/x/Ann_0001.jpg"


@pytest.mark.parametrize("pattern", ["{name}.jpg", "photo.jpg", "{path.__class__}", "{}"])
def test_wrong_patterns(tmp_path, pairs, pattern):
    with pytest.raises(UsageError, match="image pattern"):
        map_images(pairs, tmp_path, pattern=pattern)
