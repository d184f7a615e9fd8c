"""How embeddings lie on the unit sphere: spread, effective rank, alignment, uniformity.

Written for whoever has embeddings: runs of training say so by them how they go, ``evaluate`` judges
models by them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

SPREAD, RANK = "spread", "effective_rank"
ROWS = 512  # of a block of pairs

Rows = NDArray[np.float64]


def unit(rows: ArrayLike) -> Rows:
    """Rows of length 1, (N, D); a row of zeros stays one."""
    values = np.asarray(rows, np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-12))


def spread_and_rank(rows: ArrayLike) -> dict[str, float]:
    """Spread and effective rank of embeddings; both are of unit rows.

    The spread is the root mean square over the dimensions of their standard deviation, times
    sqrt(D): 1 where they are spread over the sphere, 0 where all are alike (Chen and He 2021,
    https://arxiv.org/abs/2011.10566, section 4.1). The effective rank is the exponential of the
    entropy of the singular values (Roy and Vetterli 2007; RankMe, Garrido et al. 2023,
    https://arxiv.org/abs/2210.02885, eq. 1): from 1, all on one line, to min(N, D).

    Args:
        rows: embeddings, (N, D).
    """
    values = unit(rows)
    spread = float(np.sqrt(np.square(values - values.mean(axis=0)).mean(axis=0).sum()))
    singular = np.linalg.svd(values, compute_uv=False)
    shares = singular / max(singular.sum(), 1e-300)
    known = shares[shares > 0]
    return {SPREAD: spread, RANK: float(np.exp(-(known * np.log(known)).sum()))}


def alignment(first: ArrayLike, second: ArrayLike) -> float:
    """Mean squared distance of the unit embeddings of two views of an image; 0 where alike.

    Wang and Isola 2020, https://arxiv.org/abs/2005.10242, eq. 2, alpha = 2.

    Args:
        first, second: embeddings of the views, (N, D) each.
    """
    return float(np.square(unit(first) - unit(second)).sum(axis=1).mean())


def uniformity(rows: ArrayLike) -> float:
    """Logarithm of the mean Gaussian potential of the pairs of images; 0 where all are alike.

    Wang and Isola 2020, https://arxiv.org/abs/2005.10242, eq. 3, t = 2. Of N rows that are spread
    evenly over a sphere of many dimensions it is near -4.

    Args:
        rows: embeddings, (N, D), of at least two images.
    """
    values = unit(rows)
    total = potentials(values, np.zeros(len(values), np.int64), 1)[0, 0]
    return float(np.log(total / (len(values) * (len(values) - 1))))


def potentials(rows: Rows, code: NDArray[np.int64], groups: int) -> Rows:
    """Sums of exp(-2 |x - y|^2) over the ordered pairs of different rows, by their groups, (G, G).

    Args:
        rows: of length 1, (N, D).
        code: group of each row, from 0, (N,).
        groups: number of groups, G.
    """
    order = np.argsort(code, kind="stable")
    rows, code = rows[order], code[order]
    present, start = np.unique(code, return_index=True)
    sums = np.zeros((groups, groups))
    for top in range(0, len(rows), ROWS):
        block = rows[top : top + ROWS]
        kernel = np.exp(4 * (np.minimum(block @ rows.T, 1) - 1))  # |x - y|^2 = 2 - 2 cosine
        kernel[np.arange(len(block)), np.arange(top, top + len(block))] = 0
        by_group = np.add.reduceat(kernel, start, axis=1)  # (rows, groups present)
        np.add.at(sums, (code[top : top + ROWS, None], present[None]), by_group)
    return sums
