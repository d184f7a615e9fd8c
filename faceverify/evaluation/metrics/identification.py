"""1:N identification: rank-k on mated probes, TPIR at an FPIR with unmated ones.

ISO/IEC 19795-1 words: a probe is mated when its person is in the gallery. FPIR, the false positive
identification rate: unmated probes for which the gallery returns anybody. TPIR = 1 - FNIR: mated
probes that return their own person first and within the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.error_rates import FEWEST_EXPECTED_ERRORS, allowed_errors
from faceverify.evaluation.metrics.exact_distances import STEPS, distance_steps, exact_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

PROBES = 512  # compared at a time


@dataclass(frozen=True, eq=False)
class Identification:
    """What a gallery returns for P probes; a person's distance is that of the nearest template.

    Args:
        mated: whether the probe's person is in the gallery, (P,).
        rank: of the probe's person among all people, from 1, a tie counting against it; 0 for an
            unmated probe, (P,).
        distance: to the nearest person, (P,).
        failed_mated, failed_unmated: probes without an embedding: they return nobody.
    """

    mated: NDArray[np.bool_]
    rank: NDArray[np.int64]
    distance: NDArray[np.float64]
    failed_mated: int = 0
    failed_unmated: int = 0

    def rank_rate(self, k: int) -> float | None:
        """Return the share of mated probes whose person is among the k nearest (rank-k, CMC)."""
        probes = int(self.mated.sum()) + self.failed_mated
        return float(np.sum(self.mated & (self.rank <= k)) / probes) if probes else None

    def tpir_at_fpir(self, fpir: float) -> float | None:
        """Return the TPIR at the most permissive threshold whose FPIR does not exceed a target.

        None when the target allows fewer than 10 false positives, or there is no mated probe.
        """
        probes = int(self.mated.sum()) + self.failed_mated
        unmated = np.sort(self.distance[~self.mated])
        allowed = allowed_errors(fpir, len(unmated) + self.failed_unmated)
        if allowed < FEWEST_EXPECTED_ERRORS or not probes:
            return None
        limit = unmated[allowed] if allowed < len(unmated) else np.inf
        return float(np.sum(self.mated & (self.rank == 1) & (self.distance < limit)) / probes)


def identify(
    gallery: NDArray[np.floating],
    gallery_identities: Sequence[str],
    probes: NDArray[np.floating],
    probe_identities: Sequence[str],
    *,
    failed_identities: Sequence[str] = (),
) -> Identification:
    """Search every probe in a gallery.

    Args:
        gallery: (G, D).
        gallery_identities: G; a person may have several templates.
        probes: those that have an embedding, (P, D).
        probe_identities: P.
        failed_identities: the person of each probe without an embedding.

    Raises:
        ModelError: an embedding is NaN, infinite or zero.
        UsageError: an empty gallery, or other numbers of identities than of embeddings.
    """
    if not len(gallery) or len(gallery) != len(gallery_identities):
        raise UsageError(
            f"gallery: found {len(gallery)} embeddings for {len(gallery_identities)} identities"
        )
    if len(probes) != len(probe_identities):
        raise UsageError(
            f"probes: found {len(probes)} embeddings for {len(probe_identities)} identities"
        )
    known, searched = exact_rows(gallery), exact_rows(probes)
    people, code = np.unique(np.asarray(gallery_identities, dtype=str), return_inverse=True)
    order = np.argsort(code, kind="stable")
    known = known[order]
    start = np.searchsorted(code[order], np.arange(len(people)))
    column = {str(name): index for index, name in enumerate(people)}
    own = np.array([column.get(name, -1) for name in probe_identities], np.int64)
    rank = np.zeros(len(searched), np.int64)
    nearest = np.empty(len(searched))
    for top in range(0, len(searched), PROBES):
        block = slice(top, top + PROBES)
        distances = distance_steps(searched[block], known) / STEPS
        by_person = np.minimum.reduceat(distances, start, axis=1)  # (probes, people)
        nearest[block] = by_person.min(axis=1)
        own_distance = np.take_along_axis(by_person, np.maximum(own[block], 0)[:, None], axis=1)
        rank[block] = np.where(own[block] < 0, 0, np.sum(by_person <= own_distance, axis=1))
    failed_mated = sum(name in column for name in failed_identities)
    return Identification(
        own >= 0, rank, nearest, failed_mated, len(failed_identities) - failed_mated
    )
