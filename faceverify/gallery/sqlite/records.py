"""Record format of an embedded gallery, and the binding of a row to its place and its set.

The record of a template, sealed for its place (sequence, identity and model), is::

    photo hash 32 bytes | quality f64 | time f64 | D u32 | embedding D x f32 | photo, UTF-8

all little-endian. The name of an identity is sealed for its number. So a row that was changed, or
moved to another place, does not open. Each row also has a tag, a hash of the whole row; the sum of
all tags is in the gallery's sealed manifest, and reveals missing and restored rows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np

from faceverify.errors import GalleryError
from faceverify.gallery.sqlite.protection import Protection
from faceverify.gallery.store import Enrollment, StoredTemplate

HEAD = struct.Struct("<32sddI")
KEY = 16  # bytes of a lookup key, of a name or photo hash
MODULUS = 1 << 256  # tags are added modulo this


def name_key(protection: Protection, name: str) -> bytes:
    """Lookup key of a person's name."""
    return protection.blind(b"name\0" + name.encode())[:KEY]


def photo_key(protection: Protection, photo_hash: bytes) -> bytes:
    """Lookup key of a photo's hash."""
    return protection.blind(b"photo\0" + photo_hash)[:KEY]


def template_place(sequence: int, identity: int, model: int) -> bytes:
    """Place of a template's record."""
    return b"templates/%d/%d/%d" % (sequence, identity, model)


def identity_place(identity: int) -> bytes:
    """Place of a person's name."""
    return b"identities/%d" % identity


def open_template(
    protection: Protection, sequence: int, identity: int, model: int, record: bytes
) -> tuple[bytes, int]:
    """An opened record and its tag.

    Raises:
        GalleryError: it was changed, or belongs to another place.
    """
    if not (isinstance(record, bytes) and isinstance(identity, int) and isinstance(model, int)):
        raise GalleryError(
            f"templates/{sequence}: is of another type: it was changed", code="gallery-damaged"
        )
    place = template_place(sequence, identity, model)
    return protection.open(record, place), tag(protection, place, record)


def open_name(protection: Protection, identity: int, sealed: bytes | None) -> tuple[str, int]:
    """An opened name and its tag.

    Raises:
        GalleryError: it was changed, belongs to another person, or is missing.
    """
    place = identity_place(identity)
    if not isinstance(sealed, bytes):
        raise GalleryError(
            f"{place.decode()}: is missing, or was changed",
            cure="restore a backup",
            code="gallery-damaged",
        )
    return protection.open(sealed, place).decode(), tag(protection, place, sealed)


def tag(protection: Protection, place: bytes, sealed: bytes) -> int:
    """Tag of a row: its summand in the multiset hash."""
    return int.from_bytes(protection.blind(b"row\0" + place + b"\0" + sealed), "little")


def total(tags: Iterable[int]) -> int:
    """Sum of tags modulo 2^256: independent of their order."""
    return sum(tags) % MODULUS


def pack(enrollment: Enrollment, time: float) -> bytes:
    """Record of a template, not yet sealed."""
    embedding = enrollment.embedding.astype("<f4", copy=False)
    head = HEAD.pack(enrollment.photo_hash, enrollment.quality, time, len(embedding))
    return head + embedding.tobytes() + enrollment.photo.encode("utf-8", "surrogateescape")


def unpack(record: bytes, *, name: str, sequence: int, model: str) -> StoredTemplate:
    """Template of an opened record."""
    photo_hash, quality, time, width = HEAD.unpack_from(record)
    return StoredTemplate(
        name=name,
        embedding=np.frombuffer(record, "<f4", width, HEAD.size).astype(np.float32),
        photo=record[HEAD.size + 4 * width :].decode("utf-8", "surrogateescape"),
        photo_hash=photo_hash,
        quality=quality,
        sequence=sequence,
        model=model,
        time=time,
    )


def embedding_bytes(record: bytes, width: int) -> bytes:
    """Embedding of an opened record, as little-endian float32.

    Raises:
        GalleryError: its dimension is not the model's.
    """
    (found,) = struct.unpack_from("<I", record, HEAD.size - 4)
    if found != width:
        raise GalleryError(
            f"a template of {found} numbers, where the model has {width}", code="gallery-damaged"
        )
    return record[HEAD.size : HEAD.size + 4 * width]
