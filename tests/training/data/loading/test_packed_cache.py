"""The packed cache: what decoding gives, made anew when an image changes, whole or not at all."""

import multiprocessing
import os
import resource
import signal
import stat
import time

import numpy as np
import pytest
import torch
from face_files import encoded, people_folder, picture

from faceverify.errors import ImageError, OutputError
from faceverify.training.data.loading import packed_cache
from faceverify.training.data.loading.packed_cache import fits, packed
from faceverify.training.data.sets.open import open_face_set

SIZE = (20, 24)


@pytest.fixture
def people(tmp_path):
    return people_folder(tmp_path / "people", {"ann": 3, "bob": 2})


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def holds(found, faces):
    assert found.size == SIZE
    everything = torch.stack([faces.image(index) for index in range(len(faces))])
    assert torch.equal(found.rows(np.arange(len(faces))), everything)


def test_it_holds_what_decoding_gives(people, cache):
    faces = open_face_set(people)
    found = packed(faces, SIZE, cache)
    holds(found, faces)
    some = np.array([4, 0, 4])
    assert torch.equal(found.rows(some)[1], faces.image(0))
    assert found.rows(some).is_contiguous(memory_format=torch.channels_last)


def test_it_is_made_once(people, cache, monkeypatch):
    faces = open_face_set(people)
    packed(faces, SIZE, cache)
    monkeypatch.setattr(packed_cache, "map_ordered", None)
    holds(packed(open_face_set(people), SIZE, cache), faces)


def test_it_is_made_anew_when_a_photo_changes(people, cache):
    packed(open_face_set(people), SIZE, cache)
    (people / "ann" / "0001.jpg").write_bytes(encoded(picture(50)))
    holds(packed(open_face_set(people), SIZE, cache), open_face_set(people))
    (people / "ann" / "9.jpg").write_bytes(encoded(picture(51)))
    holds(packed(open_face_set(people), SIZE, cache), open_face_set(people))
    assert len(list(cache.glob("*.npy"))) == 1  # the old ones are gone
    smaller = packed(open_face_set(people), (10, 12), cache)
    assert smaller.size == (10, 12)
    assert len(list(cache.glob("*.npy"))) == 2


@pytest.mark.parametrize("keep", [0, 10, 60, 500, -1])
def test_a_torn_file_is_made_anew(people, cache, keep):
    faces = open_face_set(people)
    packed(faces, SIZE, cache)
    (file,) = cache.glob("*.npy")
    os.truncate(file, keep if keep >= 0 else file.stat().st_size - 1)
    holds(packed(faces, SIZE, cache), faces)


def test_an_unreadable_photo_leaves_nothing(people, cache):
    (people / "bob" / "0001.jpg").write_bytes(b"torn")
    with pytest.raises(ImageError, match=r"bob/0001\.jpg"):
        packed(open_face_set(people), SIZE, cache)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_only_its_owner_reads_it(people, cache):
    packed(open_face_set(people), SIZE, cache)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in cache.iterdir()} == {0o600}


def limited(people, cache, results):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # bytes: as a full disk would
    try:
        packed(open_face_set(people), SIZE, cache)
    except OutputError as error:
        results.put(str(error))


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(people, cache):
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    process = context.Process(target=limited, args=(people, cache, results))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert "cannot be written (File too large)" in results.get()
    assert not [path for path in cache.iterdir() if path.suffix != ".lock"]


def at_once(people, cache, results):
    made = []

    def counted(items, _label, _total):
        for item in items:
            made.append(item)
            time.sleep(0.05)  # so that the other is there before it is done
            yield item

    packed(open_face_set(people), SIZE, cache, progress=counted)
    results.put(len(made))


def test_two_processes_make_it_once(people, cache):
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    processes = [context.Process(target=at_once, args=(people, cache, results)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert sorted([results.get(), results.get()]) == [0, 5]


def test_what_fits(people, cache, monkeypatch):
    faces = open_face_set(people)
    needed = 5 * 20 * 24 * 3
    assert fits(faces, SIZE, cache / "deep" / "er")
    monkeypatch.setattr(packed_cache, "free_memory", lambda: needed)
    assert not fits(faces, SIZE, cache)
    monkeypatch.setattr(packed_cache, "free_memory", lambda: 2 * needed)
    assert fits(faces, SIZE, cache)
    monkeypatch.setattr(packed_cache, "SPARE", 2**80)
    assert not fits(faces, SIZE, cache)
    packed(faces, SIZE, cache)
    assert fits(faces, SIZE, cache)  # it takes no more of the disk


def test_free_memory_is_known():
    assert packed_cache.free_memory() > 2**20
