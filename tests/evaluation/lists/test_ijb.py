import numpy as np
import pytest
from list_files import write

from faceverify.errors import PairListError
from faceverify.evaluation.lists.ijb import read_points, read_template_media
from faceverify.evaluation.lists.reading import inspect, read_pairs


def test_ijb_pairs(tmp_path):
    pairs = read_pairs(write(tmp_path, "1 11065 1\n1 11066 0\n"))
    assert (pairs.kind, pairs.first, pairs.same.tolist()) == ("ijb", ["1", "1"], [True, False])


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
