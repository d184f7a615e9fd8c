"""RecordIO: exact to the byte, and an error instead of wrong data."""

import io
import os
import struct

import numpy as np
import pytest
from face_files import people_folder
from hypothesis import given
from hypothesis import strategies as st

from faceverify.errors import TrainingError
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.sets.record_io import (
    MAGIC_BYTES,
    BrokenRecordError,
    Labelled,
    TruncatedRecordError,
    parse_labelled,
    parse_record,
    read_index,
    record_of,
    scan_records,
)
from faceverify.training.data.writers.convert import convert

M = b"\x0a\x23\xd7\xce"  # the magic number, 0xced7230a, as the format's description has it


def word(part, length):
    return struct.pack("<I", part << 29 | length)


# written by hand from the description of the format
BY_HAND = {
    "empty": (b"", M + word(0, 0)),
    "padded": (b"abcde", M + word(0, 5) + b"abcde\0\0\0"),
    "no padding": (b"abcd", M + word(0, 4) + b"abcd"),
    "the magic alone": (M, M + word(1, 0) + M + word(3, 0)),
    "the magic first": (M + b"ab", M + word(1, 0) + M + word(3, 2) + b"ab\0\0"),
    "the magic last": (b"abcd" + M, M + word(1, 4) + b"abcd" + M + word(3, 0)),
    "the magic twice": (
        b"abcd" + M + b"efgh" + M + b"i",
        M + word(1, 4) + b"abcd" + M + word(2, 4) + b"efgh" + M + word(3, 1) + b"i\0\0\0",
    ),
    "two magics in a row": (M + M, M + word(1, 0) + M + word(2, 0) + M + word(3, 0)),
    "the magic off its place": (b"a" + M + b"bcd", M + word(0, 8) + b"a" + M + b"bcd"),
    "off its place, then on": (
        b"a" + M + b"bcd" + M,
        M + word(1, 8) + b"a" + M + b"bcd" + M + word(3, 0),
    ),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_records_written_by_hand(case):
    data, record = BY_HAND[case]
    assert record_of(data) == record
    assert parse_record(record) == (data, len(record))
    assert parse_record(b"12345678" + record + b"more", 8) == (data, 8 + len(record))


pieces = st.lists(st.sampled_from([M, b"\0", b"abcd", M[:2], M[2:], b"xy", M * 2]), max_size=12)
payloads = st.one_of(st.binary(max_size=60), pieces.map(b"".join))


@given(payloads)
def test_what_is_written_is_read(data):
    record = record_of(data)
    assert len(record) % 4 == 0
    assert parse_record(record) == (data, len(record))


@given(payloads)
def test_a_record_cut_anywhere_is_an_error(data):
    record = record_of(data)
    for length in range(len(record)):
        with pytest.raises(TruncatedRecordError) as error:
            parse_record(record[:length])
        assert length < error.value.needed <= len(record)


@given(st.lists(payloads, max_size=5))
def test_a_file_of_records_is_scanned(datas):
    records = [record_of(data) for data in datas]
    places = np.cumsum([0, *map(len, records)])[:-1].tolist()
    found = list(scan_records(io.BytesIO(b"".join(records)), "x.rec"))
    assert found == list(zip(places, datas, strict=True))


def test_a_torn_file_is_scanned_up_to_the_tear():
    whole = record_of(b"one") + record_of(b"two" + M)
    for length in range(len(record_of(b"one")) + 1, len(whole)):
        found = []
        with pytest.raises(TrainingError, match=r"x\.rec: is cut short in the record at byte 12"):
            found += scan_records(io.BytesIO(whole[:length]), "x.rec")
    with pytest.raises(TrainingError, match="is damaged at the record at byte 12"):
        list(scan_records(io.BytesIO(record_of(b"one") + b"nonsense"), "x.rec"))


def test_parts_out_of_order_are_refused():
    for record in (M + word(2, 0), M + word(3, 0), M + word(1, 0) + M + word(0, 0), M + word(5, 0)):
        with pytest.raises(BrokenRecordError, match="out of order"):
            parse_record(record)


@given(
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4),
    st.booleans(),
    st.binary(max_size=9),
    st.integers(0, 2**64 - 1),
)
def test_labels_survive(labels, array, image, key):
    record = Labelled(tuple(labels if array else labels[:1]), image, array, key, 7)
    data = record.encoded()
    assert parse_labelled(data) == record
    for length in range(len(data) - len(image)):
        with pytest.raises(BrokenRecordError, match="too short"):
            parse_labelled(data[:length])


