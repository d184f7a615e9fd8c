"""IJB-B/C templates: many photos of a person pooled into one embedding.

Whitelam et al., "IARPA Janus Benchmark-B", 2017. Pooling as the field does it: each embedding times
its detector score, the mean over each media (a video must not outweigh a still), the sum over the
template, length 1.
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
    """Pooled embeddings.

    Args:
        ids: ascending, (T,).
        embeddings: of length 1, (T, D).
    """

    ids: NDArray[np.int64]
    embeddings: NDArray[np.float32]


def pool_templates(
    embeddings: NDArray[np.floating],
    template: NDArray[np.int64],
    media: NDArray[np.int64],
    *,
    weight: NDArray[np.floating] | None = None,
) -> Templates:
    """Pool the embeddings of photos into templates.

    Args:
        embeddings: of the F photos that have one, (F, D), as the model gives them.
        template: of each photo, (F,).
        media: of each photo, (F,).
        weight: detector score of each photo, (F,); None weighs all alike.

    Raises:
        UsageError: numbers of rows that differ.
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
    return Templates(ids, unit_rows(np.add.reduceat(means, first, axis=0)))


def template_distances(
    templates: Templates, first: Sequence[str], second: Sequence[str]
) -> NDArray[np.float64]:
    """Compare templates pair by pair (IJB 1:1).

    Args:
        templates: the pooled ones; a template none of whose photos has an embedding is not in it.
        first: ids as a pair list holds them, N.
        second: likewise.

    Returns:
        Cosine distances, (N,); ``inf`` where a template is missing: a failure to enrol.
    """
    one, other = (_positions(templates.ids, ids) for ids in (first, second))
    enrolled = np.append(np.ones(len(templates.ids), bool), False)  # a missing one stands at -1
    return pair_distances(templates.embeddings, enrolled, one, other)


def _positions(known: NDArray[np.int64], ids: Sequence[str]) -> NDArray[np.int64]:
    """Return where each id stands in ``known``, -1 where it does not."""
    wanted = np.array(ids, dtype=np.int64)
    position = np.searchsorted(known, wanted)
    found = known[np.minimum(position, len(known) - 1)] == wanted
    return np.where(found, position, -1)
