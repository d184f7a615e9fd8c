import hashlib
import http.client
import io
import os
import shutil
import socket
import ssl
import urllib.error
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from http_server import Behaviour, FileServer, serving

from faceverify.errors import DownloadError, UsageError
from faceverify.models.catalogue import CATALOGUE, Download, Kind
from faceverify.models.install import download
from faceverify.models.install.download import PassingError, Patience, network, pull, unpacked

CONTENT = np.random.default_rng(0).bytes(1_000_000)
OTHER = np.random.default_rng(1).bytes(len(CONTENT))
HASTY = Patience(timeout=0.4, attempts=4, pause=0.0)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server(monkeypatch):
    with serving(CONTENT) as server:
        offer(monkeypatch, server)
        yield server


def offer(monkeypatch, server: FileServer, **changes):
    entry = Download(
        name="tiny",
        url=server.url,
        sha256=sha256(server.content),
        size=len(server.content),
        licence="none",
        kind=Kind.INSIGHTFACE,
        architecture="",
        head="",
        dataset="",
    )
    monkeypatch.setitem(CATALOGUE, "tiny", replace(entry, **changes))


def get(folder, **options):
    return pull("tiny", folder, **{"patience": HASTY, **options})


def failure(folder, **options) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
        get(folder, **options)
    assert "\n" not in str(caught.value)
    return caught.value


def names(folder: Path):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_nothing_else_stays(server, tmp_path):
    steps = []
    pulled = get(tmp_path / "new" / "folder", progress=lambda *step: steps.append(step))
    assert pulled.downloaded
    assert pulled.path.read_bytes() == CONTENT
    assert names(pulled.path.parent) == ["net.bin"]
    assert steps[0] == (0, len(CONTENT))
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert steps == sorted(steps)
    assert len(steps) > 2


def test_what_is_there_is_not_downloaded_again(server, tmp_path):
    (tmp_path / "net.bin").write_bytes(CONTENT)
    for offline in (False, True):
        assert not get(tmp_path, offline=offline).downloaded
    assert server.asked == []


@pytest.mark.parametrize("damaged", [OTHER, CONTENT[:-1], b""])
def test_a_damaged_file_is_replaced(server, tmp_path, damaged):
    (tmp_path / "net.bin").write_bytes(damaged)
    assert "damaged" in str(failure(tmp_path, offline=True))
    assert get(tmp_path).downloaded
    assert (tmp_path / "net.bin").read_bytes() == CONTENT


def test_offline_asks_nobody(server, tmp_path):
    error = failure(tmp_path, offline=True)
    assert str(tmp_path / "net.bin") in str(error)
    assert error.code == "download-offline"
    assert server.asked == []
    assert names(tmp_path) == []


