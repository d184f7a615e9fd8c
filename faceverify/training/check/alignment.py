"""Alignment check: position of the faces in crops, compared with their alignment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.faces.similarity import similarity
from faceverify.training.check.problems import Problem

MOST_OFF = 0.12  # largest median. Of LFW: its aligned crops 0.03, facenet's 0.28, photos 0.43
FEWEST_FOUND = 0.5  # share of the crops in which a face is found


def offsets(
    points: Sequence[NDArray[np.floating] | None], reference: ArrayLike, stretch: ArrayLike
) -> NDArray[np.float64]:
    """Displacement of faces from the alignment, relative to the distance between its eyes.

    The alignment's points are mapped to the face's by the best-fitting similarity; their
    displacement measures position, size and rotation, but not the shape of the face.

    Args:
        points: of each crop, (5, 2) in pixels; None where no face was found.
        reference: points of the alignment, (5, 2), in pixels of its crop.
        stretch: width and height of each crop over those of the alignment, (N, 2).

    Returns:
        Root mean square over the five points, for each crop with a face, (M,).
    """
    target = np.asarray(reference, float)
    eyes = float(np.linalg.norm(target[1] - target[0]))
    shares = np.asarray(stretch, float)
    found = []
    for own, share in zip(points, shares, strict=True):
        if own is not None:
            matrix = similarity(target, np.asarray(own, float) / share)
            moved = target @ matrix[:, :2].T + matrix[:, 2] - target
            found.append(np.sqrt((moved**2).sum(axis=1).mean()) / eyes)
    return np.array(found, float)


def alignment_problems(
    off: NDArray[np.float64], looked_at: int, *, source: str, alignment: str
) -> list[Problem]:
    """At most one problem, from the displacements of a sample of crops.

    Args:
        off: result of :func:`offsets`, of the crops with a face.
        looked_at: number of crops.
    """
    median = float(np.median(off)) if len(off) else float("nan")
    values = {"median_offset": round(median, 4) if len(off) else 0.0, "found": len(off)}
    values |= {"looked_at": looked_at}
    if looked_at and len(off) < FEWEST_FOUND * looked_at:
        text = f"a face is found in {len(off)} of {looked_at} crops"
    elif len(off) and median > MOST_OFF:
        text = (
            f"faces lie {median:.0%} of the distance between the eyes away from {alignment}, in "
            f"the median of {len(off)} crops"
        )
    else:
        return []
    return [Problem("unaligned", source, f"{text}; cut them anew, faceverify align", values=values)]
