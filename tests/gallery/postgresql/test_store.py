"""PostgreSQL engine on a real server: nothing lost, nothing stored twice, nothing missed."""

import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import psycopg
import pytest
from breaking_proxy import COMMIT, COMMITTED, BreakingProxy
from enrolled_people import MODEL, clean_processes, enroll, enrollments, unit_rows
from postgresql_server import PASSWORD
from store_conformance import StoreLaws, numbers

from faceverify.choices import Fusion
from faceverify.errors import GalleryError
from faceverify.gallery.postgresql import removal as postgresql_removal
from faceverify.gallery.postgresql import schema as postgresql_schema
from faceverify.gallery.postgresql import session as postgresql_session
from faceverify.gallery.postgresql.address import SearchKind, parse
from faceverify.gallery.postgresql.index import build_index
from faceverify.gallery.postgresql.store import PostgresStore
from faceverify.gallery.postgresql.writing import hold_counter
from faceverify.gallery.store import Enrollment


@pytest.fixture
def name(request):
    """A gallery name unique to the test."""
    return re.sub(r"\W", "_", request.node.name)[-40:]


@pytest.fixture
def store(postgresql, name):
    with PostgresStore(postgresql.url(name), create=True) as opened:
        yield opened


class TestLaws(StoreLaws):
    @pytest.fixture
    def store_url(self, postgresql, name):
        return postgresql.url(name)


def outcome(wanted, url):
    """The error of opening a gallery, checked to be one line without the password."""
    with pytest.raises(GalleryError) as error:
        PostgresStore(url, create=wanted != "gallery-missing")
    text = str(error.value)
    assert error.value.code == wanted
    assert "\n" not in text
    assert PASSWORD not in text
    assert "hidden" not in text
    return text


# Addresses


def test_an_address_is_shown_without_its_password():
    address = parse(
        "postgresql://ann:hid%40den@h:5/d%20b?gallery=A%20b&sslmode=require&search=hnsw"
    )
    assert address.shown == "postgresql://ann@h:5/d%20b?gallery=A%20b&search=hnsw"
    assert (address.gallery, address.search) == ("A b", SearchKind.HNSW)
    assert address.parameters["password"] == "hid@den"
    assert address.parameters["sslmode"] == "require"
    assert "hid" not in repr(address)
    assert parse("postgres://h/d?password=hidden").shown == "postgresql://h/d?gallery=default"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hid/den@h:5/db",
        "postgresql://ann:5/hidden@h/db",
        "postgresql://ann:hidden@h:port/db",
        "postgresql://ann:hidden@h/db?nonsense=1",
        "postgresql://ann:hidden@h/db?gallery=",
        "postgresql://ann:hidden@h/db?gallery=%00",
        "postgresql://ann:hidden@h/db?gallery=" + 45 * "x",
        "postgresql://ann:hidden@h/db?search=guess",
    ],
)
def test_an_address_that_makes_no_sense_is_one_line_without_the_password(url):
    with pytest.raises(GalleryError) as error:
        parse(url)
    assert "hid" not in str(error.value)
    assert error.value.__cause__ is None


# What is stored


@pytest.mark.parametrize("dimension", [1, 512, 2000, 4096, 16000])
def test_any_dimension_fits(store, postgresql, name, dimension):
    people = enrollments(2, dimension=dimension)
    store.add(people, model=MODEL)
    assert [one.embedding.tobytes() for one in store.since(0)] == [
        one.embedding.tobytes() for one in people
    ]
    assert store.search(people[1].embedding[None], 1, model=MODEL)[0][0].name == people[1].name
    with postgresql.connection() as connection:  # a scan that must look elsewhere is slow
        table = f"'\"faceverify_{name}\".templates'::regclass"
        size = f"SELECT pg_relation_size(reltoastrelid) = 0 FROM pg_class WHERE oid = {table}"
        assert connection.execute(size).fetchone() == (dimension <= 2000,)


def test_galleries_of_one_database_know_nothing_of_each_other(postgresql, name):
    with (
        PostgresStore(postgresql.url(f'{name}"%20;'), create=True) as first,
        PostgresStore(postgresql.url(f"{name}%C3%A4"), create=True) as second,
    ):
        first.add(enrollments(3), model=MODEL)
        assert (first.stats().templates, second.stats().templates) == (3, 0)
        assert first.stats().url.endswith(f"gallery={name}%22%20%3B")


