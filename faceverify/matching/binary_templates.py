"""Binary templates: the signs of an embedding in many directions, compared by counting bits.

A code of B bits takes B / 8 bytes, a float32 embedding 4 D. The share of bits in which two codes
differ estimates the angle between their embeddings (Charikar, STOC 2002): B x angle / pi bits for
random directions. Directions are columns of orthogonal D x D matrices, as many as the bits need,
since orthogonal ones estimate with less variance than independent ones (Ji et al., Super-bit LSH,
NIPS 2012). They may start at the mean of the faces, and be rotated so that the signs lose least of
them: iterative quantisation, ITQ (Gong and Lazebnik, CVPR 2011, eq. 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError

BITS = (128, 1024)  # the least and the most
ROUNDS = 50  # of ITQ; the paper's number
SAMPLE = 100_000  # embeddings that a rotation is fitted to; more changes nothing


@dataclass(frozen=True, eq=False)
class CodeDirections:
    """How an embedding becomes a code.

    Attributes:
        directions: one column a bit, (D, B).
        offsets: how far along each direction the bit begins, (B,).
    """

    directions: NDArray[np.float32]
    offsets: NDArray[np.float32]

    @property
    def bits(self) -> int:
        """How many bits a code has."""
        return int(self.directions.shape[1])

    def encode(self, embeddings: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Codes of embeddings, (N, D) -> (N, B / 8); the first direction is the highest bit."""
        return np.packbits(embeddings @ self.directions > self.offsets, axis=1)


def random_directions(size: int, bits: int, *, seed: int = 0) -> CodeDirections:
    """Directions that know nothing of faces.

    Args:
        size: numbers in an embedding.
        bits: of a code, a multiple of 8, 128 to 1024.

    Raises:
        UsageError: an impossible number of bits.
    """
    _check(bits)
    return CodeDirections(_rotations(size, bits, seed), np.zeros(bits, np.float32))


def centred_directions(
    embeddings: NDArray[np.float32], bits: int, *, seed: int = 0
) -> CodeDirections:
    """Random directions from the mean of some embeddings, so that every bit is on for about half.

    Embeddings of many nets lie in a narrow cone; seen from the origin most bits would be the same
    for everybody.

    Args:
        embeddings: of length 1, (N, D), of many people.
        bits: of a code, a multiple of 8, 128 to 1024.

    Raises:
        UsageError: an impossible number of bits, or too few embeddings.
    """
    _check(bits)
    _check_enough(len(embeddings), 100)
    return _from_mean(_rotations(embeddings.shape[1], bits, seed), embeddings.mean(axis=0))


def itq_directions(embeddings: NDArray[np.float32], bits: int, *, seed: int = 0) -> CodeDirections:
    """Directions from the mean, rotated towards the embeddings by ITQ.

    Each block of D bits starts from a random rotation of its own, so that blocks differ.

    Args:
        embeddings: of length 1, (N, D); at least 10 D of them, of many people.
        bits: of a code, a multiple of 8, 128 to 1024.

    Raises:
        UsageError: an impossible number of bits, or too few embeddings.
    """
    _check(bits)
    count, size = embeddings.shape
    _check_enough(count, 10 * size)
    if count > SAMPLE:
        embeddings = np.random.default_rng(seed).permutation(embeddings)[:SAMPLE]
    mean = embeddings.mean(axis=0)
    starts = _rotations(size, -(-bits // size) * size, seed)
    blocks = [
        _quantised(embeddings - mean, starts[:, place : place + size])
        for place in range(0, starts.shape[1], size)
    ]
    return _from_mean(np.concatenate(blocks, axis=1)[:, :bits], mean)


def hamming_distance(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Bits in which codes differ, row by row: (..., B / 8) -> (...)."""
    different: NDArray[np.int64] = POPCOUNT[first ^ second].sum(axis=-1, dtype=np.int64)
    return different


POPCOUNT = np.array([bin(value).count("1") for value in range(256)], np.uint8)


def _from_mean(directions: NDArray[np.float32], mean: NDArray[np.float32]) -> CodeDirections:
    return CodeDirections(np.ascontiguousarray(directions), mean @ directions)


def _check(bits: int) -> None:
    least, most = BITS
    if bits % 8 or not least <= bits <= most:
        raise UsageError(
            f"codes of {bits} bits cannot be made", cure=f"give {least} to {most}, a multiple of 8"
        )


def _check_enough(count: int, needed: int) -> None:
    if count < needed:
        raise UsageError(
            f"{count:,} templates are too few to fit codes to, which takes {needed:,}",
            cure="enrol more first",
        )


def _rotations(size: int, bits: int, seed: int) -> NDArray[np.float32]:
    """Random orthogonal matrices side by side, cut to (size, bits)."""
    generator = np.random.default_rng(seed)
    blocks = []
    for _ in range(-(-bits // size)):
        orthogonal, upper = np.linalg.qr(generator.standard_normal((size, size)))
        blocks.append(orthogonal * np.sign(np.diag(upper)))  # uniform: Mezzadri 2007
    return np.concatenate(blocks, axis=1)[:, :bits].astype(np.float32)


def _quantised(centred: NDArray[np.float32], rotation: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rotation R that lessens |sign(V R) - V R|, from a start: codes and rotation in turn."""
    for _ in range(ROUNDS):
        codes = np.where(centred @ rotation > 0, np.float32(1), np.float32(-1))  # (N, D)
        left, _, right = np.linalg.svd(centred.T @ codes)  # orthogonal Procrustes
        rotation = left @ right
    return rotation
