"""Groups of faces: the right ones where people are far apart, whatever the order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceverify.choices import GroupingMethod
from faceverify.errors import UsageError
from faceverify.gallery import cluster
from faceverify.gallery.cluster import find_doubles, group_faces
from faceverify.gallery.open import open_store
from faceverify.gallery.store import Enrolment

METHODS = list(GroupingMethod)


def faces(sizes, *, seed=0, spread=0.05):
    """Unit rows: so many of each person, close to a centre of the person's own."""
    generator = np.random.default_rng(seed)
    people = np.repeat(np.arange(len(sizes)), sizes)
    centres = np.linalg.qr(generator.standard_normal((64, 64)))[0][: len(sizes)]
    rows = centres[people] + spread * generator.standard_normal((len(people), 64)) / 8
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), people


@pytest.mark.parametrize("method", METHODS)
def test_people_far_apart_are_told_apart(method):
    rows, people = faces([3, 9, 5])
    groups = group_faces(rows, 0.1, method=method)
    # the largest group is 0, the next 1
    assert groups.tolist() == [{1: 0, 2: 1, 0: 2}[person] for person in people]


@pytest.mark.parametrize("method", METHODS)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_photos_changes_nothing(method, random):
    rows, people = faces([2, 4, 6, 3])
    order = list(range(len(rows)))
    random.shuffle(order)
    groups = group_faces(rows[order], 0.1, method=method)
    together = groups[:, None] == groups
    assert np.array_equal(together, people[order][:, None] == people[order])


@pytest.mark.parametrize("method", METHODS)
def test_faces_that_belong_to_nobody_stay_alone(method):
    rows, _ = faces([4, 4, 1, 1, 1])
    groups = group_faces(rows, 0.1, method=method)
    assert sorted(np.bincount(groups).tolist()) == [1, 1, 1, 4, 4]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [0, 1])
def test_nobody_and_one_face(method, count):
    rows, _ = faces([1])
    assert group_faces(rows[:count], 0.1, method=method).tolist() == [0] * count


def test_the_mean_distance_decides_not_a_chain():
    """Faces a, b, c in a row, each near the next: a and c are two people."""
    angles = np.array([0.0, 0.4, 0.8, 1.2, 1.6])
    rows = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    groups = group_faces(rows, 1 - np.cos(0.45))
    assert len(set(groups.tolist())) > 1


def test_too_many_faces_for_linkage_are_refused(monkeypatch):
    monkeypatch.setattr(cluster, "MOST_FACES", 5)
    rows, _ = faces([3, 3])
    with pytest.raises(UsageError, match="use --method hdbscan"):
        group_faces(rows, 0.1)
    assert len(group_faces(rows, 0.1, method=GroupingMethod.HDBSCAN)) == 6


def test_doubles_are_found_once_each(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "BATCH", 4)
    rows, people = faces([3, 3, 3])
    names = np.array(["ann", "bob", "cid"])[people].tolist()
    names[4] = "bert"  # one of bob's photos, under another name
    names[8] = "ann"  # one of cid's
    with open_store(str(tmp_path / "gallery"), create=True) as store:
        enrolments = [
            Enrolment(name, row, f"{i}.jpg", bytes([i]) * 32, 0.9)
            for i, (name, row) in enumerate(zip(names, rows, strict=True))
        ]
        store.add(enrolments, model="m" * 16)
        found = list(find_doubles(store, "m" * 16, 0.1))
        assert sorted((one.first, one.second) for one in found) == [("ann", "cid"), ("bert", "bob")]
        assert all(one.distance <= 0.1 for one in found)
        assert not list(find_doubles(store, "m" * 16, 1e-9))
        assert not list(find_doubles(store, "n" * 16, 0.1))