def test_the_header_of_an_image_by_hand():
    # flag, label, two ids: 24 bytes; a flag of 2 and the labels behind it
    assert Labelled((3.0,), b"J", id=9).encoded() == struct.pack("<IfQQ", 0, 3, 9, 0) + b"J"
    two = struct.pack("<IfQQ", 2, 0, 9, 0) + struct.pack("<ff", 5, 8) + b"J"
    assert Labelled((5.0, 8.0), b"J", True, 9).encoded() == two
    assert parse_labelled(two).labels == (5, 8)


# Packs


@pytest.fixture
def people(tmp_path):
    """Three people with 2, 1 and 3 photos."""
    return open_face_set(people_folder(tmp_path / "people", {"ann": 2, "bob": 1, "eve": 3}))


@pytest.fixture
def pack(tmp_path, people):
    """Their pack."""
    convert(people, tmp_path / "pack", "recordio")
    return tmp_path / "pack"


def everything(faces):
    return [faces.read(index) for index in range(len(faces))]


def same_faces(one, other):
    assert one.labels.tolist() == other.labels.tolist()
    assert one.identities == other.identities
    assert everything(one) == everything(other)


def test_a_pack_holds_what_was_written(people, pack):
    opened = open_face_set(pack)
    assert (opened.kind, opened.notes) == ("recordio", ())
    same_faces(opened, people)
    same_faces(open_face_set(pack / "train.rec"), people)
    assert (pack / "property").read_text() == "3,20,24\n"


def test_a_pack_is_laid_out_as_others_expect(people, pack):
    """Key 0 names the keys of the people, whose records name those of their images."""
    keys, places = read_index(pack / "train.idx")
    assert keys.tolist() == list(range(10))
    whole = (pack / "train.rec").read_bytes()
    records = [parse_labelled(parse_record(whole, place)[0]) for place in places]
    assert (records[0].labels, records[0].image) == ((7, 10), b"")
    assert [record.labels for record in records[7:]] == [(1, 3), (3, 4), (4, 7)]
    assert [record.labels[0] for record in records[1:7]] == [0, 0, 1, 2, 2, 2]
    assert not any(record.array for record in records[1:7])
    assert records[4].image == people.read(3)


def test_a_pack_without_names_or_index(people, pack):
    (pack / "identities.txt").unlink()
    (pack / "train.idx").unlink()
    opened = open_face_set(pack)
    assert opened.identities == ["0", "1", "2"]
    assert opened.labels.tolist() == people.labels.tolist()
    assert opened.notes == ("no train.idx: the records were found by reading all of train.rec",)


def write_pack(folder, records):
    folder.mkdir(exist_ok=True)
    place, index, whole = 0, "", b""
    for key, record in records:
        index += f"{key}\t{place}\n"
        whole += record_of(record.encoded())
        place = len(whole)
    (folder / "train.rec").write_bytes(whole)
    (folder / "train.idx").write_text(index)
    return folder


def test_a_pack_without_record_0(tmp_path):
    """Keys from 0, a label on each image, here as arrays, of people 4 and 9."""
    labels = (9, 4, 9)
    records = [(k, Labelled((float(v), 1.0), b"J%d" % k, True)) for k, v in enumerate(labels)]
    opened = open_face_set(write_pack(tmp_path / "pack", records))
    assert opened.identities == ["4", "9"]
    assert opened.labels.tolist() == [1, 0, 1]
    assert opened.read(2) == b"J2"


