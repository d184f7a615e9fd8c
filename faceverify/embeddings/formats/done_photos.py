"""Photos whose embeddings an output holds already: the same photos, embedded in the same way."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from faceverify.embeddings.compute import EMBEDDING_VERSION
from faceverify.faces.options import FaceOptions
from faceverify.images.content import content_hash, settled_state
from faceverify.runtime.name_set import PhotoSet


def way_of(options: FaceOptions) -> str:
    """Short hash of what decides the embeddings of a photo, besides its model."""
    decisive = (options.face.value, options.min_face, options.aligned, options.augment)
    return hashlib.sha256(repr((EMBEDDING_VERSION, *decisive)).encode()).hexdigest()[:8]


def origin_of(content: str, way: str, state: str) -> str:
    """What a photo was when it was embedded, and how that was done.

    Args:
        content: SHA-256 of it, in hexadecimal.
        way: see :func:`way_of`.
        state: of its file, before it was read; see ``images/content.py``.
    """
    return f"{content} {way} {state}".rstrip()


class DonePhotos:
    """Photos of an output, and what each was then; 64 bytes a photo.

    Args:
        way: in which photos are embedded now.
    """

    def __init__(self, way: str) -> None:
        self._way = way
        self._earlier = PhotoSet()
        self._states = PhotoSet()
        self._contents = PhotoSet()
        self._now = PhotoSet()
        self._outdated: set[str] = set()

    def update(self, photos: Sequence[str], origins: Sequence[object] | None) -> None:
        """Add photos of the output as it was."""
        self._earlier.update(photos)
        if origins is None:
            return
        for photo, origin in zip(photos, origins, strict=True):
            content, _, rest = str(origin).partition(" ")
            way, _, state = rest.partition(" ")
            if content and way == self._way:
                self._contents.add(_key(photo, content))
                self._states.update([_key(photo, state)] if state else [])

    def __contains__(self, photo: str) -> bool:
        return photo in self._now or photo in self._earlier

    def wants(self, photo: str) -> bool:
        """Whether a photo is to be embedded: it is new, or not what it was; asked once each."""
        return self._now.add(photo) and not (photo in self._earlier and self._is_same(photo))

    def take_outdated(self) -> set[str]:
        """Photos that were asked for since the last call, and are not what the output holds."""
        found, self._outdated = self._outdated, set()
        return found

    def _is_same(self, photo: str) -> bool:
        state = settled_state(photo)
        if state and _key(photo, state) in self._states:
            return True
        content = content_hash(photo)
        if content and _key(photo, content) in self._contents:
            return True
        if content:  # a photo that cannot be read now may be there again tomorrow
            self._outdated.add(photo)
        return False


def _key(photo: str, what: str) -> str:
    return f"{photo}\0{what}"
