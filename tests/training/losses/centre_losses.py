"""What the tests of losses with class centres share: a small loss, a batch, equations in angles.

The equations of the papers stand in each loss's test, one image at a time. There angles are angles
(acos, cos) and a softmax is a sum of exponentials, so that nothing is shared with the package:
float64, with torch's gradient of exactly what is written.
"""

import math

import torch

from faceverify.training.losses import build_head

CLASSES, SIZE, BATCH = 11, 6, 8
ENGINES = ["dense", "chunked"]


def build(name, options, *, classes=CLASSES, dtype=torch.float64, **more):
    """The loss, with centres of about length 1, the same every time."""
    torch.manual_seed(5)
    loss = build_head(name, embedding_size=SIZE, classes=classes, **{**options, **more}).to(dtype)
    shard = loss.softmax.shard
    with torch.no_grad():
        loss.softmax.centres *= 60
        if loss.softmax.bias is not None:
            draws = torch.Generator().manual_seed(6)
            loss.softmax.bias += torch.randn(classes, generator=draws)[shard.start : shard.stop]
        if hasattr(loss, "centres"):  # others than those of the softmax
            draws = torch.Generator().manual_seed(7)
            loss.centres += torch.randn(classes, SIZE, generator=draws)[shard.start : shard.stop]
    return loss


def batch_of(loss, size=BATCH, dtype=torch.float64):
    """Embeddings of all lengths: near their class's centre, far from it, and behind it."""
    draws = torch.Generator().manual_seed(8)
    labels = torch.randint(loss.softmax.shard.total, (size,), generator=draws)
    labels[1] = labels[0]
    rows = torch.randn(size, SIZE, generator=draws).to(dtype)
    if loss.softmax.shard.stop == loss.softmax.shard.total:  # all centres are here
        centres = loss.softmax.centres.detach().view(len(loss.softmax.centres), -1, SIZE)[:, 0]
        rows[0] = 3 * centres[labels[0]] + 0.1 * rows[0]
        rows[1] = -2 * centres[labels[1]] + 0.1 * rows[1]  # past the pole of an added angle
        rows[2] = 0.5 * centres[labels[2]] + 0.3 * rows[2]
    return rows, labels


def gradients(loss, rows, labels):
    """The loss, and the gradients of embeddings and parameters."""
    rows = rows.clone().requires_grad_()
    loss.zero_grad()
    value = loss(rows, labels)
    value.backward()
    return [value.detach(), rows.grad, *(one.grad for one in loss.parameters())]


def check_equation(loss, equation):
    """Loss and gradients are those of the equation, with the state that the loss leaves behind.

    Args:
        loss: of the package.
        equation: of one image: its embedding x and label y, the centres W, their biases b, and
            options and state of the loss by name.
    """
    rows, labels = batch_of(loss)
    ours = [one.clone() for one in gradients(loss, rows, labels)]
    options = {key: one for key, one in vars(loss).items() if isinstance(one, int | float)}
    options |= {key: one.clone() for key, one in loss.named_buffers() if "." not in key}
    options |= {key: float(one) for key, one in options.items() if getattr(one, "ndim", 1) == 0}
    rows = rows.clone().requires_grad_()
    loss.zero_grad()
    values = [
        equation(x, y, loss.softmax.centres, loss.softmax.bias, options)
        for x, y in zip(rows, labels.tolist(), strict=True)
    ]
    mean = sum(values) / len(values)
    mean.backward()
    theirs = [mean.detach(), rows.grad, *(one.grad for one in loss.parameters())]
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def check_peer(loss, peer):
    """Loss and gradients are those of a loss of pytorch-metric-learning with the same centres."""
    peer = peer.double()
    rows, labels = batch_of(loss)
    with torch.no_grad():
        peer.W.copy_(loss.softmax.centres.flatten(0, -2).T)
    ours, rows_slope, centres_slope = gradients(loss, rows, labels)
    rows.requires_grad_()
    theirs = peer(rows, labels)
    theirs.backward()
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(rows_slope, rows.grad, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(centres_slope.flatten(0, -2), peer.W.grad.T, rtol=1e-6, atol=1e-7)


def angle(x, w):
    return torch.acos(x @ w / (x.norm() * w.norm()))


def plus(theta, margin):
    """cos(t + m), within [0, pi]; what stands beyond is in ``margins.add_angle``."""
    if theta + margin > math.pi:
        return theta.cos() - margin * torch.as_tensor(margin, dtype=theta.dtype).sin()
    if theta + margin < 0:
        return torch.ones_like(theta)
    return torch.cos(theta + margin)


def psi(theta, m):
    """L-Softmax, eq. 6, and SphereFace, eq. 7."""
    k = min(math.floor(m * theta.item() / math.pi), m - 1)
    return (-1) ** k * torch.cos(m * theta) - 2 * k


def cross_entropy(logits, y):
    return -(logits[y].exp() / sum(logit.exp() for logit in logits)).log()
