"""Search in half precision gives the answers of full precision, and says where it cannot run."""

import sys

import numpy as np
import pytest

pytest.register_assert_rewrite("store_conformance")

from store_conformance import MODEL, StoreLaws, directions, people  # noqa: E402

from faceverify.errors import GalleryError, UsageError  # noqa: E402
from faceverify.gallery import half, index  # noqa: E402
from faceverify.gallery.half import HalfIndex, SearchKind, search_kind  # noqa: E402
from faceverify.gallery.search import Rows, nearest  # noqa: E402
from faceverify.gallery.sqlite import SqliteStore  # noqa: E402

pytest.importorskip("faiss")


def rows(embeddings, *, templates=2, alive=None):
    owners = (np.arange(len(embeddings)) // templates).astype(np.int32)
    return Rows(embeddings, owners, np.arange(1, len(embeddings) + 1), alive)


@pytest.mark.parametrize("width", [4, 128, 512])
@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4], ids=["faces", "alike", "nearly equal"])
def test_the_same_answers_as_in_full_precision(width, spread):
    """The closer the rows, the less float16 can tell them apart."""
    draws = np.random.default_rng(width)
    embeddings = directions(1, width=width) + spread * directions(4000, width=width, seed=1)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    alive = draws.random(4000) < 0.8
    base = rows(embeddings.astype(np.float32), alive=alive)
    other = Rows(directions(50, width=width, seed=2), np.arange(50, dtype=np.int32) + 10_000,
                 np.arange(50) + 10_000)  # fmt: skip
    made = HalfIndex(base)
    for query in [*directions(5, width=width, seed=3), base.embeddings[17]]:
        for others in ([], [other]):
            for count in (1, 5):
                (full,) = nearest([base, *others], query[None], count)
                assert made.nearest(base, others, query, count) == full


def test_most_searches_need_no_second_look(monkeypatch):
    base = rows(directions(20_000, width=128))
    made = HalfIndex(base)
    monkeypatch.setattr(half, "MOST", half.FIRST)
    sizes = []

    def measuring(parts, queries, count):
        sizes.append(sum(map(len, parts)))
        return nearest(parts, queries, count)

    monkeypatch.setattr(half, "nearest", measuring)
    for query in directions(50, width=128, seed=1):
        made.nearest(base, [], query, 5)
    assert max(sizes) < 1000
    assert len(sizes) == 50


def test_more_people_wanted_than_there_are():
    base = rows(directions(30, width=8), templates=30)
    assert len(HalfIndex(base).nearest(base, [], directions(1, width=8)[0], 5)) == 1


class TestHalf(StoreLaws):
    """The embedded engine with this search obeys the laws of every engine."""

    @pytest.fixture
    def store_url(self, tmp_path, monkeypatch):
        monkeypatch.setenv("FACEVERIFY_SEARCH", "half")
        monkeypatch.setattr(index, "LEAST", 10)
        return str(tmp_path / "gallery")

    def test_it_is_used(self, store_url, monkeypatch):
        with SqliteStore(store_url, create=True) as store:
            store.add(people(30), model=MODEL)
            assert store.stats().details["search"] == "half"
            monkeypatch.setattr(HalfIndex, "nearest", lambda *_: [])
            assert store.search(directions(1), 3, model=MODEL) == [[]]


def test_the_environment_decides(monkeypatch):
    monkeypatch.delenv("FACEVERIFY_SEARCH", raising=False)
    assert search_kind() is SearchKind.EXACT
    monkeypatch.setenv("FACEVERIFY_SEARCH", "half")
    assert search_kind() is SearchKind.HALF
    monkeypatch.setenv("FACEVERIFY_SEARCH", "fast")
    with pytest.raises(UsageError, match="fast"):
        search_kind()


def test_without_faiss_it_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(GalleryError, match="faiss-cpu"):
        HalfIndex(rows(directions(4)))
