"""Input validation shared by all engines: embeddings, names, queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import GalleryError
from faceverify.runtime.text import is_line

if TYPE_CHECKING:
    from faceverify.gallery.store import Enrollment

UNIT = 1e-3  # tolerance of an embedding's length, which is 1


def check_enrollments(enrollments: Sequence[Enrollment], *, width: int | None, model: str) -> int:
    """Check templates to be stored; returns the dimension of their embeddings.

    Args:
        enrollments: at least one.
        width: dimension of the model's embeddings; None if the gallery has none of it yet.
        model: id of the model.

    Raises:
        GalleryError: an embedding of another shape or length, or an invalid name or photo hash.
    """
    for enrollment in enrollments:
        check_name(enrollment.name)
        if len(enrollment.photo_hash) != 32:
            raise GalleryError(f"{enrollment.photo}: the hash of a photo has 32 bytes")
    widths = {enrollment.embedding.shape for enrollment in enrollments}
    expected = {(width,)} if width else widths
    if widths - expected or len(widths) != 1 or len(next(iter(widths))) != 1:
        found = ", ".join(sorted(str(shape) for shape in widths))
        raise GalleryError(
            f"embeddings of shape {found}, where those of model {model} have "
            f"{width or 'all the same'}",
            cure="use the model that the gallery was made with",
            code="gallery-model",
        )
    lengths = np.linalg.norm(np.stack([one.embedding for one in enrollments]), axis=1)
    if not (np.abs(lengths - 1) < UNIT).all():  # false for NaN, too
        worst = int(np.argmax(~(np.abs(lengths - 1) < UNIT)))
        raise GalleryError(
            f"{enrollments[worst].photo}: its embedding has the length {lengths[worst]:g}, not 1",
            cure="embed the photo again",
        )
    return int(next(iter(widths))[0])


def check_name(name: str) -> None:
    """Check a person's name.

    Raises:
        GalleryError: it is empty, or not one line of text (code ``gallery-name``).
    """
    if not name or not is_line(name):
        raise GalleryError(
            f"{name!a} is no name of a person", cure="give one line of text", code="gallery-name"
        )


def check_queries(queries: NDArray[np.float32], *, width: int, model: str) -> None:
    """Check queries against the dimension of a model.

    Args:
        queries: (Q, D).
        width: D of the model.
        model: id of the model.

    Raises:
        GalleryError: another shape, or values that are not finite.
    """
    if queries.ndim != 2 or queries.shape[1] != width:
        raise GalleryError(
            f"a query of shape {queries.shape}, where embeddings of model {model} have {width}"
            " numbers",
            cure="use the model that the gallery was made with",
            code="gallery-model",
        )
    if not np.isfinite(queries).all():
        raise GalleryError("a query holds what is no number", cure="embed the photo again")
