"""A distance is the same whatever the order of summation, the block and the processor."""

import json
import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from faceverify.errors import ModelError
from faceverify.evaluation.metrics.exact_distances import (
    STEPS,
    distance_steps,
    exact_rows,
    unit_rows,
)

SIZES = (1, 8, 128, 512)


def faces(count=300, size=512, seed=0):
    return np.random.default_rng(seed).standard_normal((count, size))


@pytest.mark.parametrize("size", SIZES)
def test_products_are_those_of_whole_numbers(size):
    """Integers are never rounded: (2^26 a) (2^26 b) summed in int64 is the oracle."""
    rows = exact_rows(faces(size=size))
    whole = np.rint(rows * 2**26).astype(np.int64)
    assert np.array_equal(whole / 2**26, rows)
    assert np.array_equal((whole @ whole.T).astype(np.float64), (rows @ rows.T) * 2.0**52)
    assert np.all(np.abs(whole) @ np.abs(whole.T) < 2**53)  # no sum on the way is rounded either


@pytest.mark.parametrize("size", SIZES)
def test_they_are_the_embeddings_to_what_float32_holds(size):
    embeddings = faces(size=size)
    wide = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    steps = distance_steps(exact_rows(embeddings), exact_rows(embeddings))
    assert np.max(np.abs(steps / STEPS - (1 - wide @ wide.T))) < 2e-7


def test_neither_the_order_of_dimensions_nor_the_block_matters():
    rows = exact_rows(faces())
    steps = distance_steps(rows, rows)
    assert np.array_equal(steps, steps.T)
    shuffled = rows[:, np.random.default_rng(1).permutation(512)]
    assert np.array_equal(steps, distance_steps(shuffled, shuffled))
    for height in (1, 7, 64):
        blocks = [distance_steps(rows[i : i + height], rows) for i in range(0, 300, height)]
        assert np.array_equal(steps, np.concatenate(blocks))
    room = np.empty(300 * 300)
    assert np.array_equal(steps, distance_steps(rows, rows, room))


def test_poles():
    rows = exact_rows(np.array([[3.0, 0], [-2, 0], [0, 1]]))
    assert distance_steps(rows, rows).tolist() == [
        [0, 2 * STEPS, STEPS],
        [2 * STEPS, 0, STEPS],
        [STEPS, STEPS, 0],
    ]
    many = exact_rows(np.repeat(faces(50), 2, axis=0))
    assert np.all(np.diagonal(distance_steps(many[::2], many[1::2])) <= 1)


@pytest.mark.parametrize("size", [0, 3])
def test_no_photo_has_no_distance(size):
    rows = exact_rows(np.zeros((0, 8)))
    assert distance_steps(rows, exact_rows(np.ones((size, 8)))).shape == (0, size)


@pytest.mark.parametrize(
    ("row", "found"),
    [([0, 0], "a zero embedding in row 1"), ([np.nan, 1], "NaN or infinity in row 1")],
)
def test_embeddings_that_are_none(row, found):
    for make in (unit_rows, exact_rows):
        with pytest.raises(ModelError, match=found):
            make(np.array([[1.0, 0], row]))


FIGURES = """
import json
import numpy as np
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.protocols import PROTOCOLS
from faceverify.evaluation.protocols.protocol import EmbeddedPhotos, Settings
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.metrics.identification import identify
from faceverify.matching.operating_point import OperatingPoint
from faceverify.evaluation.protocols.worst import worst_of_all
from faceverify.evaluation.metrics.retrieval import retrieval

draws = np.random.default_rng(0)
owner = np.sort(np.concatenate([np.arange(220), draws.integers(220, size=180)]))
rows = draws.standard_normal((220, 128))[owner] + 1.5 * draws.standard_normal((400, 128))
rows, names = unit_rows(rows), [f"p{code:03d}" for code in owner]
counts = all_against_all(rows, names)
point = OperatingPoint(float(counts.distances[1000]), "m", "id")
everybody = np.ones(400, bool)
photos = EmbeddedPhotos(rows, everybody, "m", "id", point)
nowhere = np.zeros(0, np.int64)
pairs = Benchmark("f", "all", [], [], None, nowhere, nowhere, names)
found = identify(rows[::2], names[::2], rows[1::2], names[1::2])
print(json.dumps({
    "all": PROTOCOLS["all"].evaluate(pairs, photos, Settings(replicates=100)).evaluation.as_dict(),
    "counts": [int(np.bitwise_xor.reduce(np.rint(counts.distances * 2**23).astype(np.int64)))],
    "retrieval": repr(retrieval(rows, names)),
    "search": [found.rank.tolist(), found.distance.tolist()],
    "worst": repr(worst_of_all(rows, everybody, names)),
    "float32": float((rows[:64] @ rows.T).astype(np.float64).sum()),
}))
"""


def figures(tmp_path, **variables):
    script = tmp_path / "figures.py"
    script.write_text(FIGURES)
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    environment.pop("OPENBLAS_CORETYPE", None)  # of make test-portable
    environment |= variables
    out = subprocess.run(
        [sys.executable, script], env=environment, stdout=subprocess.PIPE, check=True
    ).stdout
    return json.loads(out)


@pytest.mark.thorough
def test_another_processor_gives_the_same_figures_bit_for_bit(tmp_path):
    """As processors of 2011 and of 2008: other BLAS kernels, other loops of numpy."""
    build = np.show_config(mode="dicts")
    newer = " ".join(build["SIMD Extensions"].get("found", []))
    here = figures(tmp_path)
    products = {here.pop("float32")}
    for kernels in ("Sandybridge", "Nehalem"):
        there = figures(tmp_path, OPENBLAS_CORETYPE=kernels, NPY_DISABLE_CPU_FEATURES=newer)
        products.add(there.pop("float32"))
        assert there == here
    kinds = build["Build Dependencies"]["blas"]["name"], platform.machine()
    if "openblas" in kinds[0] and kinds[1] in ("x86_64", "AMD64"):
        assert len(products) > 1  # else the variables do nothing, and the test shows nothing
