"""What is wrong with a set: made-up embeddings with known faults, every one found, and no other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceverify.errors import TrainingError
from faceverify.faces.alignment import KNOWN_CROPS
from faceverify.training.check.alignment import alignment_problems, offsets
from faceverify.training.check.files import name_problems
from faceverify.training.check.near_duplicates import (
    Seen,
    conflict_problems,
    evaluation_problems,
    measured_limits,
    nearest,
    outlier_problems,
    twin_problems,
    unit,
)
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.folders import PhotoFiles
from faceverify.training.data.writers.split import split_people

PEOPLE, IMAGES, SIZE = 30, 12, 64


def scattered(rng, centres, labels, spread=0.5):
    noise = rng.normal(size=(len(labels), SIZE)) / np.sqrt(SIZE)
    return unit(centres[labels] + spread * noise)


@pytest.fixture(scope="module")
def clean():
    """Thirty people with twelve images each, well apart."""
    rng = np.random.default_rng(0)
    centres = unit(rng.normal(size=(PEOPLE, SIZE)))
    labels = np.repeat(np.arange(PEOPLE), IMAGES)
    names = [f"{label}/{index}" for index, label in enumerate(labels)]
    rows = scattered(rng, centres, labels)
    return Seen(names, [f"p{n}" for n in range(PEOPLE)], labels, rows), centres


ALTERED = np.full(20, 0.01, np.float32)


def with_rows(seen, **changes):
    rows = seen.embeddings.copy()
    for place, row in changes.items():
        rows[int(place[1:])] = row
    return Seen(seen.names, seen.people, seen.labels, rows)


def test_a_clean_set_is_clean(clean):
    seen, _ = clean
    limits = measured_limits(seen, ALTERED)
    assert 0 < limits.twin < limits.person < limits.typical < limits.far < 1
    assert limits.photo == pytest.approx(0.01)
    for problems in (conflict_problems, twin_problems, outlier_problems):
        assert list(problems(seen, limits)) == []


def test_limits_compare_an_image_with_the_others_of_its_person():
    """Images at right angles to each other: each is 1 from the rest, and less from the whole."""
    rows = np.eye(36, dtype=np.float32)
    seen = Seen([""] * 36, [""] * 6, np.repeat(np.arange(6), 6), rows)
    limits = measured_limits(seen, ALTERED)
    assert limits.typical == limits.far == limits.twin == limits.person == 1


def test_an_image_under_the_wrong_person(clean):
    seen, _ = clean
    wrong = with_rows(seen, _5=unit(seen.embeddings[20:24].mean(axis=0, keepdims=True))[0])
    (found,) = outlier_problems(wrong, measured_limits(wrong, ALTERED))
    assert (found.where, found.other) == ("0/5", "p1")
    others = [wrong.embeddings[place] for place in range(12) if place != 5]
    mean = np.sum(others, axis=0) / np.linalg.norm(np.sum(others, axis=0))
    assert found.values["own"] == pytest.approx(1 - float(mean @ wrong.embeddings[5]), abs=1e-4)
    assert found.values["distance"] < found.values["own"]


def test_a_bad_image_is_not_one_of_somebody_else(clean):
    seen, _ = clean
    rng = np.random.default_rng(9)
    bad = with_rows(seen, _5=unit(rng.normal(size=(1, SIZE)))[0], _40=np.zeros(SIZE))
    assert list(outlier_problems(bad, measured_limits(bad, ALTERED))) == []


def test_a_photo_under_two_people_is_told_once(clean):
    seen, _ = clean
    twice = with_rows(seen, _100=seen.embeddings[3])
    (found,) = conflict_problems(twice, measured_limits(seen, ALTERED))
    assert {found.where, found.other} == {"0/3", "8/100"}
    same_person = with_rows(seen, _4=seen.embeddings[3])
    assert list(conflict_problems(same_person, measured_limits(seen, ALTERED))) == []


def test_two_names_for_one_person(clean):
    seen, centres = clean
    rng = np.random.default_rng(3)
    centres = centres.copy()
    centres[7] = centres[21]
    twins = Seen(seen.names, seen.people, seen.labels, scattered(rng, centres, seen.labels))
    (found,) = twin_problems(twins, measured_limits(twins, ALTERED))
    assert (found.where, found.other) == ("p7", "p21")
    # their images look like the other one, but like their own too
    assert list(outlier_problems(twins, measured_limits(twins, ALTERED))) == []


def test_who_is_also_in_an_evaluation(clean):
    seen, centres = clean
    rng = np.random.default_rng(4)
    others = unit(rng.normal(size=(50, SIZE)))
    others[11] = centres[6]
    labels = np.repeat(np.arange(50), 3)
    rows = scattered(rng, others, labels)
    rows[90] = unit(seen.embeddings[200:201] + 0.002)[0]  # a photo of the set, compressed anew
    names = [f"{label}/{index}" for index, label in enumerate(labels)]
    evaluated = Seen(names, [f"e{n}" for n in range(50)], labels, rows)
    found = list(evaluation_problems(seen, evaluated, measured_limits(seen, ALTERED), "lfw"))
    assert [(one.kind, one.where, one.other) for one in found] == [
        ("photo", seen.names[200], "30/90"), ("person", "p6", "e11"),
    ]  # fmt: skip


def test_too_few_to_tell(clean):
    seen, _ = clean
    few = Seen(seen.names[:40], seen.people, seen.labels[:40], seen.embeddings[:40])
    with pytest.raises(TrainingError, match="3 people have 6 images or more, which is too few"):
        measured_limits(few, ALTERED)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99), st.booleans())
def test_the_nearest_one_by_one(count, others, seed, labelled):
    rng = np.random.default_rng(seed)
    rows, targets = (unit(rng.normal(size=(n, 4))) for n in (count, others))
    labels, other_labels = rng.integers(0, 3, count), rng.integers(0, 3, others)
    kwargs = {"labels": labels, "other_labels": other_labels} if labelled else {}
    which, distance = nearest(rows, targets, **kwargs)
    for place in range(count):
        allowed = [
            (1 - float(rows[place] @ targets[other]), other)
            for other in range(others)
            if not labelled or labels[place] != other_labels[other]
        ]
        if allowed:
            assert distance[place] == pytest.approx(min(allowed)[0], abs=1e-5)
            assert which[place] == min(allowed)[1] or len(allowed) > 1
        else:
            assert distance[place] == np.inf


def test_the_nearest_in_blocks(monkeypatch):
    from faceverify.training.check import near_duplicates

    rng = np.random.default_rng(0)
    rows, others = unit(rng.normal(size=(50, 8))), unit(rng.normal(size=(30, 8)))
    whole = nearest(rows, others)
    monkeypatch.setattr(near_duplicates, "BLOCK", 7)
    blocks = nearest(rows, others)
    assert np.array_equal(whole[0], blocks[0])
    assert np.allclose(whole[1], blocks[1], atol=1e-6)


# Names


def people(*names):
    return FaceSet("x", "folders", PhotoFiles("x", []), np.zeros(0, np.int64), list(names))


@pytest.mark.parametrize(
    ("ours", "theirs", "alike"),
    [
        ("Ann_Smith", "Ann_Smith", True),
        ("pins_Ann Smith", "ann-smith", True),
        ("web_annsmith", "Ann_Smith", True),
        ("Élodie Noël", "élodie_noël", True),
        ("Joann_Smith", "Ann_Smith", False),
        ("Ann_Smithson", "Ann_Smith", False),
        ("Ann", "Ann", True),
        ("pins_ann", "Ann", False),
        ("0_7", "7", False),
        ("___", "...", False),
    ],
)
def test_names_that_are_one(ours, theirs, alike):
    found = list(name_problems(people("somebody", ours), [theirs, "Other_One"], "lfw"))
    assert [(one.where, one.other) for one in found] == ([(ours, theirs)] if alike else [])


# Alignment


TEMPLATE = np.array(KNOWN_CROPS["arcface-112"].points)
EYES = np.linalg.norm(TEMPLATE[1] - TEMPLATE[0])


def test_how_far_faces_lie():
    shift = TEMPLATE + np.array([0.3, 0.4]) * EYES
    shrunk = (TEMPLATE - TEMPLATE.mean(axis=0)) * 0.5 + TEMPLATE.mean(axis=0)
    radius = np.sqrt(((TEMPLATE - TEMPLATE.mean(axis=0)) ** 2).sum(axis=1).mean())
    found = offsets(
        [TEMPLATE, shift, None, shrunk, TEMPLATE * 2], TEMPLATE, [(1, 1)] * 4 + [(2, 2)]
    )
    assert np.allclose(found, [0, 0.5, 0.5 * radius / EYES, 0])


def test_a_face_of_its_own_shape_lies_where_it_should():
    wide = TEMPLATE.copy()
    wide[3:, 1] += 4  # a longer chin: no similarity makes that
    (off,) = offsets([wide], TEMPLATE, [(1, 1)])
    assert off < 0.1


def test_judging_a_sample():
    judge = {"source": "x", "template": "arcface-112"}
    assert alignment_problems(np.full(50, 0.06), 60, **judge) == []
    assert alignment_problems(np.zeros(0), 0, **judge) == []
    (far,) = alignment_problems(np.full(50, 0.3), 60, **judge)
    assert "30% of the distance between the eyes" in far.text
    (none,) = alignment_problems(np.full(20, 0.01), 60, **judge)
    assert "a face is found in 20 of 60 crops" in none.text


# Splitting


@given(st.integers(2, 60), st.integers(0, 5), st.data())
def test_a_split_is_a_partition(count, seed, data):
    names = [f"p{n}" for n in range(count)]
    held_out = data.draw(st.integers(1, count - 1))
    parts = split_people(names, held_out, seed=seed)
    assert len(parts.held_out) == held_out
    assert sorted(parts.train + parts.held_out) == sorted(names)
    assert split_people(names[::-1], held_out, seed=seed) == parts


def test_a_split_is_the_seeds_and_hardly_moves_when_people_come():
    names = [f"p{n}" for n in range(100)]
    held = set(split_people(names, 20).held_out)
    assert held != set(split_people(names, 20, seed=1).held_out)
    more = set(split_people([*names, "new"], 20).held_out)
    assert len(held - more) <= 1
