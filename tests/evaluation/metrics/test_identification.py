"""Identification (1:N): rank-k and TPIR at FPIR."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.identification import identify

GRID = np.eye(6, dtype=np.float32)  # few directions: ties are the rule


@st.composite
def gallery(draw, least=1):
    size = draw(st.integers(least, 14))
    rows = GRID[draw(st.lists(st.integers(0, 5), min_size=size, max_size=size))]
    return rows, draw(st.lists(st.sampled_from("abcd"), min_size=size, max_size=size))


@settings(deadline=None)
@given(gallery(), gallery())
def test_identification_written_out(known, searched):
    (rows, names), (probes, people) = known, searched
    found = identify(rows, names, probes, people, failed_identities=["a", "z"])
    for index, (probe, person) in enumerate(zip(probes, people, strict=True)):
        nearest = {
            n: min(1 - probe @ r for r, m in zip(rows, names, strict=True) if m == n) for n in names
        }
        assert found.distance[index] == min(nearest.values())
        assert found.mated[index] == (person in nearest)
        rank = sum(d <= nearest[person] for d in nearest.values()) if person in nearest else 0
        assert found.rank[index] == rank
    assert found.failed_mated == ("a" in names)
    assert found.failed_mated + found.failed_unmated == 2
    rates = [found.rank_rate(k) for k in range(1, 6)]
    if rates[0] is not None:
        assert rates == sorted(rates)
        assert rates[-1] == found.mated.sum() / (found.mated.sum() + found.failed_mated)


def test_tpir_at_fpir():
    draws = np.random.default_rng(0)
    centres = draws.standard_normal((80, 32))
    probes = centres + 0.9 * draws.standard_normal((80, 32))
    strangers = draws.standard_normal((400, 32))
    found = identify(
        centres, np.arange(80).astype(str),
        np.vstack([probes, strangers]), [*np.arange(80).astype(str), *["x"] * 400],
        failed_identities=["x"] * 100 + ["3"],
    )  # fmt: skip
    for fpir in (0.5, 0.1, 0.02):
        best = 0.0
        for threshold in np.append(found.distance, 0):
            if np.sum(found.distance[~found.mated] <= threshold) / 500 <= fpir:
                hits = found.mated & (found.rank == 1) & (found.distance <= threshold)
                best = max(best, hits.sum() / 81)
        assert found.tpir_at_fpir(fpir) == pytest.approx(best)
    assert found.tpir_at_fpir(0.019) is None
    with pytest.raises(UsageError, match="gallery: found 0"):
        identify(np.empty((0, 3)), [], GRID, list("abcdef"))


def test_a_tie_at_the_limit_is_no_true_positive():
    # 20 strangers as far as the probe of b: to admit b is to admit them all.
    gallery, probes = (
        GRID[:2],
        np.vstack([GRID[:1], GRID[1:2] + GRID[2:3], [GRID[1] + GRID[3]] * 20]),
    )
    found = identify(gallery, ["a", "b"], probes, ["a", "b", *["x"] * 20])
    assert found.tpir_at_fpir(0.5) == 0.5
    assert found.tpir_at_fpir(1.0) == 1
