"""Milvus engine: on milvus-lite, and on a real server (slow)."""

import itertools
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from enrolled_people import MODEL, enrollments, unit_rows
from milvus_server import ADDRESS, Unavailable, milvus_server
from store_conformance import StoreLaws, expected, found, numbers, same

from faceverify.choices import Fusion
from faceverify.errors import GalleryError
from faceverify.gallery.milvus import collections as milvus_collections
from faceverify.gallery.milvus import reading as milvus_reading
from faceverify.gallery.milvus import search as milvus_search
from faceverify.gallery.milvus.address import parse
from faceverify.gallery.milvus.rows import SequenceNumbers, renamed
from faceverify.gallery.milvus.store import MilvusStore
from faceverify.gallery.milvus.writing import _write

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of milvus-lite that stays open from test to test."""
    path = tmp_path_factory.mktemp("milvus") / "gallery.db"
    with MilvusStore(f"milvus://{path}", create=True):
        yield path


@pytest.fixture
def url(file, request):
    return f"milvus://{file}?gallery={re.sub(r'[^a-zA-Z0-9]', '_', request.node.name)}"


@pytest.fixture
def store(url):
    with MilvusStore(url, create=True) as opened:
        yield opened


class TestLite(StoreLaws):
    @pytest.fixture
    def store_url(self, url):
        return url


# Addresses


def test_an_address_is_shown_without_its_password():
    address = parse("milvus://ann:hid%40den@h:5/people?database=d%20b&tls=1")
    assert address.shown == "milvus://ann@h:5/people?database=d%20b"
    assert (address.uri, address.token, address.database) == ("https://h:5", "ann:hid@den", "d b")
    assert "hid" not in repr(address)
    assert parse("milvus://h").shown == "milvus://h:19530/faceverify"
    lite = parse("milvus:///a%20b/x.db?gallery=us")
    assert (lite.file, lite.gallery) == (Path("/a b/x.db"), "us")
    assert lite.shown == "milvus:///a%20b/x.db?gallery=us"


@pytest.mark.parametrize(
    "url",
    [
        "milvus://ann:hid/den@h:5/people",
        "milvus://ann:hidden@h:port/people",
        "milvus://ann:hidden@h/people#x",
        "milvus://ann:hidden@h/people?nonsense=1",
        "milvus://ann:hidden@h/peo-ple",
        "milvus:///a/x.sqlite",
        "milvus:///a/x.db?gallery=1",
    ],
)
def test_an_address_that_makes_no_sense_is_one_line_without_the_password(url):
    with pytest.raises(GalleryError) as error:
        parse(url)
    assert "hid" not in str(error.value)


# What is stored


def test_what_does_not_fit_into_a_page_comes_in_order(store, monkeypatch):
    monkeypatch.setattr(milvus_collections, "PAGE", 5)
    monkeypatch.setattr(milvus_search, "MEANS_AT_ONCE", 4)
    people = enrollments(24, people=7)
    added = store.add(people[:15], model=MODEL) + store.add(people[15:], model=MODEL)
    sequences = numbers(added)
    assert [one.sequence for one in store.since(0)] == sequences == sorted(sequences)
    assert [one.sequence for one in store.since(sequences[10])] == sequences[11:]
    names = dict(store.names())
    assert list(names) == sorted(names)
    assert names == {f"person {one}": 4 if one < 3 else 3 for one in range(7)}
    query = unit_rows(1, seed=3)
    (means,) = store.search(query, 20, model=MODEL, fusion=Fusion.MEAN)
    same(found(means), expected(people, query[0], 20, Fusion.MEAN))
    assert store.check() == []


def test_templates_are_counted_without_being_read(store, monkeypatch):
    store.add(enrollments(24, people=7), model=MODEL)
    for name in ("rows_of", "rows_in_order"):
        for module in (milvus_collections, milvus_reading):
            monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("rows are read"))
    assert store.count() == {MODEL: 24}


@pytest.mark.parametrize("most", [7, 16, 64])
def test_a_search_goes_on_until_there_are_enough_people(store, monkeypatch, most):
    monkeypatch.setattr(milvus_search, "MOST", most)  # Milvus gives 16,384 at once
    people = enrollments(100, people=2) + enrollments(30, first=200)
    store.add(people, model=MODEL)
    queries = unit_rows(3, seed=5)
    for count, names in itertools.product((1, 10, 99), (None, ["person 0", "person 210"])):
        among = [one for one in people if names is None or one.name in names]
        answers = store.search(queries, count, model=MODEL, names=names)
        for query, answer in zip(queries, answers, strict=True):
            same(found(answer), expected(among, query, count))


def test_what_is_altered_behind_its_back_is_found(store):
    store.add(enrollments(5), model=MODEL)
    (model,) = store._models.values()
    rows = milvus_collections.rows_of(
        store._client, model, "sequence > 0", ["key", "person", *milvus_collections.FIELDS]
    )
    rows.sort(key=lambda row: row["sequence"])
    _write(store._client, model, [rows[1] | {"quality": 2.0}, rows[3] | {"name": "Eve"}])
    assert sorted(line.partition(": ")[2] for line in store.check()) == [
        "filed under another name",
        "wrong checksum",
    ]


def test_a_renaming_that_was_interrupted_is_ended_by_the_next(store):
    sequences = numbers(store.add(enrollments(4, people=1), model=MODEL))
    (model,) = store._models.values()
    rows = milvus_collections.rows_of(
        store._client, model, "sequence > 0", ["key", "person", *milvus_collections.FIELDS]
    )
    _write(
        store._client, model, [renamed(row, "Ann") for row in rows]
    )  # and then the process was killed
    assert sorted(dict(store.names()).values()) == [4, 4]
    assert store.rename("person 0", "Ann") == 4
    assert [one.sequence for one in store.since(0)] == sequences
    store.add(enrollments(1, first=9), model=MODEL)
    with pytest.raises(GalleryError, match="Ann"):
        store.rename("person 9", "Ann")


def test_the_same_model_can_be_embedded_again(store):
    store.add(enrollments(6, people=3), model=MODEL)
    renewed = enrollments(2, people=1, seed=7)
    before = [one.sequence for one in store.since(0)]
    sequences = store.replace_model(MODEL, renewed, model=MODEL)
    assert [one.sequence for one in store.since(0)] == sequences
    assert min(sequences) > max(before)
    assert [one.embedding.tobytes() for one in store.since(0)] == [
        one.embedding.tobytes() for one in renewed
    ]


def test_numbers_rise_and_do_not_meet(monkeypatch):
    tags = iter([0, 2**16 - 1, 1, 2**15, 2, 3, 4, 5])
    with monkeypatch.context() as chance:  # writers with the same one may meet
        chance.setattr(secrets, "randbits", lambda bits: next(tags) % 2**bits)
        writers = [SequenceNumbers() for _ in range(8)]
    drawn = [number for _ in range(20) for writer in writers for number in writer.draw(100)]
    assert len(set(drawn)) == len(drawn)
    assert max(drawn) < 2**63
    one = writers[0]
    before = one.draw(20_000)
    assert before == sorted(before)
    one.settle()
    assert SequenceNumbers().draw(1)[0] > before[-1]
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real - 3600)  # a clock that was set back
    assert one.draw(1)[0] > before[-1]


# What is refused


def refusal(code, url, **options):
    with pytest.raises(GalleryError) as error:
        MilvusStore(url, **options)
    assert error.value.code == code
    assert "\n" not in str(error.value)
    assert "hidden" not in str(error.value)
    return str(error.value)


def test_what_cannot_be_used_is_one_line(tmp_path, file):
    server = "milvus://ann:hidden@127.0.0.1:1/people"
    assert "milvus://ann@127.0.0.1:1/people" in refusal("gallery-unreachable", server, create=True)
    assert "no such gallery" in refusal("gallery-missing", f"milvus://{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
    assert "no such gallery" in refusal("gallery-missing", f"milvus://{file}?gallery=none")
    (tmp_path / "text.db").write_text("hello")
    refusal("gallery-foreign", f"milvus://{tmp_path}/text.db", create=True)


def test_a_newer_or_a_foreign_gallery_is_left_alone(store, url):
    gallery = parse(url).gallery
    row = {"model": milvus_collections.MARK, "collection": "", "dimension": 99, "nothing": [1, 0]}
    store._client.upsert(gallery, [row])
    assert "schema 99" in refusal("gallery-newer", url)
    store.add(enrollments(1), model=MODEL)
    (model,) = store._models.values()
    foreign = url.replace(gallery, model.collection)
    assert "another program's" in refusal("gallery-foreign", foreign, create=True)


HOLD = """
import sys
from faceverify.gallery.milvus.store import MilvusStore
store = MilvusStore(sys.argv[1], create=True)
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.thorough
def test_a_file_is_one_process_s_and_then_the_next_s(tmp_path):
    url = f"milvus://{tmp_path}/gallery.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "open\n"
        assert "another process" in refusal("gallery-locked", url)
        other.stdin.close()
    with MilvusStore(url) as store:
        store.add(enrollments(1), model=MODEL)
    assert os.stat(tmp_path / "gallery.db").st_mode & 0o077 == 0
    held = subprocess.run(
        [sys.executable, "-c", HOLD, url], input="", capture_output=True, text=True, check=True
    )
    assert (held.stdout, held.stderr) == ("open\n", "")
    with MilvusStore(url) as store:
        assert store.stats().templates == 1


