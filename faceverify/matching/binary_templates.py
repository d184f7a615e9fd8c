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

BITS = (128, 1024)  # minimum and maximum
ROUNDS = 50  # iterations of ITQ, as in the paper
SAMPLE = 100_000  # embeddings that ITQ is fitted to at most; more changes nothing


@dataclass(frozen=True, eq=False)
class CodeDirections:
    """The projection of embeddings to binary codes: bit b is ``x @ directions[:, b] > offsets[b]``.

    Attributes:
        directions: one column for each bit, (D, B).
        offsets: threshold of each projection, (B,).
    """

    directions: NDArray[np.float32]
    offsets: NDArray[np.float32]

    @property
    def bits(self) -> int:
        """Bits of a code, B."""
        return int(self.directions.shape[1])

    def encode(self, embeddings: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Codes of embeddings, (N, D) -> (N, B / 8); the first direction is the highest bit."""
        return np.packbits(embeddings @ self.directions > self.offsets, axis=1)


def random_directions(size: int, bits: int, *, seed: int = 0) -> CodeDirections:
    """Random orthogonal directions through the origin, fitted to no data.

    Args:
        size: embedding size, D.
        bits: code length, a multiple of 8, 128 to 1024.
        seed: of the random rotation.

    Raises:
        UsageError: an impossible number of bits.
    """
    _check(bits)
    return CodeDirections(_rotations(size, bits, seed), np.zeros(bits, np.float32))


def centred_directions(
    embeddings: NDArray[np.float32], bits: int, *, seed: int = 0
) -> CodeDirections:
    """Random orthogonal directions through the mean embedding, which balances the bits.

    Embeddings of many networks lie in a narrow cone: with hyperplanes through the origin, most bits
    would be the same for every face.

    Args:
        embeddings: L2-normalised, of many identities, (N, D).
        bits: code length, a multiple of 8, 128 to 1024.
        seed: of the random rotation.

    Raises:
        UsageError: an impossible number of bits, or too few embeddings.
    """
    _check(bits)
    _check_enough(len(embeddings), 100)
    return _from_mean(_rotations(embeddings.shape[1], bits, seed), embeddings.mean(axis=0))


def itq_directions(embeddings: NDArray[np.float32], bits: int, *, seed: int = 0) -> CodeDirections:
    """Directions through the mean embedding, rotated to the data by iterative quantisation (ITQ).

    Each block of D bits starts from another random rotation, so that blocks differ.

    Args:
        embeddings: L2-normalised, of many identities, (N, D); N at least 10 D.
        bits: code length, a multiple of 8, 128 to 1024.
        seed: of the initial rotations and of the subsample.

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
    """Hamming distance of codes, row by row: (..., B / 8) -> (...), in bits."""
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
            cure="enroll more first",
        )


def _rotations(size: int, bits: int, seed: int) -> NDArray[np.float32]:
    """Random orthogonal matrices, concatenated and truncated to (size, bits)."""
    generator = np.random.default_rng(seed)
    blocks = []
    for _ in range(-(-bits // size)):
        orthogonal, upper = np.linalg.qr(generator.standard_normal((size, size)))
        blocks.append(orthogonal * np.sign(np.diag(upper)))  # Haar measure: Mezzadri 2007
    return np.concatenate(blocks, axis=1)[:, :bits].astype(np.float32)


def _quantised(centred: NDArray[np.float32], rotation: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rotation R that minimises |sign(V R) - V R|: codes and R updated in turn, eq. 2."""
    for _ in range(ROUNDS):
        codes = np.where(centred @ rotation > 0, np.float32(1), np.float32(-1))  # (N, D)
        left, _, right = np.linalg.svd(centred.T @ codes)  # orthogonal Procrustes
        rotation = left @ right
    return rotation
