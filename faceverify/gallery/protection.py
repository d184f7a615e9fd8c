"""What an encrypted gallery does to its rows: the seam between the engine and the cipher."""

from __future__ import annotations

from typing import Protocol


class Protection(Protocol):
    """Seals what is stored, each piece bound to its place; ``encryption.py`` has the real one."""

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Encrypt and authenticate a piece of data for one place ("templates/17/embedding")."""
        ...

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Decrypt it.

        Raises:
            GalleryError: it was changed, or belongs to another place (code ``gallery-damaged``).
        """
        ...

    def blind(self, value: bytes) -> bytes:
        """A keyed hash, 32 bytes: finds what is stored under a name without telling the name."""
        ...
