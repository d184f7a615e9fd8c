"""Votes of the nearest neighbours, written out, and scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from faceverify.choices import Distance
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.metrics.nearest_neighbours import votes_won

GRID = np.eye(5, dtype=np.float32)  # few directions: ties are the rule
T = 0.07


def cloud(photos=120, people=8, size=12, seed=0):
    draws = np.random.default_rng(seed)
    code = np.arange(photos) % people
    return unit_rows(draws.standard_normal((people, size))[code] + 1.4 * draws.standard_normal(
        (photos, size)
    )), code  # fmt: skip


def written_out(query, own, rows, codes, k):
    """Whether a query's person has the most votes; of equally far photos, others are first."""
    cosine = rows.astype(float) @ query
    order = sorted(
        range(len(rows)), key=lambda i: (-round(cosine[i], 6), codes[i] == own, codes[i])
    )
    votes = {}
    for i in order[:k]:
        votes[codes[i]] = votes.get(codes[i], 0) + np.exp((cosine[i] - 1) / T)
    mine = votes.pop(own, 0)
    return mine > (1 + 1e-9) * max(votes.values(), default=0)


@pytest.mark.parametrize("k", [1, 3, 10, 20])
def test_scikit_learn_says_the_same(k):
    rows, code = cloud()
    known, asked = slice(0, 80), slice(80, None)

    def weights(distances):
        return np.exp((1 - distances) / T)

    judge = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=weights)
    expected = judge.fit(rows[known], code[known]).predict(rows[asked]) == code[asked]
    (won,) = votes_won(rows[asked], code[asked], rows[known], code[known], ks=(k,))
    assert won.tolist() == expected.tolist()
    assert 0 < won.mean() < 1


@pytest.mark.thorough(but=("manhattan", "cosine"))
@pytest.mark.parametrize("distance", Distance)
def test_each_leaves_itself_out(distance):
    rows, code = cloud()
    own = np.arange(len(rows))
    found = votes_won(rows, code, rows, code, ks=(1, 7), own=own, distance=distance)
    metric = "manhattan" if distance is Distance.MANHATTAN else "cosine"
    for index in own:
        rest = own != index
        judge = KNeighborsClassifier(1, metric=metric, algorithm="brute").fit(
            rows[rest], code[rest]
        )
        assert found[0, index] == (judge.predict(rows[index : index + 1])[0] == code[index])
        if metric == "cosine":
            assert found[1, index] == written_out(
                rows[index], code[index], rows[rest], code[rest], 7
            )


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=2, max_size=12),
    st.integers(1, 11),
)
def test_ties_are_lost(photos, k):
    rows, code = GRID[[where for where, _ in photos]], np.array([who for _, who in photos])
    k = min(k, len(photos) - 1)
    found = votes_won(rows, code, rows, code, ks=(k,), own=np.arange(len(rows)))[0]
    for index in range(len(rows)):
        rest = np.arange(len(rows)) != index
        assert found[index] == written_out(rows[index], code[index], rows[rest], code[rest], k)


def test_no_query():
    rows, code = cloud(10)
    assert votes_won(rows[:0], code[:0], rows, code, ks=(1, 2)).shape == (2, 0)
