"""Where an image is salient, without labels: the spectral residual.

Hou and Zhang 2007, Saliency detection: a spectral residual approach, CVPR,
https://doi.org/10.1109/CVPR.2007.383267, eq. 6 to 10. Crops about such places: Selvaraju et al.
2021 (CAST), https://arxiv.org/abs/2012.04630, section 3.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SIDE = 32  # of an image whose map is made; section 3.1 has 64, for scenes of several things
SIGMA = 1.25  # of the blur of the map, in its pixels
GREY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601, as JPEG has it
EVEN = 0.1  # share of the probability that is spread over the whole image


def saliency(images: Tensor) -> NDArray[np.float64]:
    """Map of each image, whose numbers sum to 1, (N, SIDE, SIDE).

    Args:
        images: RGB, (N, 3, H, W), of any type and size.
    """
    weights = torch.tensor(GREY, device=images.device)[:, None, None]
    grey = (images.float() * weights).sum(dim=1, keepdim=True)
    small = F.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True)[:, 0]
    maps = spectral_residual(small.cpu().double().numpy())
    total = maps.sum(axis=(1, 2), keepdims=True)
    shares = np.divide(maps, total, out=np.full_like(maps, 1 / SIDE**2), where=total > 0)
    result: NDArray[np.float64] = (1 - EVEN) * shares + EVEN / SIDE**2
    return result


def spectral_residual(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared image of the spectrum's residual, blurred, (N, H, W).

    What is left of the logarithm of the amplitudes where their mean over 3 x 3 neighbours is taken
    away, with the phases as they are. An image of one colour has none: zeros.

    Args:
        grey: images, (N, H, W).
    """
    spectrum = np.fft.fft2(grey)
    amplitude = np.abs(spectrum)
    least = 1e-9 * amplitude.max(axis=(1, 2), keepdims=True) + 1e-300
    log = np.log(np.maximum(amplitude, least))
    residual = np.exp(log - mean_of_neighbours(log))
    found = np.fft.ifft2(spectrum / np.maximum(amplitude, least) * residual).real ** 2
    varied = np.ptp(grey, axis=(1, 2)) > 0
    return blurred_map(found) * varied[:, None, None]


def mean_of_neighbours(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over 3 x 3 cells of a spectrum, which goes on at the other side, (N, H, W)."""
    for axis in (1, 2):
        plane = plane + np.roll(plane, 1, axis) + np.roll(plane, -1, axis)
    return plane / 9


def blurred_map(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian blur of standard deviation ``SIGMA``, with nothing beyond the edges, (N, H, W)."""
    rows, columns = (np.arange(side) for side in plane.shape[1:])
    down, across = (
        np.exp(-((places[:, None] - places) ** 2) / (2 * SIGMA**2)) for places in (rows, columns)
    )
    result: NDArray[np.float64] = down @ plane @ across
    return result


def drawn_places(
    maps: NDArray[np.float64], down: NDArray[np.float64], across: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A place in each image, as probable as its map says: shares of height and width, (N,) each.

    Args:
        maps: (N, H, W), each of sum 1.
        down, across: random numbers in [0, 1), (N,).
    """
    every = np.arange(len(maps))
    row, within = drawn(maps.sum(axis=2), down)
    column, beside = drawn(maps[every, row], across)
    return (row + within) / maps.shape[1], (column + beside) / maps.shape[2]


def drawn(
    shares: NDArray[np.float64], draws: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The cell that each draw falls into, by the cumulative shares, and where in it, (N,) each."""
    ends = np.cumsum(shares, axis=1)
    wanted = draws * ends[:, -1]
    cell = np.minimum((ends <= wanted[:, None]).sum(axis=1), shares.shape[1] - 1)
    every = np.arange(len(shares))
    width = shares[every, cell]
    within = np.clip((wanted - (ends[every, cell] - width)) / width, 0, 1)
    return cell, within
