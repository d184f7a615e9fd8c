"""Whether a photo is still the one that it was: by the state of its file, or by its content.

A file whose size and times are those of then has not changed. Where they differ, or the file was so
fresh that another change would not have shown, its content is compared.
"""

from __future__ import annotations

import hashlib
import os
import time

from faceverify.errors import FaceverifyError
from faceverify.images.object_store import is_url, object_state, read_object
from faceverify.images.photo import MAX_BYTES

RACY = 2_000_000_000  # ns: a file this fresh may change again without its times showing it


def file_state(path: str | bytes) -> tuple[str, bool]:
    """Size and times of a file, and whether these are old enough to show the next change.

    The time of the last change (ctime) shows a file that another one of the same size and date was
    moved over.

    Raises:
        OSError: there is no such file.
    """
    found = os.stat(path)
    state = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
    return state, max(found.st_mtime_ns, found.st_ctime_ns) + RACY < time.time_ns()


def settled_state(photo: str) -> str:
    """State of a photo's file or object; empty where it cannot tell whether it will have changed.

    Args:
        photo: path or URL.
    """
    try:
        state, settled = object_state(photo) if is_url(photo) else file_state(photo)
    except (OSError, ValueError, FaceverifyError):
        return ""
    return state if settled else ""


def content_hash(photo: str) -> str:
    """SHA-256 of a photo's content, in hexadecimal; empty where it cannot be read.

    Args:
        photo: path or URL.
    """
    found = hashlib.sha256()
    try:
        if is_url(photo):
            found.update(read_object(photo, MAX_BYTES))
        else:
            with open(photo, "rb") as stream:
                while part := stream.read(1 << 20):
                    found.update(part)
    except (OSError, ValueError, FaceverifyError):
        return ""
    return found.hexdigest()
