"""Counter-based random numbers: a number is a hash of (seed, epoch, step, image, view, column).

Without a generator's state, a resumed run, a run with more workers, or one on another number of
processes gets the same numbers. The hash is SplitMix64's finaliser (Steele, Lea, Flood 2014,
https://doi.org/10.1145/2660193.2660195), chained over the parts of the key.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
OF_A_METHOD = 2**32  # in place of a view's number: what a method itself draws for an image
OF_A_TRACK = 2**32 + 1  # ... which other frame of its track is a view of it


def sample_draws(
    seed: int, epoch: int, step: int, indices: NDArray[np.int64], count: int, *, view: int = 0
) -> NDArray[np.float64]:
    """Random numbers of the images of a step.

    An image that occurs several times in a step gets different numbers each time.

    Args:
        seed, epoch, step: of the run, from 0.
        indices: of the images of the step, (N,).
        count: numbers for each image.
        view: number of the view, from 0.

    Returns:
        Uniform in [0, 1), (N, count).

    >>> once = sample_draws(0, 0, 7, np.array([3, 5]), 4)
    >>> bool((once[1:] == sample_draws(0, 0, 7, np.array([5]), 4)).all())
    True
    """
    return draws_of(sample_keys(seed, epoch, step, indices, view=view), count)


def sample_keys(
    seed: int, epoch: int, step: int, indices: NDArray[np.int64], *, view: int = 0
) -> Words:
    """Keys of the images of a step, (N,); arguments as of :func:`sample_draws`."""
    key = np.zeros(len(indices), np.uint64)
    for part in (seed, epoch, step, indices, occurrences(indices)):
        key = mixed(key + GOLDEN + np.asarray(part, np.int64).astype(np.uint64))
    if view:  # view 0 has the numbers of a run with one view
        key = mixed(key + GOLDEN + np.uint64(view))
    return key


def draws_of(keys: Words, count: int) -> NDArray[np.float64]:
    """Random numbers of each key, uniform in [0, 1), (N, count)."""
    columns = np.arange(1, count + 1, dtype=np.uint64) * GOLDEN
    words = mixed(keys[:, None] + columns)  # (N, count)
    draws: NDArray[np.float64] = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return draws


def normal_draws(keys: Words, count: int) -> NDArray[np.float64]:
    """Random numbers of each key, of the standard normal distribution, (N, count).

    Box and Muller 1958, https://doi.org/10.1214/aoms/1177706645.
    """
    draws = draws_of(keys, 2 * count)
    radius = np.sqrt(-2 * np.log1p(-draws[:, :count]))
    numbers: NDArray[np.float64] = radius * np.cos(2 * np.pi * draws[:, count:])
    return numbers


def mixed(words: Words) -> Words:
    """SplitMix64's finaliser: each input bit changes about half of the output bits."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: Words = words ^ (words >> np.uint64(31))
    return result


def occurrences(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of earlier occurrences of each index, (N,).

    >>> occurrences(np.array([4, 7, 4, 4])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(indices, kind="stable")
    sorted_indices = indices[order]
    starts = np.r_[True, sorted_indices[1:] != sorted_indices[:-1]][: len(indices)]
    run = np.maximum.accumulate(np.where(starts, np.arange(len(indices)), 0))
    counts = np.empty(len(indices), np.int64)
    counts[order] = np.arange(len(indices)) - run
    return counts
