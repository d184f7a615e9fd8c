"""The embedded gallery under kill -9, under many writers, and on a disk that is full or read-only.

The slow ones are long; each has a short form that runs with all tests.
"""

import multiprocessing
import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import contextmanager, suppress

import numpy as np
import pytest

pytest.register_assert_rewrite("store_conformance")

from store_conformance import MODEL, enrollment, expected, found, same  # noqa: E402

from faceverify.errors import GalleryError  # noqa: E402
from faceverify.gallery.sqlite import index  # noqa: E402
from faceverify.gallery.sqlite.store import SqliteStore  # noqa: E402

WIDTH, BATCH = 16, 5
LOTS = pytest.param(200, marks=pytest.mark.slow)

fork = multiprocessing.get_context("fork")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A gallery whose search file is renewed after a few enrollments."""
    monkeypatch.setattr(index, "LEAST", 40)
    SqliteStore(str(tmp_path / "gallery"), create=True).close()
    return tmp_path / "gallery"


def face(number, name=None):
    """Enrollment ``number``, the same in every process."""
    row = np.random.default_rng(number).standard_normal(WIDTH)
    row = (row / np.linalg.norm(row)).astype(np.float32)
    return enrollment(name or f"person {number}", row, f"/photos/{number}.jpg")


# kill -9


def enroll_until_killed(folder, first, pipe):
    """Write a line before each enrollment and one after its acknowledgement."""

    def tell(word, *numbers):
        os.write(pipe, f"{word} {' '.join(map(str, numbers))}\n".encode())

    draws = random.Random(first)
    with SqliteStore(str(folder)) as store:
        tell("open")
        for number in range(first, first + 10_000, BATCH):
            kind = draws.random()
            if kind < 0.1 and number > first:
                victim = draws.randrange(first, number)
                tell("removing", victim)
                store.remove(f"person {victim}")
                tell("removed", victim)
            elif kind < 0.6:
                store.add([face(number)], model=MODEL)
                tell("added", number)
            else:
                numbers = range(number, number + BATCH)
                store.add([face(one, f"person {one}") for one in numbers], model=MODEL)
                tell("added", *numbers)
            if draws.random() < 0.3:
                store.search(face(number).embedding[None], 1, model=MODEL)


def enrolled_until_killed(folder, first, draws):
    """Kill an enrolling process at a random moment; returns what it acknowledged."""
    reading, writing = os.pipe()
    child = fork.Process(target=enroll_until_killed, args=(folder, first, writing))
    child.start()
    os.close(writing)
    with os.fdopen(reading, "rb") as lines:
        read = [lines.readline() for _ in range(draws.randint(1, 15))]
        time.sleep(draws.uniform(0, 0.03))
        os.kill(child.pid, signal.SIGKILL)
        read += lines.readlines()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    return [line.decode().split() for line in read]


@pytest.mark.thorough
@pytest.mark.parametrize("kills", [6, LOTS])
def test_killed_at_any_moment(folder, kills):
    draws = random.Random(kills)
    there, perhaps = set(), set()
    with SqliteStore(str(folder)) as reader:  # open all the while
        for kill in range(kills):
            first = 100_000 * (kill + 1)
            for word, *numbers in enrolled_until_killed(folder, first, draws):
                if word == "added":
                    there |= {int(number) for number in numbers}
                elif word == "removing":
                    perhaps.add(int(numbers[0]))
                elif word == "removed":
                    perhaps.discard(int(numbers[0]))
                    there.discard(int(numbers[0]))
            stored = {int(one.name.split()[1]): one for one in reader.since(0)}
            gone = there - stored.keys()
            assert gone <= perhaps, "an acknowledged enrollment is lost, or a removal came back"
            unacknowledged = [number for number in stored if number not in there]
            # a batch stored and not yet acknowledged is there as a whole
            assert len(unacknowledged) in (0, 1, BATCH)
            there = set(stored)
            for number, one in stored.items():
                assert np.array_equal(one.embedding, face(number).embedding)
            for number in draws.sample(sorted(there), min(3, len(there))):
                query = face(number).embedding
                (answer,) = reader.search(query[None], 3, model=MODEL)
                same(found(answer), expected(stored.values(), query, 3))
            perhaps.clear()
            if kill % 20 == 0:
                assert reader.check() == []
        assert len(there) > kills  # it did enroll
        assert reader.check() == []
        reader.compact()
    assert not list(folder.rglob("*.part"))
    with SqliteStore(str(folder)) as store:
        number = min(there)
        ((nearest,),) = store.search(face(number).embedding[None], 1, model=MODEL)
        assert nearest.name == f"person {number}"


# Many writers

TEMPLATES = 4  # a person, enrolled in one step


def enroll_people(folder, process, count):
    with SqliteStore(str(folder)) as store:
        for number in range(0, count, TEMPLATES):
            name = f"person {process} {number}"
            numbers = range(process * 10_000 + number, process * 10_000 + number + TEMPLATES)
            store.add([face(one, name) for one in numbers], model=MODEL)
            store.add([face(9_999_999, "everybody")], model=MODEL)


def look_on(folder, ended, problems):
    """Search during the writes: people have all their templates, or none."""
    seen = 0
    try:
        with SqliteStore(str(folder)) as store:
            while not ended.is_set():
                counts = {name: count for name, count in store.names() if name != "everybody"}
                assert set(counts.values()) <= {TEMPLATES}
                assert sum(counts.values()) >= seen
                seen = sum(counts.values())
                (answer,) = store.search(face(7).embedding[None], 5, model=MODEL)
                assert len(answer) >= min(5, len(counts))
    except BaseException as problem:
        problems.put(repr(problem))
        raise


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("processes", "count"), [(4, 40), pytest.param(8, 1000, marks=pytest.mark.slow)]
)
def test_many_processes_enroll_at_once(folder, processes, count):
    ended, problems = fork.Event(), fork.Queue()
    readers = [fork.Process(target=look_on, args=(folder, ended, problems)) for _ in range(2)]
    writers = [
        fork.Process(target=enroll_people, args=(folder, number, count))
        for number in range(processes)
    ]
    for process in readers + writers:
        process.start()
    for process in writers:
        process.join()
    ended.set()
    for process in readers:
        process.join()
    assert problems.empty(), problems.get()
    assert [process.exitcode for process in readers + writers] == [0] * (2 + processes)
    with SqliteStore(str(folder)) as store:
        assert store.check() == []
        stored = list(store.since(0))
        assert len({one.sequence for one in stored}) == len(stored) == processes * count + 1
        counts = Counter(one.name for one in stored)
        assert counts.pop("everybody") == 1
        assert set(counts.values()) == {TEMPLATES}
        query = face(3).embedding
        (answer,) = store.search(query[None], 5, model=MODEL)
        same(found(answer), expected(stored, query, 5))


# Disks


@contextmanager
def small_disk(folder, size):
    """A small disk in memory; needs root."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(options, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def enrolled_until_full(store):
    """The acknowledged enrollments, and the last error."""
    acknowledged = set()
    try:
        for number in range(100_000):
            store.add([face(number)], model=MODEL)
            acknowledged.add(f"person {number}")
            if number % 50 == 0:
                store.search(face(number).embedding[None], 1, model=MODEL)
    except GalleryError as problem:
        return acknowledged, str(problem)
    raise AssertionError("the disk was never full")


