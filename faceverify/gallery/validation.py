"""What every engine refuses, in the same words: no embedding, no name, no query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import GalleryError
from faceverify.runtime.text import is_line

if TYPE_CHECKING:
    from faceverify.gallery.store import Enrolment

UNIT = 1e-3  # how far from 1 the length of an embedding may be


def check_enrolments(enrolments: Sequence[Enrolment], *, width: int | None, model: str) -> int:
    """Make sure that they can be stored; returns how many numbers an embedding has.

    Args:
        enrolments: at least one.
        width: numbers of an embedding of the model; None where the gallery has none of it yet.
        model: its id.

    Raises:
        GalleryError: an embedding that is none, or of another model; a name that is no line.
    """
    for enrolment in enrolments:
        check_name(enrolment.name)
        if len(enrolment.photo_hash) != 32:
            raise GalleryError(f"{enrolment.photo}: the hash of a photo has 32 bytes")
    widths = {enrolment.embedding.shape for enrolment in enrolments}
    expected = {(width,)} if width else widths
    if widths - expected or len(widths) != 1 or len(next(iter(widths))) != 1:
        found = ", ".join(sorted(str(shape) for shape in widths))
        raise GalleryError(
            f"embeddings of shape {found}, where those of model {model} have "
            f"{width or 'all the same'}",
            cure="use the model that the gallery was made with",
            code="gallery-model",
        )
    lengths = np.linalg.norm(np.stack([one.embedding for one in enrolments]), axis=1)
    if not (np.abs(lengths - 1) < UNIT).all():  # false for what is not a number, too
        worst = int(np.argmax(~(np.abs(lengths - 1) < UNIT)))
        raise GalleryError(
            f"{enrolments[worst].photo}: its embedding has the length {lengths[worst]:g}, not 1",
            cure="embed the photo again",
        )
    return int(next(iter(widths))[0])


def check_name(name: str) -> None:
    """Make sure that a person can be called that.

    Raises:
        GalleryError: it is empty, or not one line of text (code ``gallery-name``).
    """
    if not name or not is_line(name):
        raise GalleryError(
            f"{name!a} is no name of a person", cure="give one line of text", code="gallery-name"
        )


def check_queries(queries: NDArray[np.float32], *, width: int, model: str) -> None:
    """Make sure that they can be compared with the templates of a model.

    Args:
        queries: (Q, D).
        width: D of the model.
        model: its id.

    Raises:
        GalleryError: they are of another shape, or no numbers.
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