def test_broken_connections_are_resumed_where_they_broke(server, tmp_path):
    server.script = [Behaviour(cut=300_000), Behaviour(cut=200_000), Behaviour(cut=1)]
    assert get(tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=500000-", "bytes=500001-"]


def test_a_later_run_goes_on(server, tmp_path):
    server.script = [Behaviour(cut=400_000)]
    error = failure(tmp_path, patience=Patience(attempts=1))
    assert "400,000 of 1,000,000 bytes" in str(error)
    assert names(tmp_path) == ["net.bin.part"]
    assert get(tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=400000-"]
    assert names(tmp_path) == ["net.bin"]


def test_an_interrupted_run_goes_on(server, tmp_path):
    def interrupt(done, _total):
        if done > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(tmp_path, progress=interrupt)
    there = (tmp_path / "net.bin.part").stat().st_size
    assert there > 300_000
    assert get(tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={there}-"]


def test_another_version_between_two_pieces_starts_over(server, tmp_path):
    server.script = [Behaviour(content=OTHER, cut=400_000)]
    assert get(tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=400000-", None]


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.script = [Behaviour(cut=400_000), Behaviour(ranges=False)]
    assert get(tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=400000-"]


def test_wrong_bytes_of_an_earlier_run_are_thrown_away(server, tmp_path):
    server.script = [Behaviour(content=OTHER, cut=400_000)]
    failure(tmp_path, patience=Patience(attempts=1))
    assert get(tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=400000-", None]


def test_wrong_bytes_twice_are_no_download(server, tmp_path):
    server.script = [Behaviour(content=OTHER, cut=400_000), Behaviour(content=OTHER)] * 2
    assert failure(tmp_path).code == "download-hash"
    assert names(tmp_path) == []


@pytest.mark.parametrize("left", [CONTENT, CONTENT[:9], CONTENT + b"more", OTHER], ids=[*"abcd"])
def test_any_part_that_lies_there_ends_well(server, tmp_path, left):
    (tmp_path / "net.bin.part").write_bytes(left)
    assert get(tmp_path).path.read_bytes() == CONTENT
    assert len(server.asked) == (left != CONTENT)
    assert names(tmp_path) == ["net.bin"]


def test_another_part_than_asked_for_is_not_taken(server, tmp_path):
    server.script = [Behaviour(cut=400_000), Behaviour(shift=7)]
    assert get(tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=400000-", None]


def test_a_file_that_became_shorter_than_what_came_of_it(server, tmp_path):
    server.script = [Behaviour(cut=400_000), Behaviour(content=b"short")]
    assert get(tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=400000-", None]


def test_a_wrong_hash_names_both_and_leaves_nothing(server, tmp_path):
    server.script = [Behaviour(content=OTHER)]
    error = failure(tmp_path)
    assert sha256(OTHER) in str(error)
    assert sha256(CONTENT) in str(error)
    assert error.code == "download-hash"
    assert len(server.asked) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_wrong_size_is_refused_before_it_comes(server, tmp_path, size):
    server.script = [Behaviour(content=bytes(size))]
    assert f"{size:,} bytes, where 1,000,000" in str(failure(tmp_path))
    assert len(server.asked) == 1
    assert names(tmp_path) == []


def test_a_body_without_end_is_refused(server, tmp_path):
    server.script = [Behaviour(content=CONTENT * 3, sized=False)]
    assert "has more bytes" in str(failure(tmp_path))
    assert names(tmp_path) == []


def test_a_size_the_server_does_not_tell(server, tmp_path):
    server.script = [Behaviour(sized=False)]
    assert get(tmp_path).path.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(server, tmp_path, status):
    server.script = [Behaviour(status=status)] * 3
    error = failure(tmp_path)
    assert f"answered {status}" in str(error)
    assert len(server.asked) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(server, tmp_path, status):
    server.script = [Behaviour(status=status)] * 2
    assert get(tmp_path).path.read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_giving_up_after_several_failures_in_a_row(server, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=pauses.append))
    server.script = [Behaviour(status=500)] * 9
    error = failure(tmp_path, patience=Patience(attempts=4, pause=1.0))
    assert "answered 500" in str(error)
    assert "4 times in a row" in str(error)
    assert len(server.asked) == 4
    assert pauses == [1, 2, 4]


def test_the_server_says_how_long_to_wait(server, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=pauses.append))
    afters = ["7", "100000", "Wed, 21 Oct 2015 07:28:00 GMT"]
    server.script = [Behaviour(status=503, headers={"Retry-After": after}) for after in afters]
    get(tmp_path, patience=Patience(pause=1.0))
    assert pauses == [7, 60, 4]


def test_failures_between_successes_are_no_row(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "AFRESH", 50_000)
    with serving(CONTENT) as server:
        offer(monkeypatch, server)
        server.script = [Behaviour(cut=50_000)] * 15
        assert get(tmp_path).path.read_bytes() == CONTENT


def test_silence_is_not_waited_for(server, tmp_path):
    server.script = [Behaviour(stall=1.0)]
    assert get(tmp_path, patience=replace(HASTY, timeout=0.1)).path.read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_a_slow_server_is(server, tmp_path):
    server.script = [Behaviour(pace=0.05)]
    assert get(tmp_path).path.read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_nobody_there(server, monkeypatch, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/net.bin"
        assert "refused" in str(failure(tmp_path, url=address))
    assert names(tmp_path) == []


def test_a_mirror(server, tmp_path):
    base = server.url.removesuffix("net.bin")
    get(tmp_path / "a", url=base + "deep/")
    get(tmp_path / "b", url=base + "other-name")
    lines = [headers["line"] for headers in server.asked]
    assert lines == ["GET /deep/net.bin HTTP/1.1", "GET /other-name HTTP/1.1"]
    assert names(tmp_path / "b") == ["net.bin"]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "net.bin", "http://", "http://h:x/", "http://[1/"]
)
def test_a_mirror_that_is_none(server, tmp_path, url):
    with pytest.raises(UsageError, match="not an http or https address"):
        get(tmp_path, url=url)


def test_an_address_that_cannot_be_asked(server, tmp_path):
    assert "not an address" in str(failure(tmp_path, url="http://127.0.0.1/a b"))


def test_redirects_keep_the_range(server, tmp_path):
    moved = Behaviour(status=302, headers={"Location": server.url + "?signed"})
    server.script = [moved, Behaviour(cut=400_000), moved]
    assert get(tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == [None, None, "bytes=400000-", "bytes=400000-"]


def test_the_proxy_of_the_environment_is_asked(server, monkeypatch, tmp_path):
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/net.bin"))
    get(tmp_path, url="http://no-such-host.invalid/net.bin")
    assert server.asked[0]["line"] == "GET http://no-such-host.invalid/net.bin HTTP/1.1"


def test_a_certificate_that_does_not_fit_is_not_tried_again(tmp_path):
    problem = ssl.SSLCertVerificationError(1, "bad")
    problem.verify_message = "self-signed certificate"
    with (tmp_path / "part").open("ab", buffering=0) as part:
        with pytest.raises(DownloadError, match="self-signed"), network("https://host/x", part):
            raise urllib.error.URLError(problem)
        with pytest.raises(PassingError), network("https://host/x", part):
            raise http.client.RemoteDisconnected("closed")


def test_a_disk_that_is_too_small_is_told_before(server, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 1, 9))
    error = failure(tmp_path)
    assert "1,000,000 bytes are still to come and 9 are free" in str(error)
    assert server.asked == []
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_keeps_what_came(server, tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))  # Python ignores SIGXFSZ: an OSError
    try:
        error = failure(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "disk full" in str(error)
    assert error.code == "download-disk-full"
    assert len(server.asked) == 1
    assert (tmp_path / "net.bin.part").stat().st_size == 300_000
    assert get(tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]


def test_a_folder_that_cannot_be(server, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in str(failure(tmp_path / "file" / "folder"))


def test_one_process_at_a_time(server, tmp_path):
    pytest.importorskip("fcntl")
    with download.opened_part(tmp_path / "net.bin") as part:
        part.write(CONTENT[:10])
        assert "another process" in str(failure(tmp_path))
    assert get(tmp_path).path.read_bytes() == CONTENT


def test_a_part_that_got_its_name_meanwhile_is_left_alone(tmp_path):
    pytest.importorskip("fcntl")
    path = tmp_path / "net.bin.part"
    with path.open("a+b", buffering=0) as stream:
        assert download.alone_with(stream, path)
        os.replace(path, tmp_path / "net.bin")
        assert not download.alone_with(stream, path)


def test_what_is_not_in_the_catalogue(tmp_path):
    with pytest.raises(UsageError, match="buffalo_l"):
        pull("no-such-model", tmp_path)


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as pack:
        for name, data in members.items():
            pack.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize("where", ["net.onnx", "pack/net.onnx"])
def test_the_net_is_taken_out_of_a_pack(server, monkeypatch, tmp_path, where):
    offer(monkeypatch, server, member="net.onnx", member_sha256=sha256(b"graph"))
    pack = tmp_path / "pack.zip"
    pack.write_bytes(zipped(**{where: b"graph", "det.onnx": b"?"}))
    assert unpacked("tiny", pack).read_bytes() == b"graph"


@pytest.mark.parametrize(
    ("pack", "says"),
    [
        (zipped(**{"net.onnx": b"other"}), sha256(b"other")),
        (zipped(**{"det.onnx": b"graph"}), "holds 0 files net.onnx"),
        (zipped(**{"a/net.onnx": b"graph", "b/net.onnx": b"graph"}), "holds 2 files net.onnx"),
        (b"PK", "not a zip archive"),
        (zipped(**{"net.onnx": b"graph"}).replace(b"graph", b"grapf", 1), "not a zip archive"),
    ],
)
def test_a_pack_without_the_right_net(server, monkeypatch, tmp_path, pack, says):
    offer(monkeypatch, server, member="net.onnx", member_sha256=sha256(b"graph"))
    (tmp_path / "pack.zip").write_bytes(pack)
    with pytest.raises(DownloadError, match=says):
        unpacked("tiny", tmp_path / "pack.zip")
    assert names(tmp_path) == ["pack.zip"]


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_the_catalogue_pins_everything(entry):
    assert entry.url.startswith("https://github.com/")
    assert len(bytes.fromhex(entry.sha256)) == 32
    assert entry.size > 10_000_000
    if entry.kind is Kind.INSIGHTFACE:
        assert entry.member in ("w600k_r50.onnx", "w600k_mbf.onnx")
        assert len(bytes.fromhex(entry.member_sha256)) == 32
        assert "non-commercial research only" in entry.licence
    else:
        assert "MIT" in entry.licence
        assert not entry.member