def test_an_image_that_holds_the_magic_and_one_larger_than_the_first_read(tmp_path):
    images = [b"ab" * 6 + MAGIC_BYTES * 3, bytes(70_000) + MAGIC_BYTES + bytes(9), b"last"]
    records = [(k, Labelled((0.0,), image)) for k, image in enumerate(images)]
    opened = open_face_set(write_pack(tmp_path / "pack", records))
    assert [opened.read(index) for index in range(3)] == images


def test_the_property_file_may_disagree(pack):
    (pack / "property").write_text("9,112,112\n1\n")
    assert open_face_set(pack).notes == ("the file property says 9 people, the records are of 3",)


def test_a_pack_cut_anywhere_is_one_clear_line(pack):
    whole = (pack / "train.rec").read_bytes()
    for length in range(0, len(whole), 7):
        os.truncate(pack / "train.rec", 0)
        (pack / "train.rec").write_bytes(whole[:length])
        with pytest.raises(TrainingError, match=r"train\.rec: (has .* cut short|is cut short)"):
            open_face_set(pack)


def damage_byte(pack, place):
    with open(pack / "train.rec", "r+b") as stream:
        stream.seek(place)
        (old,) = stream.read(1)
        stream.seek(place)
        stream.write(bytes([old ^ 0xFF]))


def test_a_damaged_head_of_a_record_is_never_wrong_data(people, pack):
    """Flip each byte of the head of an image's record: an error, or the very image."""
    _, places = read_index(pack / "train.idx")
    expected = everything(people)
    refused = 0
    for place in range(int(places[2]), int(places[2]) + 8 + 8):
        damage_byte(pack, place)
        try:
            opened = open_face_set(pack)
            found = everything(opened)
        except TrainingError:
            refused += 1
        else:
            assert found == expected
        damage_byte(pack, place)
    assert refused >= 15


def test_a_damaged_image_is_noticed_before_any_work(pack):
    _, places = read_index(pack / "train.idx")
    damage_byte(pack, int(places[2]))
    with pytest.raises(TrainingError, match="key 2"):
        open_face_set(pack)


WRONG_INDEX = {
    "of another pack": "0\t0\n1\t44\n2\t100\n",
    "beyond the file": "0\t0\n1\t99999999\n",
    "negative": "0\t0\n1\t-4\n",
    "no numbers": "0\tzero\n",
    "one column": "0\n1\n",
    "empty": "",
    "a key twice": "0\t0\n0\t0\n",
}


@pytest.mark.parametrize("case", WRONG_INDEX)
def test_a_wrong_index_is_one_clear_line(pack, case):
    (pack / "train.idx").write_text(WRONG_INDEX[case])
    with pytest.raises(TrainingError, match=r"train\.(idx|rec)") as error:
        open_face_set(pack)
    assert error.value.code == "training-data"


def test_an_index_with_two_keys_exchanged_is_noticed(pack):
    lines = (pack / "train.idx").read_text().splitlines()
    (one, first), (other, second) = lines[2].split("\t"), lines[3].split("\t")
    lines[2:4] = [f"{one}\t{second}", f"{other}\t{first}"]  # of ann and of bob
    (pack / "train.idx").write_text("\n".join(lines) + "\n")
    with pytest.raises(TrainingError, match="has the label"):
        everything(open_face_set(pack))


def test_a_pack_of_nothing(tmp_path):
    (tmp_path / "train.rec").write_bytes(b"")
    with pytest.raises(TrainingError, match="holds no images"):
        open_face_set(tmp_path)


def test_names_that_do_not_fit(pack):
    (pack / "identities.txt").write_text("ann\nbob\n")
    with pytest.raises(TrainingError, match="2 different names"):
        open_face_set(pack)


def test_a_label_that_is_no_number_of_a_person(tmp_path):
    for label in (0.5, -1.0, float("nan"), float("inf")):
        folder = write_pack(tmp_path / "pack", [(0, Labelled((label,), b"J"))])
        with pytest.raises(TrainingError, match="has the label"):
            open_face_set(folder)
