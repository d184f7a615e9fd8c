"""AdaFace, a margin that follows the embedding's length."""

import pytest
import torch
from centre_losses import (
    ENGINES,
    angle,
    batch_of,
    build,
    check_equation,
    cross_entropy,
    plus,
)
from refused_options import check_refused

CASES = {"adaface": ("adaface", {"scale": 7.0, "concentration": 3.0, "momentum": 0.5})}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_equation_written_out(engine):
    check_equation(build(*CASES["adaface"], engine=engine), adaface)


def test_it_learns_which_lengths_are_usual():
    loss = build(*CASES["adaface"], momentum=0.25)
    rows, labels = batch_of(loss)
    lengths = rows.norm(dim=1)
    loss(rows, labels)
    torch.testing.assert_close(loss.mean, 0.75 * 20 + 0.25 * lengths.mean())
    torch.testing.assert_close(loss.deviation, 0.75 * 100 + 0.25 * lengths.std())
    learned = loss.state_dict()
    loss.eval()(rows, labels)
    assert loss.mean == learned["mean"]
    loss.train()(rows[:1], labels[:1])  # the deviation of one is none
    assert loss.deviation.isfinite()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"momentum": 0.0}, "in (0, 1]"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("adaface", options, words)


def adaface(x, y, W, b, o):
    """Eq. 14; o holds the running mean and deviation that count for this batch."""
    length = x.detach().norm().clamp(1e-3, 100)
    z = o["concentration"] * (length - o["mean"]) / (o["deviation"] + 1e-3)
    z = z.clamp(-1, 1).item()
    logits = [o["scale"] * angle(x, w).cos() for w in W]
    turned = plus(angle(x, W[y]), -o["margin"] * z)
    logits[y] = o["scale"] * (turned - o["margin"] - o["margin"] * z)
    return cross_entropy(logits, y)
