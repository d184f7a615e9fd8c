"""Downloads of the catalogue: into a folder, whole and with the pinned hash, or not at all.

What has come of a file lies beside it, in ``NAME.part``; a later attempt, and a later run, asks for
the rest (RFC 9110, section 14). The catalogue's size and SHA-256 decide whether it is the file. So
no server has to say which version it sends: the rest of another one gives a wrong hash, and the
file is asked for once more, from the start. Proxies are those of the environment (``https_proxy``,
``no_proxy``), certificates those of the system, as urllib has them.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from io import FileIO
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from faceverify.errors import DownloadError, UsageError
from faceverify.models.catalogue import Download, find_download
from faceverify.runtime.files import atomic_write
from faceverify.version import __version__

try:
    import fcntl
except ImportError:  # Windows: two downloads of one file at once end in a wrong hash there
    fcntl = None  # type: ignore[assignment, unused-ignore]

Progress = Callable[[int, int], None]  # called with the bytes there and the bytes in all

CHUNK = 1 << 18  # bytes
LONGEST_PAUSE = 60.0  # seconds, whatever Retry-After says
AFRESH = 1 << 20  # bytes; a connection that brought as many counts as a success
PASSING = (408, 425, 429, 500, 502, 503, 504)  # answers that may be another one a moment later


@dataclass(frozen=True)
class Patience:
    """How long to put up with a network."""

    timeout: float = 30.0  # seconds for a connection, and for the next bytes
    attempts: int = 5  # failures in a row before giving up
    pause: float = 1.0  # seconds before the second attempt; doubles with each further one


USUAL = Patience()


class Pulled(NamedTuple):
    """A file of the catalogue on this machine, and whether it came only now."""

    path: Path
    downloaded: bool


class PassingError(Exception):
    """A failure that may be none a moment later; pause: seconds the server asked to wait."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


def nothing(_done: int, _total: int) -> None:
    """Show no progress."""


def pull(
    name: str,
    folder: Path,
    *,
    url: str = "",
    offline: bool = False,
    progress: Progress = nothing,
    patience: Patience = USUAL,
) -> Pulled:
    """Bring a file of the catalogue into a folder, unless it is there already.

    Args:
        name: what the catalogue calls it.
        folder: where it shall be; made if need be. A file that is there with the right hash is
            taken as it is, one with a wrong hash is replaced.
        url: a mirror: the file's own address, or one that ends in / and has its name appended.
        offline: ask no server; fail where the file is not there.
        progress: called with the bytes there and the bytes in all.
        patience: timeouts and attempts.

    Raises:
        UsageError: the catalogue has no such name, or the address is none.
        DownloadError: the file cannot be had, or is another one than the catalogue describes.
    """
    entry = find_download(name)
    address = mirrored(entry, url)
    target = folder / entry.file_name
    there = target.is_file() and target.stat().st_size == entry.size
    if there and hash_of(target) == entry.sha256:
        return Pulled(target, downloaded=False)
    if offline:
        state = "damaged" if target.exists() else "not there"
        raise DownloadError(
            f"{name}: {target} is {state}, and --offline forbids to download it",
            cure="run it without --offline, or copy the file there from another machine",
            code="download-offline",
        )
    with unwritable(target), opened_part(target) as part:
        missing, free = entry.size - size_of(part), shutil.disk_usage(folder).free
        if free < missing:
            raise DownloadError(
                f"{target}: {missing:,} bytes are still to come and {free:,} are free",
                cure="free some space, or give another folder",
                code="download-disk-full",
            )
        fetch(address, entry, part, patience, progress)
        os.fsync(part.fileno())  # whole on the disk before it gets its name
    with unwritable(target):
        Path(part.name).replace(target)
    return Pulled(target, downloaded=True)


def fetch(url: str, entry: Download, part: FileIO, patience: Patience, progress: Progress) -> None:
    """Ask until a part is the whole file; what is there of it already is not asked for again.

    Raises:
        DownloadError: it cannot be had. What came so far stays for the next time, unless its hash
            is wrong.
    """
    failures, pieced, again = 0, size_of(part) > 0, True
    while True:
        start = size_of(part)
        try:
            receive(url, entry, part, patience.timeout, progress)
        except PassingError as problem:
            failures = 1 if size_of(part) - start >= AFRESH else failures + 1
            if failures >= patience.attempts:
                raise DownloadError(
                    f"{url}: {problem}, {failures} times in a row",
                    cure="run the same command again later: it goes on where this one stopped",
                ) from problem
            pieced = pieced or size_of(part) > 0
            pause = max(problem.pause, patience.pause * 2 ** (failures - 1))
            time.sleep(min(pause, LONGEST_PAUSE))
            continue
        found = hash_of(Path(part.name))
        if found == entry.sha256:
            return
        part.truncate(0)
        if not (pieced and again):
            raise DownloadError(
                f"{url}: its SHA-256 is {found} and not {entry.sha256}; removed",
                cure="what is there now is another file, or something on the way changes it",
                code="download-hash",
            )
        again = False  # its pieces may be of two versions: once more, from the start


