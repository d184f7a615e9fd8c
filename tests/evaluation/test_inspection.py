import numpy as np
import pytest

from faceverify.errors import PairListError
from faceverify.evaluation.inspection import TITLES, inspect
from faceverify.evaluation.sniffing import KINDS
from faceverify.evaluation.template_lists import read_points, read_template_media


def test_every_kind_has_a_title():
    assert set(KINDS) <= set(TITLES)


def test_notes_tell_what_flatters_or_hides(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("first,second,same,fold\na,a,1,0\na,b,1,0\nb,a,1,0\n")
    found = inspect(path)
    assert found.facts == {"pairs": 3, "genuine": 3, "impostor": 0, "images": 2, "folds": 1}
    notes = " ".join(found.notes)
    for words in (
        "1 pairs are listed again",
        "1 pairs compare a photo with itself",
        "only genuine",
        "one fold",
    ):
        assert words in notes


def test_ijb_files(tmp_path):
    media, points = tmp_path / "face_tid_mid.txt", tmp_path / "name_5pts_score.txt"
    media.write_text("1.jpg 1 69544\n2.jpg 1 69544\n3.jpg 2 7\n")
    points.write_text("1.jpg " + " ".join(map(str, range(10))) + " 0.99\n")
    assert inspect(media).facts == {"photos": 3, "templates": 2, "media": 2}
    assert read_template_media(media).template.tolist() == [1, 1, 2]
    assert inspect(points).facts == {"photos": 1}
    assert np.array_equal(read_points(points).points[0], np.arange(10.0).reshape(5, 2))
    points.write_text("1.jpg 1 2 3 4 5 6 7 8 9 nan 0.9\n")
    with pytest.raises(PairListError, match=r":1: found .*expected IMAGE, 10 numbers, SCORE"):
        read_points(points)


def test_the_real_files(shared_data):
    assert inspect(shared_data / "protocols/people.txt").facts == {
        "people": 5749, "images": 13233, "folds": 10
    }  # fmt: skip
    assert inspect(shared_data / "formats/small_lfw.bin").facts["pairs"] == 10
    assert inspect(shared_data / "protocols/pairs.txt").notes == []
