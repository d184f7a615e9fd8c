"""Search by counting bits: the nearest by brute force, by FAISS and by numpy alike."""

import numpy as np
import pytest

from faceverify.gallery.sqlite import binary_scan
from faceverify.gallery.sqlite.binary_scan import nearest_codes
from faceverify.matching.binary_templates import hamming_distance

GENERATOR = np.random.default_rng(3)
CODES = GENERATOR.integers(0, 256, (5000, 16), dtype=np.uint8)
QUERIES = GENERATOR.integers(0, 256, (7, 16), dtype=np.uint8)


@pytest.fixture(params=["faiss", "numpy"], autouse=True)
def engine(request, monkeypatch):
    if request.param == "faiss":
        pytest.importorskip("faiss")
    else:
        monkeypatch.setattr(binary_scan, "_faiss_scan", lambda: None)


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("count", [1, 10, 5000, 9000])
def test_the_nearest_are_found(monkeypatch, count, parts):
    monkeypatch.setattr(binary_scan, "LEAST_PART", 5001 if parts == 1 else 1500)
    monkeypatch.setattr(binary_scan, "default_workers", lambda: 3)
    rows, bits = nearest_codes(QUERIES, CODES, count)
    assert rows.shape == bits.shape == (7, min(count, 5000))
    every = hamming_distance(QUERIES[:, None], CODES)
    assert np.array_equal(bits, np.sort(every, 1)[:, :count])
    assert np.array_equal(np.take_along_axis(every, rows, 1), bits)
    assert all(len(set(row)) == len(row) for row in rows.tolist())


def test_an_empty_gallery_has_no_nearest():
    rows, bits = nearest_codes(QUERIES, CODES[:0], 5)
    assert rows.shape == bits.shape == (7, 0)


def test_its_own_code_is_the_nearest():
    rows, bits = nearest_codes(CODES[40:50], CODES, 1)
    assert rows[:, 0].tolist() == list(range(40, 50))
    assert not bits.any()
