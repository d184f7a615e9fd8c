"""Proxy-NCA, a softmax over the other classes only."""

import pytest
import torch
from centre_losses import CLASSES, ENGINES, SIZE, angle, batch_of, build, check_equation
from pytorch_metric_learning import losses as peers
from pytorch_metric_learning.distances import CosineSimilarity

CASES = {"proxy-nca": ("proxy-nca", {"scale": 3.0})}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_equation_written_out(engine):
    check_equation(build(*CASES["proxy-nca"], engine=engine), proxy_nca)


def test_pytorch_metric_learning_s_counts_the_target_too():
    """It is NormFace in our words; the paper's equation 4 leaves the target out below the bar."""
    loss = build("normface", {"scale": 7.0})
    rows, labels = batch_of(loss)
    peer = peers.ProxyNCALoss(CLASSES, SIZE, softmax_scale=7, distance=CosineSimilarity())
    with torch.no_grad():
        peer.double().proxies.copy_(loss.softmax.centres)
    torch.testing.assert_close(loss(rows, labels), peer(rows, labels), rtol=1e-7, atol=1e-7)


def proxy_nca(x, y, W, b, o):
    """Eq. 4."""
    logits = [o["scale"] * angle(x, w).cos() for w in W]
    others = sum(logit.exp() for j, logit in enumerate(logits) if j != y)
    return -(logits[y].exp() / others).log()
