"""Append-only audit log of a gallery: JSON lines in a hash chain.

Each line carries the SHA-256 of the line before it and its own, so that a line changed, removed or
inserted breaks the chain. A user with write access can still truncate the file, or replace all of
it: keep the head that ``gallery audit verify`` prints in another place, and pass it next time as
``--head``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from faceverify.errors import GalleryError, OutputError, without_secrets
from faceverify.runtime.json_lines import json_line

FIRST = "0" * 64  # hash of the line before the first
OWN = ("number", "time", "event", "previous")  # fields that every line has, before its hash
SEAL = re.compile(rb', "hash": "([0-9a-f]{64})"}\n$')


class AuditLog:
    """Writer of an audit log; any number of processes may share a file.

    Args:
        path: the file; created with the first event, readable by its owner alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, event: str, **facts: Any) -> None:
        """Write one event; it is on the disk once this returns.

        Args:
            event: "enroll", "remove", "rename", "verify", "identify", ...
            facts: JSON values.

        Raises:
            OutputError: it cannot be written; the log is unchanged.
            GalleryError: the file is not an audit log.
        """
        self.append_all([(event, facts)])

    def append_all(self, events: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Write several events at once, as :meth:`append` does."""
        try:
            with _locked(self._path) as stream:
                number, previous, cut = _end_of(stream, self._path)
                if cut:  # a line that a crash tore was never acknowledged
                    stream.truncate(stream.tell())
                    events = [("recovered", {"bytes_cut": cut}), *events]
                lines = []
                for event, facts in events:
                    number += 1
                    line = {"number": number, "time": time.time(), "event": event}
                    for key, fact in facts.items():
                        line[key] = without_secrets(fact) if isinstance(fact, str) else fact
                    body = json_line({**line, "previous": previous})
                    previous = _hash(body.encode())
                    lines.append(f'{body[:-1]}, "hash": "{previous}"}}\n')
                _write_whole(stream, "".join(lines).encode())
        except OSError as error:
            raise OutputError(
                f"{self._path}: the audit log cannot be written ({error.strerror})",
                cure="free some space, mend its permissions, or name another --audit",
            ) from None


@dataclass(frozen=True)
class AuditReport:
    """Result of checking an audit log.

    Attributes:
        lines: number of lines.
        head: hash of the last line, to be kept in another place.
        problems: one line of text for each fault.
    """

    lines: int
    head: str
    problems: list[str]


def check_audit_log(path: Path, *, head: str | None = None) -> AuditReport:
    """Check the whole hash chain.

    Args:
        path: the log.
        head: hash of a line that must be in it: proves that the log was not truncated or replaced
            since.

    Raises:
        GalleryError: the file cannot be read.
    """
    problems: list[str] = []
    previous, number = FIRST, 0
    seen = head is None or head == FIRST
    try:
        with path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                line = _parsed(raw)
                if line is None:
                    torn = "is torn" if not raw.endswith(b"\n") else "is no line of an audit log"
                    problems.append(f"{path}: line {number} {torn}")
                    continue
                if line.number != number or line.previous != previous:
                    problems.append(f"{path}: line {number} does not follow the line before it")
                if not line.intact:
                    problems.append(f"{path}: line {number} was changed")
                previous = line.hash
                seen |= previous == head
    except OSError as error:
        raise GalleryError(
            f"{path}: the audit log cannot be read ({error.strerror})",
            cure="name the file that --audit wrote",
        ) from None
    if not seen:
        problems.append(f"{path}: holds no line with the hash {head}: it was truncated or replaced")
    return AuditReport(number, previous, problems)


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """The log, opened for appending and locked."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "r+b", buffering=0) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # released when the file is closed
        yield stream


def _end_of(stream: BinaryIO, path: Path) -> tuple[int, str, int]:
    """Number and hash of the last whole line, and the bytes after it; seeks to its end."""
    size = stream.seek(0, os.SEEK_END)
    tail, start = b"", size
    while start > 0 and tail.count(b"\n") < 2:
        start = max(0, start - 65_536)
        stream.seek(start)
        tail = _read(stream, size - start)
    whole, newline, torn = tail.rpartition(b"\n")
    stream.seek(size - len(torn))
    if not newline:
        if torn and not torn.startswith(b'{"number":'[: len(torn)]):
            raise _foreign(path)
        return 0, FIRST, len(torn)
    line = _parsed(whole.rpartition(b"\n")[2] + b"\n")
    if line is None:
        raise _foreign(path)
    return line.number, line.hash, len(torn)


def _foreign(path: Path) -> GalleryError:
    return GalleryError(
        f"{path}: does not end in a line of an audit log", cure="name another file as --audit"
    )


def _read(stream: BinaryIO, count: int) -> bytes:
    """Exactly ``count`` bytes of an unbuffered stream, fewer at its end."""
    data = bytearray()
    while len(data) < count and (more := stream.read(count - len(data))):
        data += more
    return bytes(data)


def _write_whole(stream: BinaryIO, data: bytes) -> None:
    """Write and sync all of the data, or leave the file unchanged."""
    start = stream.tell()
    try:
        view = memoryview(data)
        while view:
            view = view[stream.write(view) :]
        os.fsync(stream.fileno())
    except OSError:
        stream.truncate(start)
        raise


@dataclass(frozen=True)
class _Line:
    number: int
    previous: str
    hash: str
    intact: bool


def _parsed(raw: bytes) -> _Line | None:
    """A parsed line of the log; None for anything else."""
    seal = SEAL.search(raw)
    try:
        fields = json.loads(raw)
    except ValueError:
        return None
    if seal is None or not all(key in fields for key in OWN) or type(fields["number"]) is not int:
        return None
    # the text is hashed, not the parsed values, which would hide a second key of the same name
    intact = _hash(raw[: seal.start()] + b"}") == seal[1].decode()
    return _Line(fields["number"], fields["previous"], seal[1].decode(), intact)


def _hash(body: bytes) -> str:
    """SHA-256 of a line without its hash."""
    return hashlib.sha256(body).hexdigest()
