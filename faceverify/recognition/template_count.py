"""How many templates a search meets: what its threshold depends on."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from faceverify.errors import FaceverifyError, GalleryError
from faceverify.models.model_file import ModelFile, load_model_file
from faceverify.models.registry import installed

if TYPE_CHECKING:
    from faceverify.gallery.store import Store

FRESH = 1.0  # seconds that a count is taken for true; other processes may enrol people meanwhile


class TemplateCount:
    """The templates of a model in a store, asked for again as time goes by.

    Raises:
        GalleryError: the store holds templates, but none of this model (code ``gallery-model``).
    """

    def __init__(self, store: Store, model: ModelFile) -> None:
        self._store = store
        self._model = model
        self._count = 0
        self._asked = float("-inf")
        self()

    def __call__(self) -> int:
        """How many there are."""
        now = time.monotonic()
        if now > self._asked + FRESH:
            self._count = templates_of(self._store, self._model)
            self._asked = now
        return self._count

    def grow(self, added: int) -> None:
        """Count some that were added just now."""
        self._count += added


def templates_of(store: Store, model: ModelFile) -> int:
    """How many templates of a model a gallery holds; 0 where it is empty.

    Raises:
        GalleryError: there are only templates of others (code ``gallery-model``).
    """
    counts = store.count()
    if counts and model.id not in counts:
        others = " and ".join(f"{name_of_model(other)} ({other})" for other in sorted(counts))
        raise GalleryError(
            f"{store.url}: its templates are of {others}, not of {model.provenance.name} "
            f"({model.id})",
            cure="give that --model, or `faceverify gallery rebuild` it with another",
            code="gallery-model",
        )
    return counts.get(model.id, 0)


def name_of_model(model_id: str) -> str:
    """The name under which a model is installed; "a model not installed here" for any other."""
    for one in installed():
        with suppress(FaceverifyError):  # a damaged file is nothing to the one looked for
            if load_model_file(one.path).id == model_id:
                return one.name
    return "a model that is not installed here"
