import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceverify.errors import ModelError, UsageError
from faceverify.evaluation.metrics import all_against_all as module
from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.metrics.error_rates import FMR_TARGETS, auc, eer, rates_at_fmr
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.metrics.scores import count_scores


def faces(people, each, size=64, noise=1.5, seed=0):
    draws = np.random.default_rng(seed)
    code = np.repeat(np.arange(people), each)
    centres = draws.standard_normal((people, size))
    rows = centres[code] + noise * draws.standard_normal((len(code), size))
    order = draws.permutation(len(code))
    return rows[order].astype(np.float32), code[order].astype(str)


def every_pair(embeddings, identities):
    """The full list of float64 distances: the oracle."""
    rows = unit_rows(embeddings).astype(np.float64)
    first, second = np.triu_indices(len(rows), 1)
    distances = (1 - rows @ rows.T)[first, second]
    return np.clip(distances, 0, 2), identities[first] == identities[second]


def assert_equal_rates(counts, oracle):
    assert (counts.genuines, counts.impostors) == (oracle.genuines, oracle.impostors)
    assert auc(counts) == pytest.approx(auc(oracle), abs=1e-6)
    assert eer(counts).rate == pytest.approx(eer(oracle).rate, abs=1e-6)
    for target in FMR_TARGETS:
        one, other = rates_at_fmr(counts, target), rates_at_fmr(oracle, target)
        assert (one is None) == (other is None)
        if one is not None:
            step = 1.01 / counts.impostors  # at least one comparison may change sides
            assert one.fmr == pytest.approx(other.fmr, abs=max(1e-6, step))
            assert one.tmr == pytest.approx(other.tmr, abs=max(1e-6, 1.01 / counts.genuines))


@pytest.mark.parametrize(("rows", "columns"), [(1024, 4096), (64, 256), (7, 11), (50, 50)])
def test_blocks_give_the_rates_of_the_full_list(monkeypatch, rows, columns):
    monkeypatch.setattr(module, "ROWS", rows)
    monkeypatch.setattr(module, "COLUMNS", columns)
    embeddings, identities = faces(40, 12)
    counts = all_against_all(embeddings, identities)
    assert_equal_rates(counts, count_scores(*every_pair(embeddings, identities)))


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.lists(st.sampled_from("abcde"))
)
def test_every_comparison_is_counted_once(present, failed):
    counts = all_against_all(np.eye(len(present), 13) + 0.1, present, failed_identities=failed)
    everyone = present + failed
    pairs = [(a, b) for i, a in enumerate(everyone) for b in everyone[i + 1 :]]
    assert counts.genuines == sum(a == b for a, b in pairs)
    assert counts.impostors == sum(a != b for a, b in pairs)
    assert counts.genuine.sum() + counts.impostor.sum() == len(present) * (len(present) - 1) // 2


def test_rounding_past_a_pole_stays_at_it():
    rows = np.random.default_rng(0).standard_normal((50, 512))
    counts = all_against_all(np.repeat(rows, 2, axis=0), np.repeat(np.arange(50), 2).astype(str))
    assert counts.distances[counts.genuine > 0].max() < 1e-6
    assert counts.distances[0] == 0


def test_the_poles():
    counts = all_against_all(np.array([[1.0, 0], [3, 0], [-2, 0]]), ["a", "a", "b"])
    assert counts.distances.tolist() == [0, 2]
    assert (counts.genuine.tolist(), counts.impostor.tolist()) == ([1, 0], [0, 2])


def test_embeddings_that_cannot_be_compared():
    with pytest.raises(ModelError, match="a zero embedding in row 1"):
        all_against_all(np.array([[1.0, 0], [0, 0]]), ["a", "b"])
    with pytest.raises(UsageError, match="found 1 for 2"):
        all_against_all(np.eye(2), ["a"])


@pytest.mark.slow
def test_ten_million_comparisons_against_a_full_sort():
    embeddings, identities = faces(450, 10, size=512)
    counts = all_against_all(embeddings, identities)
    assert counts.genuines + counts.impostors > 10_000_000
    assert_equal_rates(counts, count_scores(*every_pair(embeddings, identities)))
