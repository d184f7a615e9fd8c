"""Center loss: its equation, and how its centres move."""

import pytest
import torch
from centre_losses import (
    CLASSES,
    ENGINES,
    SIZE,
    batch_of,
    build,
    check_equation,
    cross_entropy,
)
from refused_options import check_refused

CASES = {"center": ("center", {"weight": 0.3})}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_equation_written_out(engine):
    check_equation(build(*CASES["center"], engine=engine), center)


def test_its_centres_move_by_the_rule_of_the_paper():
    loss = build(*CASES["center"], alpha=0.7)
    rows, labels = batch_of(loss)
    before = loss.centres.clone()
    loss(rows[:5], labels[:5])  # two parts of one step
    loss(rows[5:], labels[5:])
    assert torch.equal(loss.centres, before)
    loss.finish_step()
    for j in range(CLASSES):
        mine = [row for row, label in zip(rows, labels, strict=True) if label == j]
        delta = sum((before[j] - row for row in mine), torch.zeros(SIZE)) / (1 + len(mine))
        torch.testing.assert_close(loss.centres[j], before[j] - 0.7 * delta)
    loss.finish_step()
    moved = loss.centres.clone()
    loss.eval()(rows, labels)
    loss.finish_step()
    assert torch.equal(loss.centres, moved)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 2.0}, "in [0, 1]"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("center", options, words)


def center(x, y, W, b, o):
    """Eq. 5."""
    softmax = cross_entropy([w @ x + b_j for w, b_j in zip(W, b, strict=True)], y)
    return softmax + o["weight"] / 2 * sum((x[d] - o["centres"][y][d]) ** 2 for d in range(len(x)))
