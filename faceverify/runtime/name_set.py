"""A set of millions of photos' names in 16 bytes each."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

DIGEST = 16  # bytes; ten million names share one of them with a chance of 1e-25
RECENT = 100_000  # names kept in a Python set, at some 80 bytes each, before they are packed


class PhotoSet:
    """Names that were seen; they can be added and looked up, not listed.

    >>> seen = PhotoSet(["a.jpg"])
    >>> "a.jpg" in seen, "b.jpg" in seen, seen.add("b.jpg"), seen.add("b.jpg")
    (True, False, True, False)
    """

    def __init__(self, photos: Iterable[str] = ()) -> None:
        self._packed = np.empty(0, f"V{DIGEST}").view(f"S{DIGEST}")  # sorted
        self._recent: set[bytes] = set()
        self.update(photos)

    def __contains__(self, photo: str) -> bool:
        digest = digest_of(photo)
        if digest in self._recent:
            return True
        place = int(np.searchsorted(self._packed, np.bytes_(digest)))
        # comparing the numpy way, which takes zero bytes at the end for none, as its sorting does
        return place < len(self._packed) and bool(self._packed[place] == np.bytes_(digest))

    def add(self, photo: str) -> bool:
        """Add a name; tell whether it is new."""
        if photo in self:
            return False
        self._recent.add(digest_of(photo))
        if len(self._recent) >= RECENT:
            recent = np.array(list(self._recent), f"S{DIGEST}")
            self._packed = np.sort(np.concatenate([self._packed, recent]))
            self._recent.clear()
        return True

    def update(self, photos: Iterable[str]) -> None:
        """Add names."""
        for photo in photos:
            self.add(photo)


def digest_of(photo: str) -> bytes:
    """Hash a name; one that is no UTF-8 too, and never to one that ends in zero bytes."""
    name = photo.encode("utf-8", "surrogateescape")
    return blake2b(name, digest_size=DIGEST).digest().replace(b"\0", b"\1")
