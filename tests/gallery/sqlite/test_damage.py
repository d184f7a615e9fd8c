"""A damaged gallery: one clear line, never a wrong match."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys

import numpy as np
import pytest

pytest.register_assert_rewrite("store_conformance")

from store_conformance import (  # noqa: E402
    MODEL,
    directions,
    enrollment,
    expected,
    found,
    people,
    same,
)

from faceverify.errors import GalleryError  # noqa: E402
from faceverify.gallery.sqlite import index, schema  # noqa: E402
from faceverify.gallery.sqlite.reading import check_rising  # noqa: E402
from faceverify.gallery.sqlite.store import SqliteStore  # noqa: E402
from faceverify.runtime.file_lock import FileLock  # noqa: E402

KEY = "5f" * 32
PEOPLE = people(8, 2)
QUERY = directions(1, seed=5)


@pytest.fixture
def folder(tmp_path):
    """A gallery of some people."""
    with SqliteStore(str(tmp_path / "gallery"), create=True) as store:
        store.add(PEOPLE, model=MODEL)
    return tmp_path / "gallery"


def refused(code, folder, **options):
    """The one-line error of opening a gallery."""
    with pytest.raises(GalleryError) as problem:
        SqliteStore(str(folder), **options)
    assert problem.value.code == code
    assert "\n" not in str(problem.value)
    return str(problem.value)


def test_only_its_owner_reads_it(folder):
    with SqliteStore(str(folder)) as store:
        store.add([enrollment("Ann", QUERY[0])], model=MODEL)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}
    assert {"gallery.sqlite", "gallery.sqlite-wal", "lock"} <= set(modes)


def test_what_is_no_gallery(tmp_path, folder):
    assert "enroll" in refused("gallery-missing", tmp_path / "missing")
    assert "enroll" in refused("gallery-missing", tmp_path)
    (tmp_path / "file").write_bytes(b"text")
    refused("gallery-foreign", tmp_path / "file", create=True)
    refused("gallery", tmp_path / "file" / "inside", create=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "ann.jpg").write_bytes(b"")
    assert "ann.jpg" in refused("gallery-foreign", tmp_path / "photos", create=True)
    (folder / "gallery.sqlite").write_bytes(b"no database at all" * 1000)
    refused("gallery-foreign", folder)


def test_a_database_of_another_program(folder):
    (folder / "gallery.sqlite").unlink()
    with sqlite3.connect(folder / "gallery.sqlite") as database:
        database.execute("CREATE TABLE songs (name)")
    database.close()
    refused("gallery-foreign", folder, create=True)


def test_a_newer_schema(folder):
    with sqlite3.connect(folder / "gallery.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert "99" in refused("gallery-newer", folder)


def test_an_older_schema_is_migrated(folder, monkeypatch):
    more = "CREATE TABLE extra (x); INSERT INTO extra VALUES (7);"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, more))
    monkeypatch.setattr("faceverify.gallery.sqlite.database.MIGRATIONS", schema.MIGRATIONS)
    for _ in range(2):
        with SqliteStore(str(folder)) as store:
            (answer,) = store.search(QUERY, 3, model=MODEL)
            same(found(answer), expected(PEOPLE, QUERY[0], 3))
            assert store._database.sql.execute("SELECT x FROM extra").fetchall() == [(7,)]


def test_a_migration_that_fails_changes_nothing(folder, monkeypatch):
    before = (folder / "gallery.sqlite").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE a (x); NONSENSE"))
        patched.setattr("faceverify.gallery.sqlite.database.MIGRATIONS", schema.MIGRATIONS)
        with pytest.raises(GalleryError):
            SqliteStore(str(folder))
    assert (folder / "gallery.sqlite").read_bytes() == before
    with SqliteStore(str(folder)) as store:
        assert store.check() == []


def test_an_unfinished_beginning_is_begun_again(tmp_path):
    (tmp_path / "gallery").mkdir()
    (tmp_path / "gallery" / "gallery.sqlite").write_bytes(b"")
    refused("gallery-missing", tmp_path / "gallery")
    with SqliteStore(str(tmp_path / "gallery"), create=True) as store:
        store.add(PEOPLE, model=MODEL)
        assert store.check() == []


def test_keys(tmp_path, folder):
    assert "not encrypted" in refused("gallery-key", folder, key=KEY)
    SqliteStore(str(tmp_path / "secret"), create=True, key=KEY).close()
    assert "FACEVERIFY_GALLERY_KEY" in refused("gallery-key", tmp_path / "secret")
    refused("gallery-key", tmp_path / "secret", key="ab" * 32)
    refused("gallery-key", tmp_path / "secret", key="ab" * 32, create=True)
    with SqliteStore(str(tmp_path / "secret"), key=KEY) as store:
        assert store.stats().details["encrypted"]


def test_locked_by_another(folder):
    lock = FileLock(folder / "lock")
    with SqliteStore(str(folder), busy=0.1) as store:
        assert lock.take(0)
        with pytest.raises(GalleryError) as problem:
            store.add([enrollment("Ann", QUERY[0])], model=MODEL)
        assert problem.value.code == "gallery-locked"
        (answer,) = store.search(QUERY, 3, model=MODEL)  # readers do not mind
        same(found(answer), expected(PEOPLE, QUERY[0], 3))
        lock.give_back()
        store.add([enrollment("Ann", QUERY[0])], model=MODEL)
        assert store.check() == []


def test_locked_by_a_program_that_does_not_know_the_lock_file(folder):
    other = sqlite3.connect(folder / "gallery.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with SqliteStore(str(folder), busy=0.1) as store:
        with pytest.raises(GalleryError) as problem:
            store.add([enrollment("Ann", QUERY[0])], model=MODEL)
        assert problem.value.code == "gallery-locked"
        other.close()
        store.add([enrollment("Ann", QUERY[0])], model=MODEL)


def test_a_database_that_cannot_grow(folder):
    """SQLite refuses, as on a full disk: nothing of the batch is stored, nothing is lost."""
    with SqliteStore(str(folder)) as store:
        (pages,) = store._database.sql.execute("PRAGMA page_count").fetchone()
        store._database.sql.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(GalleryError, match="disk is full"):
            store.add(people(500, seed=3), model=MODEL)
        assert store.check() == []
        (answer,) = store.search(QUERY, 3, model=MODEL)
        same(found(answer), expected(PEOPLE, QUERY[0], 3))
        store._database.sql.execute("PRAGMA max_page_count = 100000")
        store.add(people(500, seed=3), model=MODEL)
        assert store.stats().templates == 516


LIMITED = """
import resource, signal, sys
sys.path[:0] = sys.argv[2:]
from store_conformance import MODEL, people
from faceverify.errors import GalleryError
from faceverify.gallery.sqlite.store import SqliteStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with SqliteStore(sys.argv[1]) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, resource.RLIM_INFINITY))
    try:
        for seed in range(1, 100):
            store.add(people(50, seed=seed), model=MODEL)
            print(seed, flush=True)
    except GalleryError as problem:
        print(problem.code, problem, flush=True)
