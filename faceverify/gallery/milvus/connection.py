"""Connections to Milvus, and its errors as one-line GalleryErrors.

milvus-lite is a server inside this process: it is started with the first connection to its file
and stopped with the last, so that another process can open the file.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from pymilvus import MilvusClient, MilvusException

from faceverify.errors import GalleryError
from faceverify.gallery.milvus.address import Address
from faceverify.gallery.milvus.consistency import ConsistentClient
from faceverify.runtime.patience import seconds_to_wait

CONNECT_SECONDS = 10.0
UNREACHABLE, NO_COLLECTION = 2, 100  # codes of pymilvus and of the server

_files: Counter[Path] = Counter()  # open connections of this process to each file
_guard = threading.Lock()


def connect(address: Address) -> ConsistentClient:
    """Connect to a server, or open an existing file.

    Raises:
        GalleryError: the server cannot be reached, or another process has the file open.
    """
    for name in (
        "pymilvus",
        "milvus_lite",
        "grpc._server",
    ):  # they print a traceback of errors that they raise as well
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if address.file is None:
        with failures(address):
            return ConsistentClient(
                MilvusClient(
                    uri=address.uri,
                    token=address.token,
                    db_name=address.database,
                    timeout=seconds_to_wait(CONNECT_SECONDS),
                )
            )
    _check_lite()
    with _guard:
        try:
            client = ConsistentClient(MilvusClient(uri=address.uri))
        except MilvusException as problem:
            raise GalleryError(
                f"{address.shown}: cannot be opened: another process uses it, or it is no file of"
                " milvus-lite",
                cure="wait for that process, or run a Milvus server for many",
                code="gallery-locked",
            ) from problem
        _files[address.file] += 1
    return client


def make_folder(address: Address, file: Path) -> None:
    """Create the folder that milvus-lite calls its file, if missing, accessible to its owner alone.

    Raises:
        GalleryError: a file of another kind is there, or the folder cannot be created.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        raise GalleryError(
            f"{address.shown}: is no file of milvus-lite (they are folders since 3.0)",
            cure="name another",
            code="gallery-foreign",
        ) from None
    except OSError as problem:
        raise GalleryError(
            f"{address.shown}: cannot be made ({problem.strerror})", cure="name another place"
        ) from problem


def disconnect(client: ConsistentClient, address: Address) -> None:
    """Close the connection, and the file with its last one."""
    client.close()
    if address.file is None:
        return
    with _guard:
        _files[address.file] -= 1
        if not _files[address.file]:
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(address.uri)


@contextmanager
def failures(address: Address) -> Iterator[None]:
    """Turn pymilvus's errors into GalleryError."""
    try:
        yield
    except MilvusException as problem:
        text = " ".join(str(problem.message).split())
        if address.token:
            text = text.replace(address.token.partition(":")[2] or address.token, "***")
        if problem.code == UNREACHABLE or "unavailable" in text.lower():
            raise _unreachable(address, text) from None
        if "auth" in text.lower():
            raise GalleryError(
                f"{address.shown}: {text}",
                cure="check user and password in the URL",
                code="gallery-unreachable",
            ) from None
        if problem.code == NO_COLLECTION:
            raise GalleryError(
                f"{address.shown}: a collection of it is gone ({text})",
                cure="open the gallery again: a model may have been replaced",
                code="gallery-missing",
            ) from problem
        raise GalleryError(f"{address.shown}: {text}") from problem
    except grpc.RpcError as problem:
        raise _unreachable(address, str(problem).partition("\n")[0]) from problem


def _unreachable(address: Address, text: str) -> GalleryError:
    return GalleryError(
        f"{address.shown}: the server cannot be reached ({text})",
        cure="check host, port and that it runs",
        code="gallery-unreachable",
    )


def _check_lite() -> None:
    """Check that milvus-lite is installed."""
    from importlib.util import find_spec

    if find_spec("milvus_lite") is None:
        raise GalleryError(
            "a milvus:///....db gallery needs milvus-lite", cure="pip install milvus-lite"
        )