def receive(url: str, entry: Download, part: FileIO, timeout: float, progress: Progress) -> None:
    """Ask once for what is missing and append what comes.

    Raises:
        PassingError: the connection failed or broke off, or the server was busy.
        DownloadError: asking again cannot help.
    """
    size = size_of(part)
    if size == entry.size:
        return
    if size > entry.size:
        size = part.truncate(0)
    headers = {"User-Agent": f"faceverify/{__version__}", "Accept-Encoding": "identity"}
    if size:
        headers["Range"] = f"bytes={size}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  http: mirrored
    with network(url, part):
        # An opener of its own: urlopen would remember the proxies of the first call.
        answer = urllib.request.build_opener().open(request, timeout=timeout)
    with answer:
        total = answer.headers.get("Content-Length") or ""
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            span = answer.headers.get("Content-Range", "")
            if not (found := re.fullmatch(rf"bytes {size}-\d+/(\d+|\*)", span)):
                part.truncate(0)
                raise PassingError("the server sent another part than was asked for")
            total = found[1]
        else:
            size = part.truncate(0)  # the whole file comes, whatever was asked for
        if total.isdecimal() and int(total) != entry.size:
            raise other_size(url, entry, part, f"{int(total):,}")
        progress(size, entry.size)
        while True:
            with network(url, part):
                block = answer.read(CHUNK)
            if not block:
                break
            if size + len(block) > entry.size:
                raise other_size(url, entry, part, "more")
            while block:  # a disk that is nearly full takes some of it
                written = part.write(block)
                block, size = block[written:], size + written
            progress(size, entry.size)
    if size < entry.size:
        raise PassingError(f"broke off after {size:,} of {entry.size:,} bytes")


def other_size(url: str, entry: Download, part: FileIO, found: str) -> DownloadError:
    """The error of a file of another size, nothing of which stays."""
    part.truncate(0)
    return DownloadError(
        f"{url}: has {found} bytes, where {entry.size:,} were expected",
        cure="what is there now is another file",
        code="download-size",
    )


@contextmanager
def network(url: str, part: FileIO) -> Iterator[None]:
    """Turn failures into a PassingError, or a DownloadError where trying again cannot help."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        said = f"the server answered {error.code} {error.reason}"
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and size_of(part):
            part.truncate(0)
        elif error.code not in PASSING:
            raise DownloadError(
                f"{url}: {said}", cure="--url names a mirror", code="download-refused"
            ) from error
        after = error.headers.get("Retry-After", "")
        raise PassingError(said, float(after) if after.isdecimal() else 0.0) from error
    except (http.client.HTTPException, OSError, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"{url}: its certificate is not valid: {cause.verify_message}",
                cure="check the clock and the proxy, or set SSL_CERT_FILE",
            ) from error
        if isinstance(error, http.client.InvalidURL | ValueError):
            raise DownloadError(f"{url}: not an address: {error}") from error
        reason = getattr(cause, "strerror", None) or cause or type(cause).__name__
        raise PassingError(str(reason)) from error


@contextmanager
def opened_part(target: Path) -> Iterator[FileIO]:
    """Open what has come so far of a file, for this process alone; an empty one is removed again.

    Raises:
        DownloadError: another process is downloading it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(target.name + ".part")
    with path.open("ab", buffering=0) as part:
        if not alone_with(part, path):
            raise DownloadError(
                f"{target}: another process is downloading it", cure="wait for that one"
            )
        try:
            yield part
        finally:
            if size_of(part) == 0:
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def alone_with(part: FileIO, path: Path) -> bool:
    """Lock an open file; False if somebody else has, or has just given it its final name."""
    if not fcntl:
        return True
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(part.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def size_of(part: FileIO) -> int:
    """The bytes that have come so far."""
    return os.fstat(part.fileno()).st_size


def hash_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def unpacked(name: str, path: Path) -> Path:
    """Take the net out of a downloaded pack; a download that is no pack is passed on as it is.

    Raises:
        DownloadError: the net is not in there, or has another hash.
        OutputError: it cannot be written beside the pack.
    """
    entry = find_download(name)
    if not entry.member:
        return path
    try:
        with zipfile.ZipFile(path) as pack:
            inside = [item for item in pack.namelist() if Path(item).name == entry.member]
            if len(inside) != 1:
                raise DownloadError(f"{path}: holds {len(inside)} files {entry.member}, not one")
            net = pack.read(inside[0])
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DownloadError(f"{path}: not a zip archive that can be read: {error}") from error
    if (found := hashlib.sha256(net).hexdigest()) != entry.member_sha256:
        raise DownloadError(
            f"{path}: the SHA-256 of {entry.member} in it is {found}, where "
            f"{entry.member_sha256} was expected",
            code="download-hash",
        )
    target = path.with_name(f"{path.stem}-{entry.member}")
    atomic_write(target, net)
    return target


def mirrored(entry: Download, url: str) -> str:
    """Return the address to ask; UsageError where a mirror's is none."""
    if not url:
        return entry.url
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:  # a port that is no number, or half an IPv6 address
        usable = False
    if not usable:
        raise UsageError(
            f"--url {url}: not an http or https address",
            cure="a file on this machine is taken in by `faceverify weights import`",
        )
    return url + entry.file_name if url.endswith("/") else url


@contextmanager
def unwritable(target: Path) -> Iterator[None]:
    """Say in one line that the disk is full, or that the folder cannot be written to."""
    try:
        yield
    except OSError as error:
        said, code = f"cannot be written ({error.strerror or error})", None
        cure = "give another folder"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            said, code = "disk full", "download-disk-full"
            cure = "free some space and run it again: it goes on there"
        raise DownloadError(f"{target}: {said}", cure=cure, code=code) from error