def test_what_is_altered_behind_its_back_is_found(store, postgresql, name):
    store.add(enrollments(5), model=MODEL)
    with postgresql.connection() as connection:
        connection.execute(f"UPDATE faceverify_{name}.templates SET quality = 2 WHERE sequence = 3")
        connection.execute(f"DELETE FROM faceverify_{name}.identities WHERE name = 'person 4'")
        connection.execute(f"UPDATE faceverify_{name}.gallery SET last_sequence = 2")
    found = store.check()
    assert len(found) == 3
    assert "template 3 of 'person 2'" in found[-1]


# Searches


def oracle(people, query, count, fusion, names):
    """Oracle of the candidates, computed in float64."""
    query = query.astype(float)
    found = {}
    for name in dict.fromkeys(one.name for one in people):
        rows = np.stack([one.embedding.astype(float) for one in people if one.name == name])
        if fusion is Fusion.MEAN:
            rows = rows.mean(axis=0, keepdims=True)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        if names is None or name in names:
            found[name] = float((1 - rows @ query / np.linalg.norm(query)).min())
    return sorted(found.items(), key=lambda item: item[1])[:count]


@pytest.mark.parametrize("fusion", Fusion)
@pytest.mark.parametrize("names", [None, [], ["person 3", "nobody", "person 5"]])
def test_a_search_finds_what_the_book_says(store, fusion, names):
    people = enrollments(400, people=21) + enrollments(300, people=2, first=1000)
    store.add(people, model=MODEL)
    store.add(enrollments(50, dimension=8, first=5000), model="another")
    queries = unit_rows(5, seed=9)
    for count in (1, 5, 30):
        found = store.search(queries, count, model=MODEL, fusion=fusion, names=names)
        for query, candidates in zip(queries, found, strict=True):
            wanted = oracle(people, query, count, fusion, names)
            assert [one.name for one in candidates] == [one for one, _ in wanted]
            distances = [one.distance for one in candidates]
            assert distances == pytest.approx([one for _, one in wanted], abs=1e-6)


def test_means_that_cancel_out_are_far_from_everything_alike(store):
    row = unit_rows(1)[0]
    pair = [
        Enrollment("both", sign * row, "", bytes(31) + bytes([sign + 1]), 1) for sign in (1, -1)
    ]
    store.add(pair, model=MODEL)
    (found,) = store.search(row[None], 1, model=MODEL, fusion=Fusion.MEAN)
    assert found[0].distance == 1


def test_another_length_of_embeddings_is_refused(store):
    store.add(enrollments(2), model=MODEL)
    for work in (
        lambda: store.add(enrollments(1, dimension=8, first=9), model=MODEL),
        lambda: store.search(unit_rows(1, dimension=8), 1, model=MODEL),
    ):
        with pytest.raises(GalleryError) as error:
            work()
        assert error.value.code == "gallery-model"
    assert store.stats().templates == 2


# The index


def clustered(count, people):
    """Templates of each person near each other, as real ones are."""
    centres, noise = unit_rows(people, dimension=32), unit_rows(count, dimension=32, seed=1)
    plain = enrollments(count, people=people, dimension=32)
    for number, one in enumerate(plain):
        row = centres[number % people] + 0.5 * noise[number]
        one.embedding[:] = row / np.linalg.norm(row)
    return plain


def test_an_index_is_measured_and_used_only_when_asked_for(postgresql, store, name):
    people = clustered(2000, 400)
    store.add(people, model=MODEL)
    queries = unit_rows(20, dimension=32, seed=5)
    exact = store.search(queries, 5, model=MODEL)
    with PostgresStore(postgresql.url(f"{name}&search=hnsw")) as fast:
        with pytest.raises(GalleryError, match="no HNSW index"):
            fast.search(queries, 5, model=MODEL)
        report = build_index(store, model=MODEL, samples=50)
        assert (report.templates, report.dimension, report.count) == (2000, 32, 5)
        assert 0.9 < report.recall <= 1
        assert report.megabytes > 0
        poor = build_index(store, model=MODEL, samples=50, connections=2, construction=4, effort=1)
        assert poor.recall < report.recall
        assert store.search(queries, 5, model=MODEL) == exact
        assert fast.search(queries, 5, model=MODEL) != exact
        assert fast.search(queries, 5, model=MODEL, names=["person 7"])[0][0].name == "person 7"
        stats = fast.stats()
        assert stats.details["indexes"][MODEL]["recall"] == poor.recall
        assert stats.url.endswith("&search=hnsw")
        build_index(store, model=MODEL, samples=50, effort=400)
        found = fast.search(queries, 5, model=MODEL)
        same = [
            one.name for row, true in zip(found, exact, strict=True)
            for one, two in zip(row, true, strict=True) if one == two
        ]  # fmt: skip
        assert len(same) >= 98
        assert store.remove("person 7") == 5
        assert all(
            one.name != "person 7" for row in fast.search(queries, 99, model=MODEL) for one in row
        )


