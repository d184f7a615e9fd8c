"""Embedding cache: keyed by content, validated, intact after kills and races."""

import multiprocessing
import os
import sqlite3
import stat
from pathlib import Path

import numpy as np
import pytest
from photographs import BIDEN

from faceverify.choices import FaceChoice
from faceverify.embeddings.cache import FILE, EmbeddingCache, Outcome, cache_folder, failed
from faceverify.embeddings.compute import embed_photos, recipe_of
from faceverify.faces.options import FaceOptions
from faceverify.models.registry import load_model

RECIPE = '{"model": "m"}'


def outcome(value: float) -> Outcome:
    return Outcome(np.full(4, value, np.float32))


@pytest.fixture
def photo(tmp_path):
    """A file old enough for its times to be trusted."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"content")
    os.utime(path, (1e9, 1e9))
    return path


def later(monkeypatch):
    """Let time pass: files written by the test are then settled."""
    import faceverify.images.content as module

    real = module.time.time_ns()
    monkeypatch.setattr(module.time, "time_ns", lambda: real + 60_000_000_000)


def test_what_is_remembered_is_recalled(tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        (digest, other) = cache.digests([b"one", b"two"])
        assert cache.recall(RECIPE, [digest]) == [None]
        cache.remember(RECIPE, {digest: outcome(0.5), other: failed("no-face")})
    with EmbeddingCache(tmp_path) as cache:
        one, two = cache.recall(RECIPE, [digest, other])
        assert one.embedding.tolist() == [0.5] * 4
        assert (two.embedding.size, two.failure) == (0, "no-face")
        assert cache.recall("another recipe", [digest]) == [None]


def test_an_unchanged_file_is_not_read_again(tmp_path, photo, monkeypatch):
    later(monkeypatch)
    with EmbeddingCache(tmp_path) as cache:
        (before,) = cache.digests([photo])
        monkeypatch.setattr(Path, "read_bytes", None)
        assert cache.digests([photo]) == [before]


def test_a_changed_file_is_read_again(tmp_path, photo, monkeypatch):
    later(monkeypatch)
    with EmbeddingCache(tmp_path) as cache:
        (before,) = cache.digests([photo])
        photo.write_bytes(b"CONTENT")  # as long as before
        os.utime(photo, (1e9, 1e9))  # and as old: the change time tells
        (after,) = cache.digests([photo])
        assert after != before


def test_a_file_just_written_is_not_known_by_its_times(tmp_path, photo):
    with EmbeddingCache(tmp_path) as cache:
        cache.digests([photo])
        assert cache._read("SELECT count(*) FROM files") == (0,)


def test_a_file_that_is_gone_has_no_digest(tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        assert cache.digests([tmp_path / "none.jpg"]) == [None]
        assert cache.recall(RECIPE, [None]) == [None]


def test_a_flipped_bit_in_a_row_is_not_trusted(tmp_path):
    with EmbeddingCache(tmp_path) as cache:
        (digest,) = cache.digests([b"one"])
        cache.remember(RECIPE, {digest: outcome(0.5)})
    database = sqlite3.connect(tmp_path / FILE)
    with database:
        database.execute("UPDATE embeddings SET value = ?", (np.full(4, 0.6, "<f4").tobytes(),))
    database.close()
    with EmbeddingCache(tmp_path) as cache:
        assert cache.recall(RECIPE, [digest]) == [None]


BROKEN = {
    "no database": lambda path: path.write_bytes(b"hello " * 999),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "header lost": lambda path: path.write_bytes(b"\0" * 100 + path.read_bytes()[100:]),
    "of another program": lambda path: execute(path, "PRAGMA application_id = 7"),
    "of another version": lambda path: execute(path, "PRAGMA user_version = 99"),
    "a table lost": lambda path: execute(path, "DROP TABLE embeddings"),
}


def execute(path, statement):
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()


@pytest.mark.parametrize("case", BROKEN)
def test_a_damaged_or_foreign_file_is_set_aside_and_begun_anew(tmp_path, case):
    with EmbeddingCache(tmp_path) as cache:
        (digest,) = cache.digests([b"one"])
        cache.remember(RECIPE, {digest: outcome(0.5)})
    BROKEN[case](tmp_path / FILE)
    said = []
    with EmbeddingCache(tmp_path, said.append) as cache:
        assert cache.recall(RECIPE, [digest]) == [None]
        cache.remember(RECIPE, {digest: outcome(0.7)})
    assert len(said) == 1
    assert "replaced by an empty one" in said[0]
    assert (tmp_path / FILE).with_suffix(".damaged").exists()
    with EmbeddingCache(tmp_path, said.append) as cache:
        assert cache.recall(RECIPE, [digest])[0].embedding[0] == np.float32(0.7)
    assert len(said) == 1


def test_a_damaged_file_in_use_is_left_alone(tmp_path):
    said = []
    with EmbeddingCache(tmp_path):
        execute(tmp_path / FILE, "PRAGMA user_version = 99")
        with EmbeddingCache(tmp_path, said.append) as cache:
            (digest,) = cache.digests([b"one"])
            cache.remember(RECIPE, {digest: outcome(0.5)})
            assert cache.recall(RECIPE, [digest]) == [None]
    assert "not used" in said[0]
    assert not (tmp_path / FILE).with_suffix(".damaged").exists()


def test_a_folder_that_cannot_be_made_costs_only_a_message(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    said = []
    with EmbeddingCache(tmp_path / "file" / "cache", said.append) as cache:
        (digest,) = cache.digests([b"one"])
        cache.remember(RECIPE, {digest: outcome(0.5)})
        assert cache.recall(RECIPE, [digest]) == [None]
    assert len(said) == 1


def test_only_its_owner_reads_it(tmp_path):
    with EmbeddingCache(tmp_path / "new"):
        pass
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new" / FILE).stat().st_mode) == 0o600


def fill(folder, start):
    with EmbeddingCache(Path(folder)) as cache:
        for index in range(start, start + 40):
            (digest,) = cache.digests([str(index).encode()])
            cache.remember(RECIPE, {digest: outcome(index)})


def test_two_processes_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=fill, args=(tmp_path, start)) for start in (0, 40)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    with EmbeddingCache(tmp_path) as cache:
        digests = cache.digests([str(index).encode() for index in range(80)])
        recalled = cache.recall(RECIPE, digests)
    assert [found.embedding[0] for found in recalled] == list(range(80))


def test_where_it_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("FACEVERIFY_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("FACEVERIFY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/faceverify")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/ann")
    assert cache_folder() == Path("/home/ann/.cache/faceverify")


# With photos


def test_all_that_decides_an_embedding_is_in_the_recipe():
    model = load_model("default")
    settings = [
        FaceOptions(), FaceOptions(face=FaceChoice.CENTER), FaceOptions(min_face=50),
        FaceOptions(min_quality=0.1), FaceOptions(aligned="arcface-112"), FaceOptions(augment=2),
    ]  # fmt: skip
    assert len({recipe_of(model, one) for one in settings}) == len(settings)
    assert model.id in recipe_of(model, FaceOptions())


def test_the_same_photo_under_two_names_is_embedded_once(tmp_path):
    model = load_model("default")
    photos = [tmp_path / name for name in ("a.jpg", "b.jpg", "grey.jpg")]
    for path in photos[:2]:
        path.write_bytes(Path(BIDEN).read_bytes())
    photos[2].write_bytes(b"no image")
    with EmbeddingCache(tmp_path / "cache") as cache:
        found = embed_photos(photos, "default", model, FaceOptions(), cache)
        assert found.computed == 2
        assert np.array_equal(found.embeddings[0], found.embeddings[1])
        assert found.failure == ["", "", "image-not-an-image"]
        assert found.enrolled.tolist() == [True, True, False]
        again = embed_photos(photos, "default", model, FaceOptions(), cache)
        assert again.computed == 1  # what is no image may be repaired: it is tried again
        assert np.array_equal(again.embeddings, found.embeddings)
