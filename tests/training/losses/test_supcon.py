"""Supervised contrastive loss."""

import math

import pytest
from pair_losses import SPREADS, check_equation, mean, units
from refused_options import check_refused


@pytest.mark.parametrize("options", [{}, {"temperature": 0.5}])
@pytest.mark.parametrize("spread", SPREADS)
def test_the_equation_written_out(options, spread):
    check_equation("supcon", options, spread, supcon)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0.0}, "above 0"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("supcon", options, words)


def supcon(embeddings, labels, temperature=0.1):
    rows = units(embeddings)
    losses = []
    for i in range(len(rows)):
        similar = {j: float(rows[i] @ rows[j]) / temperature for j in range(len(rows)) if j != i}
        whole = math.log(sum(math.exp(one) for one in similar.values()))
        partners = [similar[j] - whole for j in similar if labels[j] == labels[i]]
        if partners:
            losses.append(-mean(partners))
    return mean(losses)