def test_what_cannot_be_indexed_is_refused(store):
    store.add(enrollments(2, dimension=2001), model=MODEL)
    with pytest.raises(GalleryError, match="2001"):
        build_index(store, model=MODEL)
    with pytest.raises(GalleryError, match="nobody"):
        build_index(store, model="unknown")


# Removal


def on_disk(server, *needles):
    """Which of these bytes are in the tables' files; the write-ahead log is not searched."""
    with server.connection() as connection:
        connection.execute("CHECKPOINT")
    paths = (server.folder / "data").rglob("*")
    files = [path.read_bytes() for path in paths if path.is_file() and "pg_wal" not in path.parts]
    return [needle for needle in needles if any(needle in content for content in files)]


def test_what_is_removed_is_gone_from_the_server_s_files(store, postgresql):
    people = enrollments(45, people=9, dimension=64, seed=4711)
    last = enrollments(5, people=1, first=45, dimension=64, seed=4711)  # the end of a page
    people += [replace(one, name="person 9") for one in last]
    for number, one in enumerate(people):  # nothing that is in another gallery of this server
        of_us = {
            "name": f"{one.name} of us",
            "photo": f"/us/{number}.jpg",
            "photo_hash": 16 * bytes([number, 200 - number]),
        }
        people[number] = replace(one, **of_us)
    doomed = [one for one in people if one.name == "person 9 of us"]
    store.add(people, model=MODEL)
    build_index(store, model=MODEL, samples=5)
    with postgresql.connection() as connection:
        connection.execute("ANALYZE")  # keeps samples of what it saw
    needles = [one.embedding.tobytes() for one in doomed]
    needles += [doomed[0].name.encode(), doomed[0].photo.encode(), doomed[0].photo_hash]
    assert on_disk(postgresql, *needles) == needles
    assert store.remove("person 9 of us", sequences=[46, 47, 1]) == 2
    assert [one.sequence for one in store.of("person 9 of us")] == [48, 49, 50]
    assert store.remove("person 9 of us") == 3
    assert on_disk(postgresql, *needles) == []
    assert store.remove("person 9 of us") == 0
    assert on_disk(postgresql, people[4].embedding.tobytes())


def test_an_older_transaction_that_sees_removed_rows_is_named(store, postgresql, monkeypatch):
    store.add(enrollments(5, seed=4712), model=MODEL)
    monkeypatch.setattr(postgresql_removal, "WAIT_SECONDS", 0.2)
    with postgresql.connection() as reader:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1 FROM pg_class LIMIT 1")
        with pytest.raises(GalleryError, match=f"process {reader.info.backend_pid} of postgres"):
            store.remove("person 1")
        assert store.of("person 1") == []
    needle = enrollments(5, seed=4712)[1].embedding.tobytes()
    assert on_disk(postgresql, needle)
    store.compact()
    assert not on_disk(postgresql, needle)


# Many at once


def run_writers(url, starts, count):
    """Enroll in concurrent processes; returns (photo, acknowledged number) pairs."""
    context = clean_processes()
    queue = context.Queue()
    writers = [context.Process(target=enroll, args=(url, one, count, 1, queue)) for one in starts]
    for writer in writers:
        writer.start()
    told = [queue.get(timeout=120) for _ in writers]
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    return [pair for one in told for pair in one]


def check_writers(store, told, photos):
    found = list(store.since(0))
    stored = {one.photo: one.sequence for one in found}
    assert len(found) == len(stored) == photos
    assert [one.sequence for one in found] == sorted({one.sequence for one in found})
    assert all(stored[f"/photos/{number}.jpg"] == sequence for number, sequence in told)


