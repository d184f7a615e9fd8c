"""Template pooling of IJB-B/C: several photos of an identity, one embedding.

Whitelam et al., "IARPA Janus Benchmark-B", 2017. The usual pooling: embeddings weighted by detector
score, averaged over each media (so that a video does not outweigh a still), summed over the
template, L2-normalised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.metrics.pair_distances import pair_distances

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, eq=False)
class Templates:
    """Pooled templates.

    Args:
        ids: template ids, ascending, (T,).
        embeddings: L2-normalised, (T, D).
        photos: number of photos pooled in each, (T,).
    """

    ids: NDArray[np.int64]
    embeddings: NDArray[np.float32]
    photos: NDArray[np.int64]


def pool_templates(
    embeddings: NDArray[np.floating],
    template: NDArray[np.int64],
    media: NDArray[np.int64],
    *,
    weight: NDArray[np.floating] | None = None,
) -> Templates:
    """Templates pooled from the embeddings of photos.

    Args:
        embeddings: of the F photos that have one, not normalised, (F, D).
        template: template id of each photo, (F,).
        media: media id of each photo, (F,).
        weight: detector score of each photo, (F,); None for equal weights.

    Raises:
        UsageError: different numbers of rows.
        ModelError: a pooled embedding is NaN or zero.
    """
    if (
        not len(embeddings)
        == len(template)
        == len(media)
        == len(template if weight is None else weight)
    ):
        raise UsageError(
            f"templates: found {len(embeddings)} embeddings for {len(template)} photos"
        )
    rows = np.asarray(embeddings, np.float64)
    if weight is not None:
        rows = rows * np.asarray(weight, np.float64)[:, None]
    order = np.lexsort((media, template))
    rows, template, media = rows[order], template[order], media[order]
    fresh = np.append(
        True, (template[1:] != template[:-1]) | (media[1:] != media[:-1])
    )  # (F,): the first photo of each media of a template
    start = np.flatnonzero(fresh)
    size = np.diff(np.append(start, len(rows)))
    means = np.add.reduceat(rows, start, axis=0) / size[:, None]  # (media, D)
    ids, first = np.unique(template[start], return_index=True)
    photos = np.add.reduceat(size, first)
    return Templates(ids, unit_rows(np.add.reduceat(means, first, axis=0)), photos)


def template_distances(
    templates: Templates, first: Sequence[str], second: Sequence[str]
) -> NDArray[np.float64]:
    """Cosine distances of pairs of templates (IJB 1:1), (N,); ``inf`` for a failure to enroll.

    Args:
        templates: those with at least one embedding.
        first: template ids of a pair list, N.
        second: likewise.
    """
    one, other = (_positions(templates.ids, ids) for ids in (first, second))
    enrolled = np.append(np.ones(len(templates.ids), bool), False)  # index -1: a missing template
    return pair_distances(templates.embeddings, enrolled, one, other)


def _positions(known: NDArray[np.int64], ids: Sequence[str]) -> NDArray[np.int64]:
    """Index of each id in ``known``, -1 for a missing one."""
    listed = np.array(ids, dtype=np.int64)
    position = np.searchsorted(known, listed)
    found = known[np.minimum(position, len(known) - 1)] == listed
    return np.where(found, position, -1)
