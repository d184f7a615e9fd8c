"""Partial FC: which classes are drawn, and what a loss makes of them."""

import pytest
import torch
from centre_losses import batch_of
from every_case import build_case

from faceverify.training.losses.engine.negative_sampling import (
    pick_rows,
    position_in,
    sample_classes,
    scrambled,
)


def test_classes_of_the_batch_are_always_drawn_once_and_in_order():
    target = torch.tensor([7, 3, -1, 99, 3])
    for draw in range(20):
        drawn = sample_classes(target, 100, 0.1, torch.tensor(draw))
        assert {3, 7, 99} <= set(drawn.tolist())
        assert drawn.tolist() == sorted(set(drawn.tolist()))
        assert len(drawn) == 10
        places = position_in(drawn, target)
        assert places[2] == -1
        assert torch.equal(drawn[places[[0, 1, 3, 4]]], target[[0, 1, 3, 4]])


def test_other_classes_are_drawn_evenly():
    target = torch.tensor([0])
    counts = torch.zeros(200)
    for draw in range(500):
        counts[sample_classes(target, 200, 0.25, torch.tensor(draw))] += 1
    assert counts[0] == 500
    others = counts[1:] / 500  # 49 of 199
    assert others.mean().item() == pytest.approx(49 / 199)
    assert (others - 49 / 199).abs().max() < 5 * (0.25 * 0.75 / 500) ** 0.5


def test_there_is_room_for_a_negative():
    assert len(sample_classes(torch.tensor([1]), 10, 0.01, torch.tensor(1))) == 2
    assert len(sample_classes(torch.arange(10), 10, 0.01, torch.tensor(1))) == 10


def test_a_resumed_run_draws_the_same_classes():
    arcface, other = (build_case("arcface", sample=0.3, classes=50) for _ in range(2))
    rows, labels = batch_of(arcface)
    arcface(rows, labels)
    other.load_state_dict(arcface.state_dict())
    assert arcface(rows, labels) == other(rows, labels)
    assert arcface(rows, labels) != arcface(rows, labels)


def test_all_classes_take_part_outside_training():
    sampled, whole = build_case("arcface", sample=0.3).eval(), build_case("arcface").eval()
    rows, labels = batch_of(whole)
    assert sampled(rows, labels) == whole(rows, labels)


def test_scrambling_is_one_to_one():
    assert len(set(scrambled(torch.arange(10_000)).tolist())) == 10_000


def test_gradients_of_picked_rows():
    matrix = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: pick_rows(m, torch.tensor([0, 3])), (matrix,))
