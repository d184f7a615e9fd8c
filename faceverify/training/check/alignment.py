"""Do the faces of crops lie where the template has them? Crops of another cut train badly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.faces.alignment import similarity
from faceverify.training.check.problems import Problem

MOST_OFF = 0.12  # in the median. Of LFW: its aligned crops 0.03, facenet's 0.28, photos 0.43
FEWEST_FOUND = 0.5  # share of the crops in which a face is found


def offsets(
    points: Sequence[NDArray[np.floating] | None], template: ArrayLike, stretch: ArrayLike
) -> NDArray[np.float64]:
    """How far faces lie from where the template has them, as a share of its eyes' distance.

    The template's points are carried onto the face's by the similarity that fits best; how far they
    move is where the face lies, and how large and how turned it is, whatever its own shape.

    Args:
        points: of each crop, (5, 2) in pixels; None where no face was found.
        template: (5, 2), in pixels of its own crop.
        stretch: width and height of each crop over the template's, (N, 2).

    Returns:
        Root of the mean square over the five points, of the crops with a face, (M,).
    """
    wanted = np.asarray(template, float)
    eyes = float(np.linalg.norm(wanted[1] - wanted[0]))
    shares = np.asarray(stretch, float)
    found = []
    for own, share in zip(points, shares, strict=True):
        if own is not None:
            matrix = similarity(wanted, np.asarray(own, float) / share)
            moved = wanted @ matrix[:, :2].T + matrix[:, 2] - wanted
            found.append(np.sqrt((moved**2).sum(axis=1).mean()) / eyes)
    return np.array(found, float)


def alignment_problems(
    off: NDArray[np.float64], looked_at: int, *, source: str, template: str
) -> list[Problem]:
    """Judge the offsets of a sample of crops: no problem or one.

    Args:
        off: as :func:`offsets` gives them, of the crops with a face.
        looked_at: how many crops there were.
    """
    median = float(np.median(off)) if len(off) else float("nan")
    values = {"median_offset": round(median, 4) if len(off) else 0.0, "found": len(off)}
    values |= {"looked_at": looked_at}
    if looked_at and len(off) < FEWEST_FOUND * looked_at:
        text = f"a face is found in {len(off)} of {looked_at} crops"
    elif len(off) and median > MOST_OFF:
        text = (
            f"faces lie {median:.0%} of the distance between the eyes away from {template}, in the "
            f"median of {len(off)} crops"
        )
    else:
        return []
    return [Problem("unaligned", source, f"{text}; cut them anew, faceverify align", values=values)]