@pytest.mark.parametrize(
    ("processes", "count"), [(3, 40), pytest.param(8, 1000, marks=pytest.mark.slow)]
)
def test_processes_that_enroll_at_once_lose_and_double_nothing(postgresql, name, processes, count):
    # each photo is enrolled by two of them, and the first one creates the gallery
    starts = [index * count // 2 for index in range(processes)]
    told = run_writers(postgresql.url(name), starts, count)
    assert len(told) == processes * count
    with PostgresStore(postgresql.url(name)) as store:
        check_writers(store, told, starts[-1] + count)
        assert store.check() == []


def test_a_reader_misses_no_transaction_that_commits_late(postgresql, store, name):
    store.add(enrollments(1), model=MODEL)
    holding, commit = threading.Event(), threading.Event()
    late = PostgresStore(postgresql.url(name))

    def slow(connection):
        hold_counter(connection)
        holding.set()
        commit.wait(20)
        connection.execute("UPDATE gallery SET last_sequence = last_sequence + 1")

    def hurry():
        with PostgresStore(postgresql.url(name)) as hasty:
            hasty.add(enrollments(1, first=10), model=MODEL)

    writers = [threading.Thread(target=late.session.write, args=(slow,))]
    writers[0].start()
    assert holding.wait(20)
    writers.append(threading.Thread(target=hurry))
    writers[1].start()
    time.sleep(0.2)
    assert [one.sequence for one in store.since(0)] == [1]  # number 3 must not come before 2
    commit.set()
    for writer in writers:
        writer.join()
    assert [one.sequence for one in store.since(1)] == [3]
    late.close()


# A server that goes away


@pytest.mark.slow
def test_a_restart_in_the_middle_is_only_a_pause(postgresql, store):
    restarts = threading.Thread(target=restart, args=(postgresql,))
    restarts.start()
    told = []
    number = 0
    while restarts.is_alive() or number < 50:
        told += [(number, store.add(enrollments(1, first=number), model=MODEL)[0].sequence)]
        assert len(store.of(f"person {number}")) == 1
        number += 1
        time.sleep(0.01)
    restarts.join()
    check_writers(store, told, number)
    assert store.stats().identities == number


def restart(server):
    for how in (signal.SIGINT, signal.SIGQUIT):
        time.sleep(0.2)
        server.stop(how)
        time.sleep(0.1)
        server.start()


@pytest.mark.parametrize("lost", [COMMIT, COMMITTED])
def test_a_commit_or_its_answer_that_is_lost_neither_loses_nor_doubles(
    postgresql, store, name, lost
):
    proxy = BreakingProxy(postgresql.port)
    url = postgresql.url(name).replace(str(postgresql.port), str(proxy.port))
    with PostgresStore(url) as far:
        for number in range(5):
            proxy.armed = [lost]
            assert numbers(far.add(enrollments(1, first=number), model=MODEL)) == [number + 1]
        proxy.armed = [lost]
        assert far.rename("person 0", "Ann") == 1
        proxy.armed = [lost]
        assert far.remove("person 1") == 1
        proxy.armed = [lost]
        assert far.replace_model(MODEL, enrollments(2), model="new") == [6, 7]
    assert proxy.broken == 8
    proxy.close()
    assert [one.sequence for one in store.since(0)] == [6, 7]


@pytest.mark.slow
def test_a_crash_is_not_taken_for_a_commit(postgresql, store, name):
    others = PostgresStore(postgresql.url(name))
    attempts = []

    def work(connection):
        attempts.append(connection)
        connection.execute("INSERT INTO models (name, dimension) VALUES ('of us', 3)")
        if len(attempts) == 1:
            postgresql.stop(signal.SIGQUIT)
            postgresql.start()
            others.add(enrollments(1), model=MODEL)  # the server gives it our transaction's number
        return len(attempts)

    assert store.session.write(work) == 2
    others.close()
    with postgresql.connection() as connection:
        rows = connection.execute(f"SELECT name FROM faceverify_{name}.models ORDER BY name")
        assert [row[0] for row in rows] == [MODEL, "of us"]


def test_who_has_closed_leaves_no_note(postgresql, store, name):
    for first in (0, 1):
        with PostgresStore(postgresql.url(name)) as other:
            other.add(enrollments(1, first=first), model=MODEL)
    with postgresql.connection() as connection:
        count = f"SELECT count(*) FROM faceverify_{name}.writers"
        assert connection.execute(count).fetchone() == (0,)


@pytest.mark.slow
def test_a_server_that_stays_away_is_one_line(postgresql, store, monkeypatch):
    monkeypatch.setattr(postgresql_session, "RETRY_SECONDS", 0.3)
    store.add(enrollments(1), model=MODEL)
    postgresql.stop()
    try:
        for work in (
            lambda: store.add(enrollments(1), model=MODEL),
            lambda: store.of("person 0"),
            lambda: list(store.since(0)),
        ):
            with pytest.raises(GalleryError, match="not back within") as error:
                work()
            assert error.value.code == "gallery-unreachable"
            assert PASSWORD not in str(error.value)
    finally:
        postgresql.start()
    assert len(store.of("person 0")) == 1


# What is refused


def test_a_server_that_cannot_be_used_is_one_line(postgresql, name):
    assert "check user and password" in outcome(
        "gallery-unreachable", postgresql.url(name, password="hidden")
    )
    free = "postgresql://ann:hidden@127.0.0.1:1/db"
    assert "check host, port" in outcome("gallery-unreachable", free)
    other = postgresql.url(name).replace("/postgres?", "/nothing?")
    assert "check user and database" in outcome("gallery-unreachable", other)
    assert "enroll somebody" in outcome("gallery-missing", postgresql.url(name))


def test_a_server_without_pgvector_is_one_line(postgresql, name):
    with postgresql.connection() as connection:
        connection.execute("DROP DATABASE IF EXISTS bare")
        connection.execute("CREATE DATABASE bare")
        connection.execute("ALTER DATABASE bare SET extension_control_path = '/nowhere'")
    url = postgresql.url(name).replace("/postgres?", "/bare?")
    assert "no pgvector" in outcome("gallery-unreachable", url)
    with postgresql.connection() as connection:
        connection.execute("DROP DATABASE bare")


def test_a_database_that_cannot_hold_every_name_is_refused(postgresql, name):
    with postgresql.connection() as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    url = postgresql.url(name).replace("/postgres?", "/latin?")
    assert "LATIN1" in outcome("gallery", url)
    with postgresql.connection() as connection:
        connection.execute("DROP DATABASE latin")


def test_a_newer_or_a_foreign_schema_is_left_alone(postgresql, store, name):
    with postgresql.connection() as connection:
        connection.execute(f"UPDATE faceverify_{name}.gallery SET version = 99")
        assert "schema 99" in outcome("gallery-newer", postgresql.url(name))
        connection.execute(f"ALTER TABLE faceverify_{name}.gallery RENAME TO other")
        assert "something else" in outcome("gallery-foreign", postgresql.url(name))


def test_an_older_gallery_is_migrated_by_one_of_many(postgresql, store, name, monkeypatch):
    store.add(enrollments(3), model=MODEL)
    step = "ALTER TABLE identities ADD COLUMN note text; UPDATE identities SET note = 'migrated';"
    monkeypatch.setattr(postgresql_schema, "MIGRATIONS", (*postgresql_schema.MIGRATIONS, step))
    opened = []
    threads = [
        threading.Thread(target=lambda: opened.append(PostgresStore(postgresql.url(name))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.stats().details["schema_version"] for one in opened] == [2] * 4
    assert opened[0].stats().templates == 3
    for one in opened:
        one.close()


def login(server, user, role):
    with server.connection() as connection:
        connection.execute(f"DROP ROLE IF EXISTS {user}")
        connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")
        connection.execute(f"GRANT {role} TO {user}")


def test_each_role_may_do_its_own_and_no_more(postgresql, store, name):
    store.add(enrollments(6, people=3), model=MODEL)
    with postgresql.connection() as connection:
        connection.execute("REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC")
    assert store.create_roles() == store.create_roles()
    enroll, search = store.create_roles()
    login(postgresql, "door", search)
    login(postgresql, "desk", enroll)
    query = unit_rows(1)
    with PostgresStore(postgresql.url(name, user="door"), create=True) as door:
        assert door.search(query, 3, model=MODEL) == store.search(query, 3, model=MODEL)
        assert door.stats().templates == 6
        for forbidden in (
            lambda: door.add(enrollments(1, first=9), model=MODEL),
            lambda: door.remove("person 1"),
            lambda: door.rename("person 1", "Ann"),
            lambda: door.replace_model(MODEL, [], model="new"),
            door.compact,
            door.create_roles,
            lambda: build_index(door, model=MODEL),
        ):
            with pytest.raises(GalleryError) as error:
                forbidden()
            assert "\n" not in str(error.value)
        assert list(door.names()) == [(f"person {one}", 2) for one in range(3)]
    with PostgresStore(postgresql.url(name, user="desk")) as desk:
        assert numbers(desk.add(enrollments(1, first=9), model="another")) == [7]
        assert desk.rename("person 9", "Ann") == 1
        assert desk.remove("Ann") == 1
        desk.compact()
        with pytest.raises(GalleryError, match="owner"):
            build_index(desk, model=MODEL)
    outcome("gallery", postgresql.url("another", user="desk"))


def test_without_its_driver_the_cure_is_told():
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from faceverify.errors import GalleryError\n"
        "from faceverify.gallery.open import open_store\n"
        "try: open_store('postgresql://h/d')\n"
        "except GalleryError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    cure = "pip install 'faceverify[postgresql]'\n"
    assert done.stdout == f"a postgresql:// gallery needs psycopg; {cure}"


def test_nothing_of_the_driver_is_printed(store, postgresql, capfd):
    with psycopg.connect(postgresql.url("x").partition("?")[0], autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND application_name = 'faceverify'"
        )
    store.add(enrollments(1), model=MODEL)
    assert capfd.readouterr() == ("", "")
