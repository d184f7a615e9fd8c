"""The losses with class centres, as their papers write them: one sample, one class at a time.

Angles are angles here (acos, cos), and the softmax is a sum of exponentials, so that nothing is
shared with the package. Each takes the numbers of one image and returns its logits, the target's
among them; float64, with torch's gradient of exactly what is written.
"""

import math

import torch


def angle(x, w):
    return torch.acos(x @ w / (x.norm() * w.norm()))


def psi(theta, m):
    k = min(math.floor(m * theta.item() / math.pi), m - 1)
    return (-1) ** k * torch.cos(m * theta) - 2 * k


def softmax(x, y, W, b, o):
    return [w @ x + b_j for w, b_j in zip(W, b, strict=True)]


def normface(x, y, W, b, o):
    return [o["scale"] * angle(x, w).cos() for w in W]


def lsoftmax(x, y, W, b, o):
    logits = [w @ x for w in W]
    theta, easing = angle(x, W[y]), o["anneal_to"]
    eased = (easing * theta.cos() + psi(theta, o["margin"])) / (1 + easing)
    logits[y] = W[y].norm() * x.norm() * eased
    return logits


def sphereface(x, y, W, b, o):
    thetas, easing = [angle(x, w) for w in W], o["anneal_to"]
    logits = [x.norm() * theta.cos() for theta in thetas]
    logits[y] = x.norm() * (easing * thetas[y].cos() + psi(thetas[y], o["margin"])) / (1 + easing)
    return logits


def sphereface_r(x, y, W, b, o):
    logits = normface(x, y, W, b, o)
    logits[y] = o["scale"] * torch.cos((o["margin"] * angle(x, W[y])).clamp(max=math.pi))
    return logits


def cosface(x, y, W, b, o):
    logits = normface(x, y, W, b, o)
    logits[y] = logits[y] - o["scale"] * o["margin"]
    return logits


def with_angle(theta, margin):
    if theta + margin > math.pi:
        return theta.cos() - margin * torch.as_tensor(margin, dtype=theta.dtype).sin()
    if theta + margin < 0:
        return torch.ones_like(theta)
    return torch.cos(theta + margin)


def arcface(x, y, W, b, o):
    logits = normface(x, y, W, b, o)
    logits[y] = o["scale"] * with_angle(angle(x, W[y]), o["margin"])
    return logits


def sub_centre_arcface(x, y, W, b, o):
    """W is (C, K, D)."""
    thetas = [min((angle(x, w) for w in ws), key=lambda theta: theta.item()) for ws in W]
    logits = [o["scale"] * theta.cos() for theta in thetas]
    logits[y] = o["scale"] * with_angle(thetas[y], o["margin"])
    return logits


def adaface(x, y, W, b, o):
    """o holds the running mean and deviation that count for this batch."""
    length = x.detach().norm().clamp(1e-3, 100)
    z = (o["concentration"] * (length - o["mean"]) / (o["deviation"] + 1e-3)).clamp(-1, 1).item()
    logits = normface(x, y, W, b, o)
    turned = with_angle(angle(x, W[y]), -o["margin"] * z)
    logits[y] = o["scale"] * (turned - o["margin"] - o["margin"] * z)
    return logits


def curricularface(x, y, W, b, o):
    """o holds the running mean of the targets' cosines that counts for this batch."""
    target = with_angle(angle(x, W[y]), o["margin"])
    logits = []
    for w in W:
        cosine = angle(x, w).cos()
        hard = cosine > target
        logits.append(o["scale"] * (cosine * (o["weight"] + cosine) if hard else cosine))
    logits[y] = o["scale"] * target
    return logits


def magface(x, y, W, b, o):
    length = x.norm().clamp(o["shortest"], o["longest"])
    rise = (o["most_margin"] - o["least_margin"]) / (o["longest"] - o["shortest"])
    margin = o["least_margin"] + rise * (length - o["shortest"])
    logits = normface(x, y, W, b, o)
    logits[y] = o["scale"] * with_angle(angle(x, W[y]), margin)
    return logits


def cross_entropy(logits, y):
    return -(logits[y].exp() / sum(logit.exp() for logit in logits)).log()


def nca(logits, y):
    others = sum(logit.exp() for j, logit in enumerate(logits) if j != y)
    return -(logits[y].exp() / others).log()


def nothing_more(x, y, o):
    return 0.0


def to_centre(x, y, o):
    return o["weight"] / 2 * sum((x[d] - o["centres"][y][d]) ** 2 for d in range(len(x)))


def pull(x, y, o):
    length = x.norm().clamp(o["shortest"], o["longest"])
    return o["weight"] * (length / o["longest"] ** 2 + 1 / length)


SLOW = {  # logits, what is made of them, what is added
    "softmax": (softmax, cross_entropy, nothing_more),
    "normface": (normface, cross_entropy, nothing_more),
    "center": (softmax, cross_entropy, to_centre),
    "lsoftmax": (lsoftmax, cross_entropy, nothing_more),
    "sphereface": (sphereface, cross_entropy, nothing_more),
    "sphereface-r": (sphereface_r, cross_entropy, nothing_more),
    "cosface": (cosface, cross_entropy, nothing_more),
    "arcface": (arcface, cross_entropy, nothing_more),
    "sub-centres": (sub_centre_arcface, cross_entropy, nothing_more),
    "adaface": (adaface, cross_entropy, nothing_more),
    "curricularface": (curricularface, cross_entropy, nothing_more),
    "magface": (magface, cross_entropy, pull),
    "proxy-nca": (normface, nca, nothing_more),
}


def slow_loss(name, x, labels, W, b, options):
    """The mean over the batch."""
    logits_of, reduce, more = SLOW[name]
    losses = [
        reduce(logits_of(row, y, W, b, options), y) + more(row, y, options)
        for row, y in zip(x, labels.tolist(), strict=True)
    ]
    return sum(losses) / len(losses)