"""


def test_files_that_may_not_grow(folder):
    """A limit on the size of files: exactly the acknowledged templates are there."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(folder), os.path.dirname(__file__), *sys.path[1:]],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    *acknowledged, problem = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert problem.startswith("gallery ")
    with SqliteStore(str(folder)) as store:
        assert store.check() == []
        assert store.stats().templates == 16 + 50 * len(acknowledged)


def test_a_read_only_gallery(folder, monkeypatch):
    """A read-only disk: searches go on, an enrollment is one line."""
    monkeypatch.setattr(schema.os, "access", lambda *_: False)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with SqliteStore(str(folder)) as store:
        (answer,) = store.search(QUERY, 3, model=MODEL)
        same(found(answer), expected(PEOPLE, QUERY[0], 3))
        with pytest.raises(GalleryError, match="cannot be written"):
            store.add([enrollment("Ann", QUERY[0])], model=MODEL)
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def whole_or_refused(folder, key=None):
    """Call every method: each answer is right, or a one-line error. Whether there was an error."""
    try:
        return ask_everything(folder, key)
    except GalleryError as problem:
        return len(str(problem).splitlines()) == 1


def ask_everything(folder, key):
    with SqliteStore(str(folder), key=key) as store:
        (answer,) = store.search(QUERY, 9, model=MODEL)
        same(found(answer), expected(PEOPLE, QUERY[0], 9))
        for name in ("person 0000", "person 0005"):
            for one in store.of(name):
                assert one.photo_hash in {each.photo_hash for each in PEOPLE if each.name == name}
        for one, each in zip(store.since(0), PEOPLE, strict=True):
            assert (one.name, one.photo, one.photo_hash) == (each.name, each.photo, each.photo_hash)
            assert np.array_equal(one.embedding, each.embedding)
        return bool(store.check())


@pytest.mark.thorough(but=("250-encrypted",))
@pytest.mark.parametrize("key", [None, KEY], ids=["open", "encrypted"])
@pytest.mark.parametrize("flips", [250, pytest.param(10_000, marks=pytest.mark.slow)])
def test_bits_that_flip_in_the_database(tmp_path, key, flips):
    """Damage is detected, or it is in an unused part of the file: no answer is wrong."""
    with SqliteStore(str(tmp_path / "gallery"), create=True, key=key) as store:
        store.add(PEOPLE, model=MODEL)
        store.compact()
    path = tmp_path / "gallery" / "gallery.sqlite"
    content = path.read_bytes()
    used = [i for i in range(len(content)) if content[i : i + 4] != bytes(4)]
    draws = np.random.default_rng(3)
    seen = 0
    for place in draws.choice(used, flips).tolist():
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(draws.integers(8))
        path.write_bytes(damaged)
        seen += whole_or_refused(tmp_path / "gallery", key)
        for log in ("-wal", "-shm"):
            path.with_name(path.name + log).unlink(missing_ok=True)
    assert seen > 0.8 * flips


@pytest.mark.parametrize("page", range(1, 6))
def test_a_page_that_is_gone(folder, page):
    path = folder / "gallery.sqlite"
    content = bytearray(path.read_bytes())
    content[page * 8192 : (page + 1) * 8192] = b"\xa5" * 8192
    path.write_bytes(content)
    assert whole_or_refused(folder)


