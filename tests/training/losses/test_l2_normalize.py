"""L2 normalisation, at 0 too."""

import torch

from faceverify.training.losses.l2_normalize import l2_normalize


def test_a_vector_of_length_0_stays_0_and_has_no_gradient():
    rows = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    units = l2_normalize(rows)
    units.sum().backward()
    torch.testing.assert_close(units.detach(), torch.tensor([[0.0, 0.0], [0.6, 0.8]]))
    assert rows.grad[0].tolist() == [0, 0]
