"""Files appear whole or not at all."""

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from faceverify.errors import OutputError
from faceverify.runtime import files
from faceverify.runtime.files import atomic_write, atomic_writer


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "result.json"
    atomic_write(path, b"first, and longer")
    assert path.read_bytes() == b"first, and longer"
    atomic_write(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_visible_before_the_end(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with atomic_writer(path) as stream:
        stream.write(b"new" * 100_000)
        stream.flush()
        assert path.read_bytes() == b"old"
        assert [other.parent for other in tmp_path.iterdir()] == [tmp_path, tmp_path]
    assert path.read_bytes() == b"new" * 100_000


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path, exception):
    path = tmp_path / "gallery.db"
    path.write_bytes(b"old")

    def fail_halfway():
        with atomic_writer(path) as stream:
            stream.write(b"half")
            raise exception

    with pytest.raises(exception):
        fail_halfway()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_everything_is_on_the_disk_before_the_rename(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, Path.replace

    def recording_fsync(handle):
        steps.append(
            "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else os.fstat(handle).st_size
        )
        fsync(handle)

    def recording_replace(aside, target):
        steps.append("rename")
        return replace(aside, target)

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(Path, "replace", recording_replace)
    atomic_write(tmp_path / "result", b"12345")
    assert steps == [5, "rename", "folder"]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path, umask):
    atomic_write(tmp_path / "result", b"")
    assert permissions(tmp_path / "result") == 0o666 & ~umask == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o755])
def test_permissions_as_asked(tmp_path, umask, mode):
    atomic_write(tmp_path / "result", b"", mode=mode)
    assert permissions(tmp_path / "result") == mode


def test_a_private_file_stays_private(tmp_path):
    path = tmp_path / "gallery.db"
    atomic_write(path, b"old", mode=0o600)
    with atomic_writer(path) as stream:
        aside = next(other for other in tmp_path.iterdir() if other != path)
        assert permissions(aside) == 0o600
        stream.write(b"new")
    assert permissions(path) == 0o600


def test_a_private_file_is_never_open_to_others_not_even_for_a_moment(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    atomic_write(tmp_path / "gallery.db", b"x", mode=0o644)
    assert permissions(tmp_path / "gallery.db") == 0o600


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    target = tmp_path / "elsewhere" / "real"
    target.parent.mkdir()
    target.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(target)
    atomic_write(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_name_as_long_as_names_may_be(tmp_path):
    path = tmp_path / ("n" * 255)
    atomic_write(path, b"x")
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("missing/result", "(No such file or directory); create the folder first"),
        ("file/result", "(Not a directory); name a file inside a folder"),
        ("folder", "(it is a folder); name a file inside it"),
        ("pipe", "(it is a device or a pipe); write elsewhere"),
        ("n" * 256, "(File name too long); write elsewhere"),
    ],
)
def test_what_cannot_be_written_is_one_line(tmp_path, name, found):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError) as caught:
        atomic_write(tmp_path / name, b"x")
    assert str(caught.value) == f"{tmp_path / name}: cannot be written {found}"
    assert caught.value.code == "output"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="Permission denied"):
            atomic_write(tmp_path / "result", b"x")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
@pytest.mark.parametrize("size", [100_000, 5_000_000])
def test_a_disk_that_fills_up(tmp_path, size):
    import resource
    import signal

    path = tmp_path / "result"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        with pytest.raises(OutputError, match=r"result: cannot be written \(File too large\)"):
            atomic_write(path, b"x" * size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fills_up_at_the_last_moment(tmp_path, monkeypatch, step):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[step], full)
    with pytest.raises(OutputError, match=r"No space left on device\); free some space"):
        atomic_write(tmp_path / "result", b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path, monkeypatch):
    def refuse(_handle):
        raise OSError(errno.EINVAL, "no sync here")

    def write_then_refuse(folder, sync=files._sync_folder):
        monkeypatch.setattr(os, "fsync", refuse)
        sync(folder)

    monkeypatch.setattr(files, "_sync_folder", write_then_refuse)
    atomic_write(tmp_path / "result", b"x")
    assert (tmp_path / "result").read_bytes() == b"x"


def test_a_failure_of_the_block_itself_keeps_its_type(tmp_path):
    def download_fails():
        with atomic_writer(tmp_path / "weights") as stream:
            stream.write(b"half")
            raise ConnectionResetError("network")

    with pytest.raises(ConnectionResetError):
        download_fails()
    assert list(tmp_path.iterdir()) == []