@pytest.mark.parametrize("key", [None, KEY], ids=["open", "encrypted"])
@pytest.mark.parametrize(
    "edit",
    [
        "DELETE FROM templates WHERE sequence = 5",
        "DELETE FROM templates",
        "UPDATE templates SET identity = 2 WHERE sequence = 1",
        "UPDATE templates SET sequence = 100 WHERE sequence = 1",
        "UPDATE templates SET record = (SELECT record FROM templates WHERE sequence = 2) "
        "WHERE sequence = 1",
        "UPDATE templates SET record = NULL WHERE sequence = 1",
        "UPDATE templates SET identity = 'x' WHERE sequence = 1",
        "UPDATE templates SET model = 7 WHERE sequence = 1",
        "UPDATE identities SET name = (SELECT name FROM identities WHERE id = 2) WHERE id = 1",
        "UPDATE identities SET id = 50 WHERE id = 1",
        "UPDATE gallery SET state = x'00'",
        "UPDATE gallery SET state = NULL",
        "DELETE FROM gallery",
    ],
)
def test_rows_changed_behind_its_back(tmp_path, key, edit):
    with SqliteStore(str(tmp_path / "gallery"), create=True, key=key) as store:
        store.add(PEOPLE, model=MODEL)
    with sqlite3.connect(tmp_path / "gallery" / "gallery.sqlite") as database:
        for table in ("templates", "identities", "gallery"):  # the columns refuse NULL
            (create,) = database.execute(
                "SELECT sql FROM sqlite_master WHERE name = ?", (table,)
            ).fetchone()
            database.execute("PRAGMA writable_schema = ON")
            database.execute(
                "UPDATE sqlite_master SET sql = ? WHERE name = ?",
                (create.replace(" NOT NULL", ""), table),
            )
    database.close()
    with sqlite3.connect(tmp_path / "gallery" / "gallery.sqlite") as database:
        assert database.execute(edit).rowcount
    database.close()
    assert whole_or_refused(tmp_path / "gallery", key)


def test_pages_of_rows_go_on(folder):
    """A tree of rows that leads back into itself must not keep a reader for ever."""
    check_rising([3, 4, 9], 2)
    for sequences in ([2], [1], [3, 3], [5, 4]):
        with pytest.raises(GalleryError) as problem:
            check_rising(sequences, 2)
        assert problem.value.code == "gallery-damaged"


def test_names_that_were_exchanged_are_seen(folder):
    """Two intact rows are exchanged."""
    with sqlite3.connect(folder / "gallery.sqlite") as database:
        keys = [key for (key,) in database.execute("SELECT name_key FROM identities ORDER BY id")]
        for number, key in ((1, b"x"), (2, keys[0]), (1, keys[1])):
            database.execute("UPDATE identities SET name_key = ? WHERE id = ?", (key, number))
    database.close()
    with SqliteStore(str(folder)) as store:
        for name in ("person 0000", "person 0001"):
            with pytest.raises(GalleryError):
                store.of(name)
            with pytest.raises(GalleryError):
                store.search(QUERY, 1, model=MODEL, names=[name])
        assert len(store.check()) == 2


def test_rows_brought_back_from_a_backup_are_seen(tmp_path):
    """Every row is genuine and sealed with the right key; only the set of rows is wrong."""
    gallery = tmp_path / "gallery"
    with SqliteStore(str(gallery), create=True, key=KEY) as store:
        store.add(PEOPLE, model=MODEL)
    shutil.copyfile(gallery / "gallery.sqlite", tmp_path / "backup")
    with SqliteStore(str(gallery), key=KEY) as store:
        store.remove("person 0003")
    with sqlite3.connect(gallery / "gallery.sqlite") as database:
        database.execute("ATTACH ? AS old", (str(tmp_path / "backup"),))
        for table in ("templates", "identities"):
            database.execute(f"INSERT OR IGNORE INTO {table} SELECT * FROM old.{table}")
    database.close()
    with SqliteStore(str(gallery), key=KEY) as store:
        with pytest.raises(GalleryError) as problem:
            store.search(QUERY, 3, model=MODEL)
        assert problem.value.code == "gallery-damaged"
        assert store.check()


def test_a_row_that_is_damaged_is_one_line_in_a_search(folder, monkeypatch):
    monkeypatch.setattr(index, "LEAST", 4)
    with SqliteStore(str(folder)) as store:
        store.search(QUERY, 3, model=MODEL)  # writes the search file
    path = folder / "gallery.sqlite"
    content = path.read_bytes()
    place = content.index(PEOPLE[3].embedding.tobytes())
    path.write_bytes(content[:place] + b"\0\0\0\0" + content[place + 4 :])
    with SqliteStore(str(folder)) as store:
        with pytest.raises(GalleryError) as problem:
            store.search(PEOPLE[3].embedding[None], 1, model=MODEL)
        assert problem.value.code == "gallery-damaged"
        assert "templates/4" in str(problem.value)
        assert [line.split(":")[0] for line in store.check()][:1] == ["templates/4/2/1"]
