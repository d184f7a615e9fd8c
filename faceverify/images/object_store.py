"""Photos in object stores: ``s3://``, ``gs://``, ``abfs://``, ``hdfs://`` and ``file://`` URLs.

Read by pyarrow's file systems (the extra ``parquet``), which bring their clients and take the
credentials of each store's usual settings: https://arrow.apache.org/docs/python/filesystems.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from faceverify.errors import ImageError, UsageError
from faceverify.runtime.patience import seconds_to_wait, within

Answer = TypeVar("Answer")

ANSWER_SECONDS = 120.0  # of one request, with the store's own repetitions

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "file")
URL = re.compile(rf"({'|'.join(SCHEMES)})://.")
# user:password@, where the password may hold a slash; host:port/ is none
CREDENTIALS = re.compile(r"\w+://[^/@:]*:(?!\d{1,5}/).*@|\w+://:")


def is_url(name: str) -> bool:
    """Whether a photo's name is a URL of an object store rather than a path."""
    return URL.match(name) is not None


def read_object(url: str, most: int) -> bytes:
    """The content of one object.

    Args:
        most: bytes to read at most.

    Raises:
        ImageError: it does not exist, or cannot be read.
        UsageError: pyarrow is not installed.
    """
    system, path = _opened(url)

    def read() -> bytes:
        with system.open_input_file(path) as stream:
            content: bytes = stream.read(most)
            return content

    try:
        return _answer(read)
    except FileNotFoundError:
        raise ImageError(f"{url}: no such photo", code="image-missing") from None
    except OSError as problem:
        raise _unreadable(url, problem) from None


def list_objects(url: str) -> Iterator[str]:
    """URLs of all objects below a URL, quoted, sorted by name within each folder.

    Raises:
        ImageError: it cannot be listed.
        UsageError: pyarrow is not installed.
    """
    system, start = _opened(url)
    from pyarrow.fs import FileSelector, FileType

    prefix, _, options = url.partition("?")
    root = prefix.rstrip("/")
    waiting = [start.rstrip("/")]
    while waiting:
        try:
            folder = FileSelector(waiting.pop())
            found = _answer(partial(system.get_file_info, folder))
            found.sort(key=lambda entry: entry.base_name)
        except (OSError, ValueError) as problem:  # ValueError: a name that is no UTF-8
            raise _unreadable(url, problem) from None
        for entry in found:
            if entry.type == FileType.File and not entry.base_name.startswith("."):
                name = root + quote(entry.path[len(start.rstrip("/")) :])
                yield f"{name}?{options}" if options else name
        folders = [entry.path for entry in found if entry.type == FileType.Directory]
        waiting += reversed(folders)


def is_folder(url: str) -> bool:
    """Whether a URL is a folder of objects and not an object."""
    system, path = _opened(url)
    from pyarrow.fs import FileType

    try:
        found = _answer(partial(system.get_file_info, path.rstrip("/")))
        return bool(found.type == FileType.Directory)
    except OSError as problem:
        raise _unreadable(url, problem) from None


def object_state(url: str) -> tuple[str, bool]:
    """Size and time of an object, and True: no store changes one without its time.

    Raises:
        OSError, ImageError: it is not there, or cannot be asked about.
        UsageError: pyarrow is not installed.
    """
    system, path = _opened(url)
    found = system.get_file_info(path)
    if found.mtime_ns is None:
        raise FileNotFoundError(url)
    return f"{found.size} {found.mtime_ns}", not url.startswith("file:")


def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises:
        ImageError: the URL holds a password, which would be printed and stored with its photos.
        UsageError: pyarrow is not installed.
    """
    if CREDENTIALS.match(url):
        raise ImageError(
            f"{url.partition(':')[0]}://...: a URL with a password in it",
            cure="give it to the store's client, as in AWS_SECRET_ACCESS_KEY or ~/.aws/credentials",
        )
    try:
        from pyarrow.fs import FileSystem
    except ImportError:
        raise UsageError(
            f"{url}: object stores need pyarrow", cure="pip install 'faceverify[parquet]'"
        ) from None
    try:
        system, path = _answer(partial(FileSystem.from_uri, url))
    except (OSError, ValueError) as problem:
        raise _unreadable(url, problem) from None
    return system, path


def _answer(ask: Callable[[], Answer]) -> Answer:
    """The answer of a store.

    Raises:
        TimeoutError: there is none in time; pyarrow itself has no such limit for every store.
    """
    return within(seconds_to_wait(ANSWER_SECONDS), ask)


def _unreadable(url: str, problem: Exception) -> ImageError:
    (line, *_) = str(problem).splitlines() or [type(problem).__name__]
    return ImageError(f"{url}: cannot be read ({line})")
