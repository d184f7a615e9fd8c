"""Movement of embeddings and ranks, one photo at a time; yaw of heads."""

import math
import os

import numpy as np
import pytest

from faceverify.evaluation.degradation import DEGRADATIONS
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.robustness.invariance import FACTORS, TITLES, moved_estimate
from faceverify.evaluation.robustness.movement import Movement, movement
from faceverify.evaluation.robustness.yaw import movements_by_yaw, tracks_of, yaw_of

NAMES = ["ann", "bob", "ann", "cy", "bob", "dan", "ann"]


def rows_of(count, seed, size=5):
    return unit_rows(np.random.default_rng(seed).standard_normal((count, size)))


@pytest.mark.parametrize("hidden", [True, False])
def test_each_photo_written_out(hidden):
    references, changed = rows_of(7, 0), rows_of(7, 1)
    own, made = np.arange(7), np.arange(7) != 4
    found = movement(changed, made, own, references, NAMES, hidden=hidden)
    for i in range(7):
        distances = 1 - references.astype(float) @ changed[i]
        alone = hidden and NAMES.count(NAMES[i]) == 1
        assert found.ranked[i] == (not alone)
        if i == 4:
            assert math.isnan(found.moved[i])
            assert found.rank[i] == 0
            continue
        assert found.moved[i] == pytest.approx(distances[i], abs=1e-6)
        near = {
            name: min(
                distances[j] for j in range(7) if NAMES[j] == name and not (hidden and i == j)
            )
            for name in set(NAMES) - ({NAMES[i]} if alone else set())
        }
        expected = 0 if alone else sum(one <= near[NAMES[i]] for one in near.values())
        assert found.rank[i] == expected


def test_untouched_photos_have_not_moved_and_ties_count_against():
    rows = rows_of(7, 0)
    found = movement(rows, np.ones(7, bool), np.arange(7), rows, NAMES, hidden=True)
    assert found.moved == pytest.approx(0, abs=1e-6)
    alike = movement(
        np.ones((7, 3)), np.ones(7, bool), np.arange(7), np.ones((7, 3)), NAMES, hidden=False
    )
    assert alike.rank.tolist() == [4] * 7  # four people, all equally near


def test_nothing_to_move():
    rows, no = rows_of(7, 0), np.zeros(0, np.int64)
    found = movement(rows[:0], no.astype(bool), no, rows, NAMES, hidden=False)
    estimate = moved_estimate("x", found, replicates=10)
    assert (estimate.value, estimate.detail) == (None, "no photo")


def test_a_photo_without_a_face_has_not_moved_and_is_not_found():
    moved = np.array([0.1, 0.3, np.nan, 0.2])
    made = Movement(list("aabb"), moved, np.ones(4, bool), np.array([1, 2, 0, 1]))
    found = moved_estimate("x", made, replicates=10)
    assert found.value == pytest.approx(0.2)
    assert found.extra["rank_1"]["value"] == 0.5
    assert found.extra["mean_rank"] == pytest.approx(4 / 3)
    assert found.extra["decided"] == 0.75
    nothing = Movement(list("ab"), np.full(2, np.nan), np.ones(2, bool), np.zeros(2, np.int64))
    assert moved_estimate("x", nothing, replicates=10).detail == "no photo with a face"


def test_every_factor_names_kinds_that_there_are():
    assert {kind for kinds in FACTORS.values() for kind in kinds} <= set(DEGRADATIONS)
    assert list(FACTORS) == list(TITLES)


# Yaw


def head(yaw, roll=0.0, scale=40.0):
    """Five points of a head, seen from afar: its nose is half an eye distance before its eyes."""
    points = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.6, 0.5], [-0.4, 1.1, 0], [0.4, 1.1, 0]])
    turn, tilt = math.radians(yaw), math.radians(roll)
    x = points[:, 0] * math.cos(turn) + points[:, 2] * math.sin(turn)
    seen = np.stack([x, points[:, 1]], axis=1) * scale
    rotation = [[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]]
    return seen @ np.array(rotation).T + (100, 80)


@pytest.mark.parametrize("yaw", [-60, -20, 0, 10, 45])
def test_yaw_of_a_head_without_roll(yaw):
    assert yaw_of(head(yaw)) == pytest.approx(yaw, abs=1e-6)
    assert yaw_of(head(yaw, scale=7)) == pytest.approx(yaw, abs=1e-6)


def test_yaw_of_both_eyes_in_one_place():
    assert math.isfinite(yaw_of(np.zeros((5, 2))))


def test_photos_are_compared_with_the_most_frontal_one_of_their_track():
    yaw = np.array([-40, 3, 20, np.nan, 1, 50, -5, 30, 28])
    names = ["ann"] * 4 + ["bob"] * 3 + ["cy"] * 2
    rows = rows_of(9, 3)
    found = movements_by_yaw(rows, yaw, names, names)
    assert list(found) == ["yaw 0 to 15", "yaw 15 to 30", "yaw 30 to 45", "yaw 45 or more"]
    counts = {name: one.identities for name, one in found.items()}
    assert list(counts.values()) == [["bob"], ["ann"], ["ann"], ["bob"]]  # cy is never frontal
    distance = 1 - rows[1].astype(float) @ rows[0]
    assert found["yaw 30 to 45"].moved == pytest.approx([distance], abs=1e-6)
    nearer = 1 - rows[4].astype(float) @ rows[0] <= distance
    assert found["yaw 30 to 45"].rank.tolist() == [1 + int(nearer)]
    # two tracks of ann: each has its own reference, and either of them finds her
    tracks = ["1", "1", "2", "2", *names[4:]]
    by_track = movements_by_yaw(rows, np.where(yaw == 20, 2, yaw), names, tracks)
    assert by_track["yaw 15 to 30"].identities == []
    assert by_track["yaw 30 to 45"].identities == ["ann"]


def test_tracks_are_folders_of_a_persons_folder():
    files = [os.path.join("x", *one) for one in (("ann", "1.jpg"), ("ann", "a", "1.jpg"))]
    nowhere = np.zeros(0, np.int64)
    benchmark = Benchmark("x", "all", files, files, None, nowhere, nowhere, ["ann", "ann"])
    assert tracks_of(benchmark) == ["ann", os.path.join("x", "ann", "a")]
