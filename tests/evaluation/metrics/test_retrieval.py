import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.metrics.identification import identify
from faceverify.evaluation.metrics.retrieval import cluster_agreement, retrieval
from faceverify.evaluation.protocols.template_pooling import pool_templates, template_distances

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


def test_pooling_written_out():
    draws = np.random.default_rng(1)
    rows, weight = draws.standard_normal((30, 5)), draws.uniform(0.1, 1, 30)
    template, media = draws.integers(0, 4, 30) * 7, draws.integers(0, 3, 30)
    found = pool_templates(rows, template, media, weight=weight)
    assert found.ids.tolist() == sorted(set(template))
    for id_, pooled in zip(found.ids, found.embeddings, strict=True):
        total = np.zeros(5)
        for one in set(media[template == id_]):
            chosen = (template == id_) & (media == one)
            total += (rows[chosen] * weight[chosen, None]).mean(axis=0)
        assert np.allclose(pooled, total / np.linalg.norm(total), atol=1e-6)


def test_a_long_video_does_not_outweigh_a_still():
    rows = GRID[[0] + [1] * 20]
    pooled = pool_templates(rows, np.zeros(21, int), np.array([0] + [1] * 20)).embeddings[0]
    assert pooled[0] == pytest.approx(pooled[1])


def test_template_distances_and_templates_that_failed():
    templates = pool_templates(GRID[:3], np.array([5, 9, 70]), np.zeros(3, int))
    found = template_distances(templates, ["5", "9", "9", "71", "1"], ["5", "70", "6", "5", "1"])
    assert found.tolist() == [0, 1, np.inf, np.inf, np.inf]
    assert np.array_equal(unit_rows(templates.embeddings), templates.embeddings)
