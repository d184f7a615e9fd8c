"""What protects the rows of an embedded gallery: checksums, or encryption with a key.

Encryption is AES-256-GCM, each piece of data bound to its place. The key is a passphrase stretched
by scrypt (RFC 7914), or 64 hexadecimal digits, which are a key already and cost nothing at start.
Two keys are derived from it: one encrypts, the other blinds the names under which rows are found.
NIST SP 800-38D allows 2^32 random nonces a key. It protects what lies on the disk, not what a
process has in memory while it searches.
"""

from __future__ import annotations

import hmac
import os
import re
from hashlib import blake2b, scrypt, sha256
from typing import Any, Protocol

from faceverify.errors import GalleryError

CHECKSUM = 8  # bytes: one damaged row in 2^64 passes
NONCE = 12  # bytes: what GCM is made for
# memory 128 * n * r = 128 MiB and a third of a second: the least that OWASP advises for scrypt
COSTS = {"n": 2**17, "r": 8, "p": 1}
MOST_MEMORY = 2**30  # bytes that a gallery of a stranger may make scrypt take
READY_KEY = re.compile(r"[0-9a-fA-F]{64}")


class Protection(Protocol):
    """Seals what is stored, each piece bound to its place."""

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


class Encryption:
    """Seals and opens pieces of data with one key.

    Make one with :meth:`create` or :meth:`unlock`.
    """

    def __init__(self, key: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise GalleryError(
                "an encrypted gallery needs the package cryptography, which is not installed",
                cure="pip install 'faceverify[gallery]'",
                code="gallery-key",
            ) from None
        self._cipher = AESGCM(_derived(key, b"faceverify encryption"))
        self._blinding = _derived(key, b"faceverify blinding")

    @classmethod
    def create(cls, passphrase: str) -> tuple[Encryption, dict[str, Any]]:
        """A new key of a passphrase, and the parameters that are needed to unlock it again.

        The parameters tell nothing about the key and are stored in the open.

        Raises:
            GalleryError: the passphrase is empty.
        """
        parameters: dict[str, Any] = {"kdf": "none"}
        if not READY_KEY.fullmatch(passphrase):
            parameters = {"kdf": "scrypt", "salt": os.urandom(16).hex(), **COSTS}
        encryption = cls(_key(passphrase, parameters))
        return encryption, {**parameters, "check": encryption.blind(b"check").hex()}

    @classmethod
    def unlock(cls, passphrase: str, parameters: dict[str, Any]) -> Encryption:
        """The key of a gallery that exists.

        Raises:
            GalleryError: the passphrase is another one, or the parameters are damaged.
        """
        encryption = cls(_key(passphrase, parameters))
        check = parameters.get("check")
        if not (
            isinstance(check, str)
            and check.isascii()
            and hmac.compare_digest(check, encryption.blind(b"check").hex())
        ):
            raise GalleryError(
                "the key does not open this gallery",
                cure="give the one it was made with, by --key-file or FACEVERIFY_GALLERY_KEY",
                code="gallery-key",
            )
        return encryption

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Encrypt and authenticate a piece of data for one place: nonce, ciphertext, tag."""
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Decrypt a piece of data.

        Raises:
            GalleryError: it was changed, or sealed for another place or with another key.
        """
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], place)
        except (InvalidTag, ValueError):  # ValueError: too short to hold nonce and tag
            where = place.decode(errors="replace")
            raise GalleryError(
                f"{where}: fails its authentication: it was changed or moved",
                cure="restore the gallery from a backup",
                code="gallery-damaged",
            ) from None

    def blind(self, value: bytes) -> bytes:
        """A keyed hash of 32 bytes: the same value gives the same one, and nothing tells which."""
        return hmac.digest(self._blinding, value, "sha256")


def _key(passphrase: str, parameters: dict[str, Any]) -> bytes:
    """Stretch a passphrase; 32 bytes."""
    if not passphrase.strip():
        raise GalleryError(
            "the key of the gallery is empty",
            cure="openssl rand -hex 32 > FILE makes one for --key-file",
            code="gallery-key",
        )
    if parameters.get("kdf") == "none":
        # a passphrase tried on a gallery with a ready key gives a key that fails the check
        ready = READY_KEY.fullmatch(passphrase)
        return bytes.fromhex(passphrase) if ready else sha256(passphrase.encode()).digest()
    try:
        n, r, p = (int(parameters[name]) for name in ("n", "r", "p"))
        salt = bytes.fromhex(parameters["salt"])
        if parameters["kdf"] != "scrypt" or 128 * n * r > MOST_MEMORY or p > 16:
            raise ValueError("not parameters of ours")
        return scrypt(
            passphrase.encode(), salt=salt, n=n, r=r, p=p, maxmem=2 * MOST_MEMORY - 1, dklen=32
        )
    except (KeyError, TypeError, ValueError):
        raise GalleryError(
            "the gallery's key parameters are damaged",
            cure="restore the gallery from a backup",
            code="gallery-damaged",
        ) from None


def _derived(key: bytes, purpose: bytes) -> bytes:
    """A key of its own for each purpose: HKDF's expand step (RFC 5869), one block."""
    return hmac.digest(key, purpose + b"\x01", "sha256")


def _checksum(plain: bytes, place: bytes) -> bytes:
    # the length as salt: the place cannot be confused with the end of the data
    return blake2b(
        plain + place, digest_size=CHECKSUM, salt=len(place).to_bytes(16, "little")
    ).digest()
