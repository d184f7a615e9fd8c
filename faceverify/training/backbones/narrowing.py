"""Channel pruning: a MobileNet begins as a wider one that knows faces, with fewer channels.

Which channels stay is chosen greedily, each the one without which most of the next layer's output
would be missing (ThiNet: https://arxiv.org/abs/1707.06342, section 3.2); the weights that read them
are fitted by least squares to what the wide net computes there (He et al. 2017,
https://arxiv.org/abs/1707.06168, eq. 1), layer after layer, of what the narrow net gives. Both need
some hundred photos, and no names.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from faceverify.training.backbones.mobilenet import Layer, MobileNet

POSITIONS = 16  # of a map, looked at for each photo
RIDGE = 1e-3  # of the mean variance of a layer's inputs: holds the fit to the wide net's weights


@torch.no_grad()
def narrow(net: MobileNet, wide: MobileNet, photos: Sequence[Tensor]) -> None:
    """Give a net the weights of a wider one, as far as its channels go.

    Args:
        net: changed in place.
        wide: with no fewer channels in any layer, for the same crops and embeddings.
        photos: preprocessed crops in batches, (N, 3, size, size) each.
    """
    read, given, last = looked_at(wide, photos)
    kept = [
        most_telling(
            rows,
            theirs.pointwise.convolution.weight.flatten(1),
            own.pointwise.convolution.in_channels,
        )
        for rows, theirs, own in zip(read, wide.blocks, net.blocks, strict=True)
    ]
    readers = (columns_of(wide) * wide.neck.scale.weight.flatten()).flatten(0, 1)
    kept.append(most_telling(last.flatten(0, 1), readers, net.neck.scale.in_channels))

    take(net.stem, wide.stem, kept[0])
    maps = [net.stem(part) for part in photos]
    for index, (own, theirs) in enumerate(zip(net.blocks, wide.blocks, strict=True)):
        take(own.depthwise, theirs.depthwise, kept[index])
        maps = [own.depthwise(part) for part in maps]
        take(own.pointwise, theirs.pointwise, kept[index + 1], kept[index])
        layer = own.pointwise.convolution
        wanted = given[index][:, kept[index + 1]]
        weight, bias = fitted(sampled(maps), wanted, start=layer.weight.flatten(1))
        layer.weight.copy_(weight[:, :, None, None])
        layer.bias.copy_(bias)
        maps = [own.pointwise(part) for part in maps]
    fit_neck(net, wide, torch.cat([by_position(part) for part in maps]), last, kept[-1])


def looked_at(
    wide: MobileNet, photos: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """What the layers over channels read and give, at some positions, and the last maps.

    Returns:
        For each block (M, inputs); (M, outputs), before the activation; and (N, positions, C).
    """
    read: list[list[Tensor]] = [[] for _ in wide.blocks]
    given: list[list[Tensor]] = [[] for _ in wide.blocks]
    last = []
    for part in photos:
        maps = wide.stem(part)
        for index, block in enumerate(wide.blocks):
            maps = block.depthwise(maps)
            read[index].append(sampled([maps]))
            maps = block.pointwise.convolution(maps)
            given[index].append(sampled([maps]))
            maps = block.pointwise.prelu(maps)
        last.append(by_position(maps))
    return [torch.cat(one) for one in read], [torch.cat(one) for one in given], torch.cat(last)


def sampled(maps: Sequence[Tensor]) -> Tensor:
    """Some positions of each map, the same in each of so many, (M, C)."""
    rows = []
    for part in maps:
        flat = by_position(part)  # (N, positions, C)
        generator = torch.Generator().manual_seed(0)
        at = torch.randint(flat.shape[1], (len(flat), POSITIONS), generator=generator)
        of = torch.arange(len(flat))[:, None]
        rows.append(flat[of.to(part.device), at.to(part.device)].flatten(0, 1))
    return torch.cat(rows)


def by_position(maps: Tensor) -> Tensor:
    """(N, C, height, width) to (N, positions, C)."""
    return maps.flatten(2).transpose(1, 2)


def most_telling(rows: Tensor, weight: Tensor, count: int) -> list[int]:
    """The channels from which a layer's output follows best, in their order.

    Greedily: with residual covariance R of the channels and P = R W' W R, each takes the channel of
    the largest P[j, j] / R[j, j], the variance of the output that it explains beside those taken.

    Args:
        rows: the layer's input, (M, C).
        weight: of the layer, (outputs, C).
        count: channels to take.
    """
    centred = rows.cpu().double() - rows.cpu().double().mean(dim=0)
    left = centred.T @ centred / len(rows)  # (C, C)
    read = left @ weight.cpu().double().T  # (C, outputs)
    explained = read @ read.T
    taken = torch.zeros(len(left), dtype=torch.bool)
    nothing = 1e-9 * left.diagonal().max()
    for _ in range(count):
        gain = explained.diagonal() / left.diagonal().clamp(min=nothing)
        best = int(gain.masked_fill(taken, -1).argmax())
        taken[best] = True
        size = left[best, best].clamp(min=nothing)
        share, own = left[best] / size, explained[best].clone()
        explained -= torch.outer(share, own) + torch.outer(own, share)
        explained += own[best] * torch.outer(share, share)
        left -= size * torch.outer(share, share)
    return taken.nonzero().flatten().tolist()


def take(own: Layer, theirs: Layer, outputs: list[int], inputs: list[int] | None = None) -> None:
    """Copy some channels of a layer; inputs None for all of them."""
    weight = theirs.convolution.weight[outputs]
    own.convolution.weight.copy_(weight if inputs is None else weight[:, inputs])
    own.convolution.bias.copy_(theirs.convolution.bias[outputs])
    own.prelu.weight.copy_(theirs.prelu.weight[outputs])


def fitted(rows: Tensor, wanted: Tensor, *, start: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer by least squares, (outputs, C) and (outputs,).

    Args:
        rows: its input, (M, C).
        wanted: its output, (M, outputs).
        start: the weight near which it stays where the rows do not tell.
    """
    x, y = rows.cpu().double(), wanted.cpu().double()  # which not every device has
    x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
    x, y = x - x_mean, y - y_mean
    square = x.T @ x
    ridge = RIDGE * square.diagonal().mean()
    square.diagonal().add_(ridge)
    weight = torch.linalg.solve(square, x.T @ y + ridge * start.cpu().double().T).T
    return weight.to(rows), (y_mean - weight @ x_mean).to(rows)


