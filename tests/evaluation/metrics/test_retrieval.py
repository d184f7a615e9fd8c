"""Recall@k, mAP and NMI."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from faceverify.choices import Distance
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.metrics.retrieval import cluster_agreement, retrieval

GRID = np.eye(6, dtype=np.float32)  # few directions: ties are the rule


@st.composite
def gallery(draw, least=1):
    size = draw(st.integers(least, 14))
    rows = GRID[draw(st.lists(st.integers(0, 5), min_size=size, max_size=size))]
    return rows, draw(st.lists(st.sampled_from("abcd"), min_size=size, max_size=size))


@given(gallery())
def test_retrieval_written_out(faces):
    rows, names = faces
    found = retrieval(rows, names)
    queries, precisions, ranks, at_r, precise = [], [], [], [], []
    for query, name in enumerate(names):
        others = [i for i in range(len(names)) if i != query]
        own = np.array([names[i] == name for i in others], bool)
        if not own.any():
            continue
        queries.append(query)
        distances = np.array([1 - rows[query] @ rows[i] for i in others])
        precisions.append(average_precision_score(own, -distances))
        ranks.append(1 + np.sum(distances[~own] <= distances[own].min()))
        # of equally far photos, other people's first; average_precision_score takes them together
        order = np.lexsort((own, distances))
        hits = own[order]
        tied = [hits[distances[order] <= distances[order][i]].sum() for i in range(len(hits))]
        size = [np.sum(distances <= distances[order][i]) for i in range(len(hits))]
        count = int(own.sum())
        inside = [hits[i] and size[i] <= count for i in range(len(hits))]
        precise.append(sum(inside) / count)
        at_r.append(sum(t / s for t, s, one in zip(tied, size, inside, strict=True) if one) / count)
    assert found.query.tolist() == queries
    assert found.average_precision == pytest.approx(precisions)
    assert found.rank.tolist() == ranks
    assert found.r_precision == pytest.approx(precise)
    assert found.average_precision_at_r == pytest.approx(at_r)


def test_manhattan_ranks_by_the_sum_of_differences():
    rows = unit_rows(np.random.default_rng(0).standard_normal((30, 9)))
    names = [f"p{i % 6}" for i in range(30)]
    found = retrieval(rows, names, distance=Distance.MANHATTAN)
    for query, rank in zip(found.query, found.rank, strict=True):
        apart = np.abs(rows - rows[query]).sum(axis=1)
        apart[query] = np.inf
        own = np.array(names) == names[query]
        assert rank == 1 + np.sum(apart[~own] <= apart[own].min())
    cosine, euclidean = (retrieval(rows, names, distance=one) for one in ("cosine", "euclidean"))
    assert cosine.rank.tolist() == euclidean.rank.tolist() != found.rank.tolist()


def test_clusters():
    names = list("aaabbbccc")
    rows = GRID[[0, 0, 0, 1, 1, 1, 2, 2, 2]]
    assert cluster_agreement(rows, names) == pytest.approx(1)
    assert cluster_agreement(rows, ["a"] * 9) is None
