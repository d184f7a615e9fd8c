"""Log-ratio loss, whose labels are numbers."""

import itertools
import math

import pytest
import torch
from pair_losses import SPREADS, batch, build, check_equation, distance, mean
from refused_options import check_refused


@pytest.mark.parametrize("options", [{}, {"resolution": 0.5}])
@pytest.mark.parametrize("spread", SPREADS)
def test_the_equation_written_out(options, spread):
    check_equation("log-ratio", options, spread, log_ratio)


def test_it_takes_several_values_a_label():
    embeddings, _ = batch()
    poses = torch.randn(len(embeddings), 3, dtype=torch.float64)
    found = build("log-ratio")(embeddings, poses)
    assert float(found) == pytest.approx(log_ratio(embeddings, poses), rel=1e-9)


def test_it_knows_no_scale():
    embeddings, _ = batch()
    ages = torch.rand(len(embeddings), dtype=torch.float64)
    loss = build("log-ratio")
    assert float(loss(100 * embeddings, 7 * ages)) == pytest.approx(
        float(loss(embeddings, ages)), rel=1e-4
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resolution": -1.0}, "at least 0"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("log-ratio", options, words)


def log_ratio(embeddings, labels, resolution=0.0):
    labels = labels.double().reshape(len(labels), -1)

    def apart(i, j):
        return max(float((labels[i] - labels[j]).square().sum()), resolution**2)

    losses = []
    for a, i, j in itertools.permutations(range(len(labels)), 3):
        if apart(a, i) and apart(a, j):
            near = distance(embeddings[a], embeddings[i]) ** 2 + 1e-6
            far = distance(embeddings[a], embeddings[j]) ** 2 + 1e-6
            losses.append((math.log(near / far) - math.log(apart(a, i) / apart(a, j))) ** 2)
    return mean(losses)