def columns_of(net: MobileNet) -> Tensor:
    """Weights of the neck's dense layer, (D, positions, C)."""
    weight = net.neck.projection.weight
    return weight.view(len(weight), net.neck.scale.in_channels, -1).transpose(1, 2)


def fit_neck(net: MobileNet, wide: MobileNet, maps: Tensor, last: Tensor, kept: list[int]) -> None:
    """Set the neck to read the wide net's last maps out of the narrow one's.

    Args:
        net: changed in place.
        wide: the wide net.
        maps: last maps of the narrow net, (N, positions, its channels).
        last: of the wide one, (N, positions, its channels).
        kept: the channels of ``last`` that ``maps`` has.
    """
    start = torch.eye(last.shape[2], device=last.device)[:, kept]  # each channel is itself
    mixing, shift = fitted(maps.flatten(0, 1), last.flatten(0, 1), start=start)
    columns, scale = columns_of(wide), wide.neck.scale
    factors = columns * scale.weight.flatten()
    bias = (columns @ scale.bias + factors @ shift).sum(dim=1) + wide.neck.projection.bias
    neck = net.neck
    neck.projection.bias.copy_(bias)
    neck.projection.weight.copy_((factors @ mixing).transpose(1, 2).flatten(1))
    nn.init.ones_(neck.scale.weight)
    nn.init.zeros_(neck.scale.bias)
