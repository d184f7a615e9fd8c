"""Heads to be tested, with options at which all branches are met, and a batch for them."""

import torch

from faceverify.training.heads import build_head

CLASSES, SIZE, BATCH = 11, 6, 8

CASES = {
    "softmax": ("softmax", {}),
    "normface": ("normface", {"scale": 7.0}),
    "center": ("center", {"weight": 0.3}),
    "lsoftmax": ("lsoftmax", {"margin": 3, "anneal_to": 0.5}),
    "sphereface": ("sphereface", {"margin": 4, "anneal_to": 2.0}),
    "sphereface-r": ("sphereface-r", {"margin": 1.7, "scale": 7.0}),
    "cosface": ("cosface", {"scale": 7.0}),
    "arcface": ("arcface", {"scale": 7.0}),
    "sub-centres": ("arcface", {"scale": 7.0, "sub_centres": 3}),
    "adaface": ("adaface", {"scale": 7.0, "concentration": 3.0, "momentum": 0.5}),
    "curricularface": ("curricularface", {"scale": 7.0, "momentum": 0.7}),
    "magface": ("magface", {"scale": 7.0, "shortest": 1.2, "longest": 3.0}),
    "proxy-nca": ("proxy-nca", {"scale": 3.0}),
}


def head_case(case, classes=CLASSES, dtype=torch.float64, **more):
    """The head of a case, with centres of about length 1, the same every time."""
    name, options = CASES[case]
    torch.manual_seed(5)
    head = build_head(name, embedding_size=SIZE, classes=classes, **{**options, **more}).to(dtype)
    with torch.no_grad():
        head.softmax.centres *= 60
        if head.softmax.bias is not None:
            draws = torch.Generator().manual_seed(6)
            shard = head.softmax.shard
            head.softmax.bias += torch.randn(classes, generator=draws)[shard.start : shard.stop]
        if case == "center":
            draws = torch.Generator().manual_seed(7)
            shard = head.softmax.shard
            head.centres += torch.randn(classes, SIZE, generator=draws)[shard.start : shard.stop]
    return head


def batch_of(head, size=BATCH, dtype=torch.float64):
    """Embeddings of all lengths: near their class's centre, far from it, and behind it."""
    draws = torch.Generator().manual_seed(8)
    labels = torch.randint(head.softmax.shard.total, (size,), generator=draws)
    labels[1] = labels[0]
    rows = torch.randn(size, SIZE, generator=draws).to(dtype)
    if head.softmax.shard.stop == head.softmax.shard.total:  # all centres are here
        centres = head.softmax.centres.detach().view(len(head.softmax.centres), -1, SIZE)[:, 0]
        rows[0] = 3 * centres[labels[0]] + 0.1 * rows[0]
        rows[1] = -2 * centres[labels[1]] + 0.1 * rows[1]  # past the pole of an added angle
        rows[2] = 0.5 * centres[labels[2]] + 0.3 * rows[2]
    return rows, labels


def gradients(head, rows, labels):
    """Loss, and the gradients of embeddings and parameters."""
    rows = rows.clone().requires_grad_()
    head.zero_grad()
    loss = head(rows, labels)
    loss.backward()
    return [loss.detach(), rows.grad, *(one.grad for one in head.parameters())]
