"""Embeddings equal the stored ones, or EMBEDDING_VERSION has been raised.

Rounding moves none by more than 4e-6: so much noise of 1e-5 on all outputs of the networks does.
Releases of libjpeg-turbo decode some photos differently; a single photo may then give a slightly
different embedding, and the others the same one. A change in the code moves all photos that it
concerns.
"""

import numpy as np
import pytest
from golden_embeddings import CLOSE, STORED, WAYS, embeddings

from faceverify.embeddings import compute

SAME = 1e-5  # cosine distance
NEAR = 0.02  # the most that another decoder may make; another face is farther than 0.08
CURE = (
    "raise EMBEDDING_VERSION in faceverify/embeddings/compute.py if that is meant, and store the "
    "embeddings of now: python tests/golden_embeddings.py"
)


def complaints(stored, found):
    """What tells that embeddings are made in another way than those stored were."""
    missing = sorted(stored.keys() ^ found.keys())
    if missing:
        return [f"other photos: {missing}"]
    distance = {
        key: 1 - float(row.astype(float) @ found[key].astype(float)) for key, row in stored.items()
    }
    said = [f"{key}: distance {far:.4f}" for key, far in distance.items() if far > NEAR]
    for way in WAYS:
        moved = min(distance[f"{way}/{name}"] for name in CLOSE)
        if moved > SAME:
            said.append(f"{way}: photos have moved by {moved:.2g}")
    middle = float(np.median(list(distance.values())))
    return [*said, f"half of all have moved by {middle:.2g}"] if middle > SAME else said


def arrays(path):
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="module")
def found(once):
    made = once("embeddings", lambda folder: np.savez(folder / "now.npz", **embeddings()))
    return arrays(made / "now.npz")


@pytest.fixture(scope="module")
def stored():
    return arrays(STORED)


@pytest.mark.thorough
def test_embeddings_change_only_with_their_version(stored, found):
    version = int(stored["version"])
    assert version == compute.EMBEDDING_VERSION, f"EMBEDDING_VERSION was raised; {CURE}"
    rows = {key: row for key, row in stored.items() if key != "version"}
    assert not complaints(rows, found), CURE


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda key: key.startswith("close/"), "close: photos have moved"),
        (lambda key: key.startswith("aligned/"), "aligned: photos have moved"),
        (lambda key: not key.endswith("/obama"), "half of all have moved"),
    ],
)
def test_what_changes_is_noticed(found, changed, message):
    def moved(row):
        other = row + 0.02 * np.roll(row, 1)  # a distance of 0.0002
        return other / np.linalg.norm(other)

    mutant = {key: moved(row) if changed(key) else row for key, row in found.items()}
    assert any(one.startswith(message) for one in complaints(found, mutant))
    assert not complaints(found, found)


def test_another_face_is_noticed(found):
    mutant = {**found, "bystander/obama": found["bystander/biden"]}
    assert any("bystander/obama: distance" in one for one in complaints(found, mutant))


def test_the_version_is_part_of_what_a_cache_is_keyed_by(monkeypatch):
    before = compute.made_by()
    monkeypatch.setattr(compute, "EMBEDDING_VERSION", 10**6)
    compute.made_by.cache_clear()
    try:
        assert compute.made_by() != before
    finally:
        compute.made_by.cache_clear()
