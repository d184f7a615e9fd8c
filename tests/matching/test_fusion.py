"""The mean direction of embeddings: of length 1, whatever the sum's; none where they cancel out."""

import numpy as np

from faceverify.matching.fusion import mean_direction


def test_it_is_the_mean_scaled_to_length_1():
    rows = np.random.default_rng(0).standard_normal((3, 4, 16))  # groups, templates, numbers
    expected = [group.mean(axis=0) / np.linalg.norm(group.mean(axis=0)) for group in rows]
    np.testing.assert_allclose(mean_direction(rows.sum(axis=1)), expected, rtol=1e-12)


def test_embeddings_that_cancel_out_have_no_direction():
    row = np.random.default_rng(1).standard_normal(16)
    row /= np.linalg.norm(row)
    sums = np.stack([row - row, row + row, (0.1 + row) - 0.1 - row])
    found = mean_direction(sums)
    np.testing.assert_array_equal(found[[0, 2]], 0)
    np.testing.assert_allclose(found[1], row, rtol=1e-12)
