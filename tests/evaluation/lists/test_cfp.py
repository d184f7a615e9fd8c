import pytest

from faceverify.errors import PairListError
from faceverify.evaluation.lists.reading import read_pairs


def cfp_folder(folder):
    protocol = folder / "Protocol"
    for name, pose in (("F", "frontal"), ("P", "profile")):
        lines = [f"{i} ../Data/Images/{i:03d}/{pose}/01.jpg" for i in range(1, 5)]
        protocol.mkdir(exist_ok=True)
        (protocol / f"Pair_list_{name}.txt").write_text("\n".join(lines))
    for split in ("FF", "FP"):
        for fold in ("01", "02"):
            place = protocol / "Split" / split / fold
            place.mkdir(parents=True)
            (place / "same.txt").write_text("1,1\n2,2\n" if split == "FP" else "1,1\n")
            (place / "diff.txt").write_text("1,3\r\n2,4\r\n")
    return protocol / "Split"


def test_cfp_folders(tmp_path):
    split = cfp_folder(tmp_path)
    fp, ff = read_pairs(split / "FP"), read_pairs(split / "FF")
    assert fp.fold.tolist() == [0] * 4 + [1] * 4
    assert fp.second[2] == "../Data/Images/003/profile/01.jpg"
    assert ff.second[1] == "../Data/Images/003/frontal/01.jpg"
    assert fp.first_identity[0] == "001"


def test_cfp_index_outside_its_list(tmp_path):
    split = cfp_folder(tmp_path)
    (split / "FP/02/diff.txt").write_text("1,9\n")
    with pytest.raises(
        PairListError, match=r"02/diff\.txt:1: found index 9, expected one of the 4"
    ):
        read_pairs(split / "FP")
