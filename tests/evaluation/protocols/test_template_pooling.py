"""Template pooling of IJB."""

import numpy as np
import pytest

from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.protocols.template_pooling import pool_templates, template_distances

GRID = np.eye(6, dtype=np.float32)  # few directions: ties are the rule


def test_pooling_written_out():
    draws = np.random.default_rng(1)
    rows, weight = draws.standard_normal((30, 5)), draws.uniform(0.1, 1, 30)
    template, media = draws.integers(0, 4, 30) * 7, draws.integers(0, 3, 30)
    found = pool_templates(rows, template, media, weight=weight)
    assert found.ids.tolist() == sorted(set(template))
    assert found.photos.tolist() == [list(template).count(one) for one in found.ids]
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
