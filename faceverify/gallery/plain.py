"""The protection of a gallery that is not encrypted: checksums, so that damage is seen."""

from __future__ import annotations

from hashlib import blake2b

from faceverify.errors import GalleryError

CHECKSUM = 8  # bytes: one damaged row in 2^64 passes


class Checksums:
    """Keeps data as it is, followed by a checksum of it and of its place. No secret is involved."""

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """The data and its checksum."""
        return plain + _checksum(plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """The data, if it is whole.

        Raises:
            GalleryError: it was changed, or belongs to another place (code ``gallery-damaged``).
        """
        plain = sealed[:-CHECKSUM]
        if len(sealed) < CHECKSUM or sealed[-CHECKSUM:] != _checksum(plain, place):
            raise GalleryError(
                f"{place.decode('utf-8', 'replace')}: the checksum is wrong", code="gallery-damaged"
            )
        return plain

    def blind(self, value: bytes) -> bytes:
        """A hash, 32 bytes."""
        return blake2b(value, digest_size=32).digest()


def _checksum(plain: bytes, place: bytes) -> bytes:
    # the length as salt: the place cannot be confused with the end of the data
    return blake2b(
        plain + place, digest_size=CHECKSUM, salt=len(place).to_bytes(16, "little")
    ).digest()
