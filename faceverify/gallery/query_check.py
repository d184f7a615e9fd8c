"""What a search on a server refuses before it asks the server."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import GalleryError


def check_queries(queries: NDArray[np.float32], *, width: int, model: str) -> None:
    """Make sure that they can be compared with the templates of a model.

    Args:
        queries: (Q, D).
        width: D of the model.

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
