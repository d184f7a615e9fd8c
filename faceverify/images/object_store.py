"""Photos in object stores: ``s3://``, ``gs://``, ``abfs://``, ``hdfs://`` and ``file://`` URLs.

By pyarrow's file systems (the extra ``parquet``), which carry their own clients and read the
credentials that each store's own tools read: https://arrow.apache.org/docs/python/filesystems.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from faceverify.errors import ImageError, UsageError

URL = re.compile(r"(s3|gs|gcs|abfs|abfss|hdfs|file)://.")


def is_url(name: str) -> bool:
    """Whether a photo's name is a URL of an object store rather than a path."""
    return URL.match(name) is not None


def read_object(url: str, most: int) -> bytes:
    """The content of one object, at most so many bytes of it.

    Raises:
        ImageError: there is none, or it cannot be read.
        UsageError: pyarrow is not installed.
    """
    system, path = _opened(url)
    try:
        with system.open_input_file(path) as stream:
            content: bytes = stream.read(most)
    except FileNotFoundError:
        raise ImageError(f"{_shown(url)}: no such photo", code="image-missing") from None
    except OSError as problem:
        raise _unreadable(url, problem) from None
    return content


def list_objects(url: str) -> Iterator[str]:
    """URLs of all objects below one, quoted, in order of their names, a folder at a time.

    Raises:
        ImageError: it cannot be listed.
        UsageError: pyarrow is not installed.
    """
    from pyarrow.fs import FileSelector, FileType

    system, start = _opened(url)
    prefix, _, options = url.partition("?")
    root = prefix.rstrip("/")
    waiting = [start.rstrip("/")]
    while waiting:
        try:
            found = system.get_file_info(FileSelector(waiting.pop()))
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
    """Whether there are objects below a URL, rather than one at it."""
    from pyarrow.fs import FileType

    system, path = _opened(url)
    try:
        return bool(system.get_file_info(path.rstrip("/")).type == FileType.Directory)
    except OSError as problem:
        raise _unreadable(url, problem) from None


def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    try:
        from pyarrow.fs import FileSystem
    except ImportError:
        raise UsageError(
            f"{_shown(url)}: object stores need pyarrow", cure="pip install 'faceverify[parquet]'"
        ) from None
    try:
        system, path = FileSystem.from_uri(url)
    except (OSError, ValueError) as problem:
        raise _unreadable(url, problem) from None
    return system, path


def _unreadable(url: str, problem: Exception) -> ImageError:
    (line, *_) = str(problem).splitlines() or [type(problem).__name__]
    return ImageError(f"{_shown(url)}: cannot be read ({line})")


def _shown(url: str) -> str:
    """The URL without a password."""
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", url)
