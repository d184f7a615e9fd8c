"""The parts of a softmax loss that every engine shares."""

import torch

from faceverify.training.losses.engine.class_scores import HardNegatives, add_rows


def test_the_slope_of_hard_negatives_is_that_of_their_change():
    hard = HardNegatives(torch.tensor([0.3, -2.0]).double(), torch.tensor(0.2).double(), 7.0)
    logits = torch.linspace(-7, 7, 30, dtype=torch.float64).expand(2, -1).clone().requires_grad_()
    (slope,) = torch.autograd.grad(hard.changed(logits).sum(), logits)
    torch.testing.assert_close(hard.slope(logits.detach()), slope)


def test_added_rows_add_up():
    index = torch.tensor([4, 0, 4, 4])
    for shape in ((), (3,), (2, 3)):
        matrix, rows = torch.randn(6, *shape).double(), torch.randn(4, *shape).double()
        expected = matrix.index_add(0, index, rows)
        add_rows(matrix, index, rows)
        torch.testing.assert_close(matrix, expected)
