"""Conversion of pgvector's ``vector`` to and from NumPy, in its binary format, bit for bit.

The format, big-endian: dimension int16, zero int16, float32 values (``vector_send`` of pgvector).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types import TypeInfo

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.abc import Buffer

HEAD = struct.Struct(">HH")
MOST_INDEXED = 2000  # dimensions that an HNSW index of pgvector accepts


class Vector(bytes):
    """A vector in pgvector's binary format, to be sent to the server."""

    __slots__ = ()


def to_vectors(rows: NDArray[np.float32]) -> list[Vector]:
    """Rows (N, D) in binary format."""
    head = HEAD.pack(rows.shape[1], 0)
    return [Vector(head + row.tobytes()) for row in rows.astype(">f4")]


def from_vector(data: Buffer) -> NDArray[np.float32]:
    """A vector (D,) from its binary format."""
    return np.frombuffer(data, ">f4", offset=HEAD.size).astype(np.float32)


def register(connection: Connection[Any], oid: int) -> None:
    """Register the type with a connection; its oid differs between databases."""

    class VectorDumper(Dumper):
        format = Format.BINARY

        def dump(self, obj: Vector) -> Buffer:
            return obj

    class VectorLoader(Loader):
        format = Format.BINARY

        def load(self, data: Buffer) -> NDArray[np.float32]:
            return from_vector(data)

    VectorDumper.oid = oid
    TypeInfo("vector", oid, 0).register(connection)
    connection.adapters.register_dumper(Vector, VectorDumper)
    connection.adapters.register_loader(oid, VectorLoader)
