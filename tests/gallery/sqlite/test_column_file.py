"""Search files: whole or nothing, and never believed when they are damaged."""

import secrets
import stat

import numpy as np
import pytest

from faceverify.errors import GalleryError, OutputError
from faceverify.gallery.sqlite.column_file import ROWS, Column, read_columns, write_columns
from faceverify.gallery.sqlite.protection import NONCE, Checksums, Encryption

COLUMNS = [Column("embedding", "<f4", 6), Column("code", "|u1", 3), Column("sequence", "<i8")]
ABOUT = {"model": "m", "count": 7}


@pytest.fixture(params=["open", "encrypted"])
def protection(request):
    return Checksums() if request.param == "open" else Encryption(bytes(32))


def arrays(count, seed=0):
    draws = np.random.default_rng(seed)
    return [
        draws.standard_normal((count, 6)).astype(np.float32),
        draws.integers(0, 256, (count, 3), np.uint8),
        draws.integers(0, 2**62, count),
    ]


def write(path, count, protection, *, step=1000, seed=0):
    content = arrays(count, seed)
    parts = ([a[start : start + step] for a in content] for start in range(0, count, step))
    write_columns(path, ABOUT, COLUMNS, count, parts, protection)
    return content


@pytest.mark.parametrize("count", [0, 1, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS + 500])
def test_what_is_written_is_read(tmp_path, protection, count):
    content = write(tmp_path / "file", count, protection)
    about, columns = read_columns(tmp_path / "file", protection)
    assert about == ABOUT
    assert list(columns) == ["embedding", "code", "sequence"]
    for array, column in zip(content, columns.values(), strict=True):
        assert np.array_equal(array, column)
        assert array.dtype == column.dtype
        assert not column.flags.writeable
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_rows_come_in_parts_of_any_size(tmp_path, protection):
    for step in (1, 7, ROWS, ROWS + 3):
        count = 20 if step == 1 else 2 * ROWS + 9
        content = write(tmp_path / "file", count, protection, step=step)
        _, columns = read_columns(tmp_path / "file", protection)
        assert np.array_equal(content[0], columns["embedding"])


def test_a_byte_that_changed_is_seen_or_means_nothing(tmp_path, protection):
    path = tmp_path / "file"
    content = write(path, 300, protection)
    whole = path.read_bytes()
    draws = np.random.default_rng(1)
    refused = 0
    for place in draws.integers(0, len(whole), 600).tolist():
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(draws.integers(8))
        path.write_bytes(damaged)
        found = read_columns(path, protection)
        refused += found is None
        if found is not None:  # padding between columns
            assert found[0] == ABOUT
            for array, column in zip(content, found[1].values(), strict=True):
                assert np.array_equal(array, column)
    assert refused > 250  # columns and trailer are most of the file


@pytest.mark.parametrize("kept", [0, 1, 24, 4096, 0.5, -1])
def test_a_file_cut_short_is_none(tmp_path, protection, kept):
    path = tmp_path / "file"
    write(path, 300, protection)
    size = path.stat().st_size
    with open(path, "r+b") as stream:
        stream.truncate(int(size * kept) if 0 < kept < 1 else size + kept if kept < 0 else kept)
    assert read_columns(path, protection) is None


def test_what_is_no_search_file_is_none(tmp_path, protection):
    assert read_columns(tmp_path / "missing", protection) is None
    assert read_columns(tmp_path, protection) is None
    for content in (b"", b"FVSEARCH", b"FVSEARCH" + bytes(16), secrets.token_bytes(9000)):
        (tmp_path / "file").write_bytes(content)
        assert read_columns(tmp_path / "file", protection) is None


def test_an_open_file_is_none_in_an_encrypted_gallery_and_the_other_way_round(tmp_path):
    one, other = Checksums(), Encryption(bytes(32))
    write(tmp_path / "file", 10, one)
    assert read_columns(tmp_path / "file", other) is None
    write(tmp_path / "file", 10, other)
    assert read_columns(tmp_path / "file", one) is None
    assert read_columns(tmp_path / "file", Encryption(bytes(31) + b"\1")) is None


def test_an_encrypted_file_tells_nothing(tmp_path):
    content = write(tmp_path / "file", 100, Encryption(bytes(32)))
    stored = (tmp_path / "file").read_bytes()
    for row in range(0, 100, 9):
        assert content[0][row, :2].tobytes() not in stored
        assert content[2][row].tobytes() not in stored
    assert b"embedding" not in stored


def test_a_piece_of_an_older_file_does_not_pass(tmp_path):
    """Same place, same key, same length: only the publication differs."""
    key = Encryption(bytes(32))
    write(tmp_path / "old", 100, key, seed=1)
    write(tmp_path / "new", 100, key, seed=2)
    old, new = (bytearray((tmp_path / name).read_bytes()) for name in ("old", "new"))
    piece = slice(4096, 4096 + NONCE + 100 * COLUMNS[0].row_bytes + 16)
    assert old[piece] != new[piece]
    new[piece] = old[piece]
    (tmp_path / "new").write_bytes(new)
    assert read_columns(tmp_path / "new", key) is None


@pytest.mark.parametrize("count", [5, 15])
def test_a_wrong_number_of_rows_leaves_the_file_before(tmp_path, protection, count):
    before = write(tmp_path / "file", 20, protection)
    with pytest.raises(GalleryError):
        write_columns(tmp_path / "file", ABOUT, COLUMNS, count, [arrays(10)], protection)
    _, columns = read_columns(tmp_path / "file", protection)
    assert np.array_equal(columns["embedding"], before[0])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_missing_is_an_error(tmp_path, protection):
    with pytest.raises(OutputError):
        write(tmp_path / "no" / "file", 10, protection)


def test_a_mapped_file_lives_on_when_another_takes_its_place(tmp_path):
    content = write(tmp_path / "file", 5000, Checksums(), seed=1)
    _, columns = read_columns(tmp_path / "file", Checksums())
    write(tmp_path / "file", 10, Checksums(), seed=2)
    assert np.array_equal(columns["embedding"], content[0])
