"""Recall@k, mAP and NMI."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

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
    found = retrieval(rows, names, ks=(1, 3))
    precisions, ranks = [], []
    for query, name in enumerate(names):
        others = [i for i in range(len(names)) if i != query]
        own = np.array([names[i] == name for i in others], bool)
        if not own.any():
            continue
        distances = np.array([1 - rows[query] @ rows[i] for i in others])
        precisions.append(average_precision_score(own, -distances))
        ranks.append(1 + np.sum(distances[~own] <= distances[own].min()))
    assert (found.queries, found.alone) == (len(ranks), len(names) - len(ranks))
    if ranks:
        assert found.mean_average_precision == pytest.approx(np.mean(precisions))
        assert found.recall == {k: pytest.approx(np.mean(np.array(ranks) <= k)) for k in (1, 3)}
    else:
        assert found.mean_average_precision is None


def test_clusters():
    names = list("aaabbbccc")
    rows = GRID[[0, 0, 0, 1, 1, 1, 2, 2, 2]]
    assert cluster_agreement(rows, names) == pytest.approx(1)
    assert cluster_agreement(rows, ["a"] * 9) is None
