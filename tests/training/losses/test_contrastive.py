"""Contrastive loss."""

import pytest
from pair_losses import SPREADS, check_equation, distance, mean, pairs_of, units
from refused_options import check_refused


@pytest.mark.parametrize("options", [{}, {"margin": 1.7}])
@pytest.mark.parametrize("spread", SPREADS)
def test_the_equation_written_out(options, spread):
    check_equation("contrastive", options, spread, contrastive)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"margin": 3.0}, "(0, 2]"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("contrastive", options, words)


def contrastive(embeddings, labels, margin=1.0):
    rows = units(embeddings)
    genuine, impostor = pairs_of(labels)
    short = [margin - distance(rows[i], rows[j]) for i, j in impostor]
    return mean(distance(rows[i], rows[j]) ** 2 / 2 for i, j in genuine) + mean(
        gap**2 / 2 for gap in short if gap > 0
    )