QUIET = """
import sys
from faceverify.errors import GalleryError
from faceverify.gallery.milvus.store import MilvusStore
for url in sys.argv[1:]:
    try: MilvusStore(url, create=True)
    except GalleryError as error: print(error)
"""


@pytest.mark.thorough
def test_nothing_of_the_driver_is_printed(file):
    urls = [f"milvus://{file}", "milvus://127.0.0.1:1/people"]  # in use, and not there
    told = subprocess.run(
        [sys.executable, "-c", QUIET, *urls], capture_output=True, text=True, check=True
    )
    assert len(told.stdout.splitlines()) == 2
    assert told.stderr == ""


def test_without_its_driver_the_cure_is_told():
    code = (
        "import sys; sys.modules['pymilvus'] = None\n"
        "from faceverify.errors import GalleryError\n"
        "from faceverify.gallery.open import open_store\n"
        "try: open_store('milvus://h/d')\n"
        "except GalleryError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    cure = "pip install 'faceverify[milvus]'\n"
    assert done.stdout == f"a milvus:// gallery needs pymilvus; {cure}"


# Whole servers, and what is killed

ENROLL = """
import sys
sys.path.insert(0, sys.argv[2])
from enrolled_people import MODEL, enrollments
from faceverify.gallery.milvus.store import MilvusStore
first, count = int(sys.argv[3]), int(sys.argv[4])
with MilvusStore(sys.argv[1], create=True) as store:
    for number in range(first, first + count):
        store.add(enrollments(1, first=number), model=MODEL)
        print(number, flush=True)
"""
CHECK = """
import sys
from faceverify.gallery.milvus.store import MilvusStore
with MilvusStore(sys.argv[1]) as store:
    assert store.check() == []
    print(*sorted(int(one.photo[8:-4]) for one in store.since(0)))
"""
HERE = str(Path(__file__).parents[1])


@pytest.mark.slow
def test_a_process_that_is_killed_loses_nothing_that_it_told(tmp_path):
    url = f"milvus://{tmp_path}/gallery.db"
    told = []
    for attempt in range(10):
        command = [sys.executable, "-c", ENROLL, url, HERE, str(10_000 * attempt), "10000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(10 + 7 * attempt):
                told.append(int(process.stdout.readline()))
            process.send_signal(signal.SIGKILL)
    with MilvusStore(url) as store:
        kept = {int(one.photo[8:-4]) for one in store.since(0)}
        assert set(told) <= kept
        assert store.check() == []


@pytest.mark.slow
def test_a_server_obeys_the_laws_and_loses_nothing_when_it_is_killed():
    try:
        with milvus_server() as server:
            environment = os.environ | {"FACEVERIFY_TEST_MILVUS": ADDRESS}
            laws = str(Path(HERE, "milvus_server_laws.py"))
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-m",
                "",
                laws,
            ]
            done = server.run(*command, env=environment)
            assert done.returncode == 0, done.stdout

            url = f"milvus://{ADDRESS}/killed"
            done = server.run(sys.executable, "-c", ENROLL, url, HERE, "0", "300")
            assert done.stdout.split() == [str(number) for number in range(300)], done.stderr
            server.stop()
            server.start()
            done = server.run(sys.executable, "-c", CHECK, url)
            assert done.stdout.split() == [str(number) for number in range(300)], done.stderr
    except Unavailable as reason:
        pytest.skip(str(reason))
