"""Exact search against a full sort of all distances, for any blocks, parts and threads."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceverify.gallery.sqlite import nearest
from faceverify.gallery.sqlite.nearest import Found, Rows
from faceverify.matching.distance import cosine_distance


def unit(count, width, seed):
    rows = np.random.default_rng(seed).standard_normal((count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slowly(parts, query, count):
    """Every distance, sorted, the first of each person."""
    listed = []
    for part in parts:
        distances = cosine_distance(part.embeddings, query)
        columns = zip(distances.tolist(), part.sequences.tolist(), part.identities.tolist(),
                      strict=True)  # fmt: skip
        listed += [row for i, row in enumerate(columns) if part.alive is None or part.alive[i]]
    people = {}
    for distance, sequence, person in sorted(listed):
        people.setdefault(person, Found(person, distance, sequence))
    return list(people.values())[:count]


def rows(count, width, seed, *, people, first=1, alike=False, masked=False):
    draws = np.random.default_rng(seed + 1)
    embeddings = unit(count, width, seed)
    if alike and count:  # many rows that differ by roundings only, or not at all
        embeddings = embeddings[draws.integers(0, min(3, count), count)]
    return Rows(
        embeddings,
        draws.integers(0, people, count).astype(np.int32),
        np.arange(first, first + count, dtype=np.int64),
        draws.random(count) < 0.6 if masked else None,
    )


@settings(max_examples=150)
@given(
    sizes=st.lists(st.integers(0, 400), min_size=0, max_size=3),
    width=st.integers(1, 40),
    queries=st.integers(0, 5),
    people=st.sampled_from([1, 3, 50, 10_000]),
    count=st.integers(1, 30),
    threads=st.integers(1, 4),
    alike=st.booleans(),
    masked=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_nearest_is_the_head_of_the_sorted_list(
    sizes, width, queries, people, count, threads, alike, masked, seed
):
    before = nearest.BLOCK
    nearest.BLOCK = 700  # some rows a block
    try:
        parts = [
            rows(size, width, seed + i, people=people, first=1 + 1000 * i, alike=alike,
                 masked=masked)
            for i, size in enumerate(sizes)
        ]  # fmt: skip
        asked = unit(queries, width, seed + 99)
        if alike and sizes and sizes[0] and queries:
            asked[0] = parts[0].embeddings[0]
        found = nearest.nearest(parts, asked, count, threads=threads)
        assert found == [slowly(parts, query, count) for query in asked]
    finally:
        nearest.BLOCK = before


def test_equal_distances_are_ordered_by_number():
    row = unit(1, 128, 0)
    owners = np.arange(6000, dtype=np.int32)[::-1].copy()
    whole = Rows(np.repeat(row, 6000, 0), owners, np.arange(1, 6001))
    first, second = (
        Rows(*(column[half] for column in whole.columns)) for half in np.split(np.arange(6000), 2)
    )
    for parts in ([whole], [second, first]):
        (found,) = nearest.nearest(parts, row, 4)
        assert [one.sequence for one in found] == [1, 2, 3, 4]


def test_rounding_in_float32_decides_nothing():
    """Rows that differ in the last bits: their order in float32 depends on how sums are taken."""
    draws = np.random.default_rng(0)
    base = unit(1, 512, 1)[0]
    near = base + draws.standard_normal((8_000, 512)) * 1e-7
    near = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)
    part = Rows(near, np.arange(8_000, dtype=np.int32), np.arange(8_000))
    for query in (base, unit(1, 512, 2)[0]):
        for many in (1, 2):
            found = nearest.nearest([part], np.stack([query] * many), 10)
            assert found == [slowly([part], query, 10)] * many


@pytest.mark.thorough
def test_a_large_matrix_on_many_threads():
    part = rows(60_000, 64, 5, people=20_000)
    asked = unit(3, 64, 8)
    expected = [slowly([part], query, 5) for query in asked]
    for threads in (1, 2, 5):
        assert [
            nearest.nearest([part], query[None], 5, threads=threads)[0] for query in asked
        ] == expected
    assert nearest.nearest([part], asked, 5) == expected


def test_an_error_in_a_thread_is_not_lost():
    """A block that was not searched must not become an answer."""

    here, started = threading.current_thread(), threading.Event()

    class Breaking(np.ndarray):
        def __getitem__(self, item):
            if threading.current_thread() is not here:
                started.set()
                raise OSError("unreadable")
            assert started.wait(10)  # leave it a block
            return np.asarray(self)[item]

    part = rows(50_000, 64, 5, people=100)
    broken = Rows(part.embeddings.view(Breaking), part.identities, part.sequences)
    with pytest.raises(OSError, match="unreadable"):
        nearest.nearest([broken], unit(1, 64, 1), 5, threads=2)


def test_people_are_picked():
    part = rows(500, 8, 3, people=20, masked=True)
    chosen = np.array([3, 7, 99], np.int32)
    (query,) = unit(1, 8, 4)
    expected = [one for one in slowly([part], query, 500) if one.identity in chosen]
    assert nearest.nearest([part.of(chosen)], query[None], 50) == [expected]
