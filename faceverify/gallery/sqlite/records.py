"""What lies in a row of an embedded gallery, and how a row is bound to its place and its set.

A template's record is, sealed for the place it stands at (sequence, identity and model)::

    photo hash 32 bytes | quality f64 | time f64 | D u32 | embedding D x f32 | photo, UTF-8

all little-endian. An identity's name is sealed for its number. So a row that was changed, or put
in another one's place, does not open. Each row has a tag, too, a keyed hash of all of it; the sum
of the tags of all rows stands in the gallery's sealed state, and tells of rows that are missing or
were brought back.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np

from faceverify.errors import GalleryError
from faceverify.gallery.sqlite.protection import Protection
from faceverify.gallery.store import Enrolment, StoredTemplate

HEAD = struct.Struct("<32sddI")
KEY = 16  # bytes of a blinded name or photo hash: enough to find it by
MODULUS = 1 << 256  # tags are added modulo this


def name_key(protection: Protection, name: str) -> bytes:
    """What a person is found by."""
    return protection.blind(b"name\0" + name.encode())[:KEY]


def photo_key(protection: Protection, photo_hash: bytes) -> bytes:
    """What the templates of a photo are found by."""
    return protection.blind(b"photo\0" + photo_hash)[:KEY]


def template_place(sequence: int, identity: int, model: int) -> bytes:
    """Where a record belongs."""
    return b"templates/%d/%d/%d" % (sequence, identity, model)


def identity_place(identity: int) -> bytes:
    """Where a name belongs."""
    return b"identities/%d" % identity


def open_template(
    protection: Protection, sequence: int, identity: int, model: int, record: bytes
) -> tuple[bytes, int]:
    """A record, opened, and its tag.

    Raises:
        GalleryError: it was changed, or belongs elsewhere.
    """
    if not (isinstance(record, bytes) and isinstance(identity, int) and isinstance(model, int)):
        raise GalleryError(
            f"templates/{sequence}: is of another type: it was changed", code="gallery-damaged"
        )
    place = template_place(sequence, identity, model)
    return protection.open(record, place), tag(protection, place, record)


def open_name(protection: Protection, identity: int, sealed: bytes | None) -> tuple[str, int]:
    """A name, opened, and its tag.

    Raises:
        GalleryError: it was changed, or belongs to another person, or is missing.
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
    """The share of a row in the sum over its set."""
    return int.from_bytes(protection.blind(b"row\0" + place + b"\0" + sealed), "little")


def total(tags: Iterable[int]) -> int:
    """The sum of tags: the same in any order, another one if a row is missing or doubled."""
    return sum(tags) % MODULUS


def pack(enrolment: Enrolment, time: float) -> bytes:
    """A record, not yet sealed."""
    embedding = enrolment.embedding.astype("<f4", copy=False)
    head = HEAD.pack(enrolment.photo_hash, enrolment.quality, time, len(embedding))
    return head + embedding.tobytes() + enrolment.photo.encode("utf-8", "surrogateescape")


def unpack(record: bytes, *, name: str, sequence: int, model: str) -> StoredTemplate:
    """A record, opened."""
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
    """Only the embedding of an opened record.

    Raises:
        GalleryError: it has not the model's length.
    """
    (found,) = struct.unpack_from("<I", record, HEAD.size - 4)
    if found != width:
        raise GalleryError(
            f"a template of {found} numbers, where the model has {width}", code="gallery-damaged"
        )
    return record[HEAD.size : HEAD.size + 4 * width]