@pytest.mark.parametrize("key", [None, "5f" * 32], ids=["open", "encrypted"])
@pytest.mark.parametrize("size", ["3m", pytest.param("12m", marks=pytest.mark.slow)])
def test_a_full_disk(tmp_path, monkeypatch, key, size):
    monkeypatch.setattr(index, "LEAST", 40)
    with small_disk(tmp_path / "disk", size) as disk:
        with SqliteStore(str(disk / "gallery"), create=True, key=key) as store:
            acknowledged, problem = enrolled_until_full(store)
            assert "full" in problem
            assert len(acknowledged) > 20
            assert {name for name, _ in store.names()} == acknowledged
            (answer,) = store.search(face(7).embedding[None], 1, model=MODEL)
            assert answer[0].name == "person 7"
        with SqliteStore(str(disk / "gallery"), key=key) as store:
            assert store.check() == []
            assert {name for name, _ in store.names()} == acknowledged
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        with SqliteStore(str(disk / "gallery"), key=key) as store:
            store.add([face(200_000)], model=MODEL)
            store.remove("person 3")
            assert store.check() == []
            assert len(list(store.names())) == len(acknowledged)


def test_a_removal_on_a_full_disk(tmp_path, monkeypatch):
    """A removal succeeds or reports an error; once there is room, it is completed."""
    monkeypatch.setattr(index, "LEAST", 40)
    with small_disk(tmp_path / "disk", "2m") as disk:
        with SqliteStore(str(disk / "gallery"), create=True) as store:
            store.add([face(number) for number in range(300)], model=MODEL)
            store.search(face(0).embedding[None], 1, model=MODEL)
            with open(disk / "filling", "wb", buffering=0) as filling, suppress(OSError):
                while filling.write(bytes(4096)):
                    pass
            with pytest.raises(GalleryError) as problem:
                store.remove("person 3")
            assert len(str(problem.value).splitlines()) == 1
            (disk / "filling").unlink()
            store.remove("person 3")
            store.compact()
            assert store.of("person 3") == []
            assert store.check() == []
        needle = face(3).embedding.tobytes()
        for path in (disk / "gallery").rglob("*"):
            assert path.is_dir() or needle not in path.read_bytes()


@pytest.mark.parametrize("in_use", [False, True])
def test_a_read_only_disk(tmp_path, monkeypatch, in_use):
    """Searches go on; an enrollment is one line. The disk may become so while it is in use."""
    monkeypatch.setattr(index, "LEAST", 40)
    with small_disk(tmp_path / "disk", "5m") as disk:
        writer = SqliteStore(str(disk / "gallery"), create=True)
        writer.add([face(number) for number in range(100)], model=MODEL)
        if not in_use:
            writer.close()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=False)
        if os.access(disk, os.W_OK):
            writer.close()
            pytest.skip("a disk in use cannot be made read-only here")
        with SqliteStore(str(disk / "gallery")) as store:
            ((nearest,),) = store.search(face(7).embedding[None], 1, model=MODEL)
            assert nearest.name == "person 7"
            with pytest.raises(GalleryError, match="cannot be written"):
                store.add([face(1000)], model=MODEL)
            assert store.check() == []
