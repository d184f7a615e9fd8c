"""Downloads of the catalogue: into a folder, whole and with the pinned hash, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from faceverify.errors import DownloadError, UsageError
from faceverify.files import atomic_writer
from faceverify.models.catalogue import Download, find_download
from faceverify.models.part_file import CHUNK, opened_part
from faceverify.models.transfer import Patience, Wanted, fetch

USUAL = Patience()


@dataclass(frozen=True)
class Pulled:
    """A file of the catalogue on this machine.

    Attributes:
        path: where it is.
        downloaded: whether it came now; False where it was there already.
    """

    path: Path
    downloaded: bool


def nothing(_done: int, _total: int) -> None:
    """Show no progress."""


def pull(
    name: str,
    folder: Path,
    *,
    url: str = "",
    offline: bool = False,
    progress: Callable[[int, int], None] = nothing,
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
    wanted = Wanted(address, entry.sha256, entry.size)
    with unwritable(target), opened_part(target) as part:
        enough_room(target, entry.size - part.size)
        fetch(wanted, part, patience=patience, progress=progress)
        os.fsync(part.stream.fileno())  # whole on the disk before it gets its name
    with unwritable(target):
        part.path.replace(target)
        part.note.unlink(missing_ok=True)
    return Pulled(target, downloaded=True)


def unpacked(name: str, path: Path) -> Path:
    """Take the net out of a downloaded pack; a download that is no pack is passed on as it is.

    Args:
        name: what the catalogue calls it.
        path: the downloaded file.

    Raises:
        DownloadError: the net is not in there, or has another hash.
        OutputError: it cannot be written beside the pack.
    """
    entry = find_download(name)
    if not entry.member:
        return path
    target = path.with_name(f"{path.stem}-{entry.member}")
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as pack, atomic_writer(target) as out:
            inside = [item for item in pack.namelist() if Path(item).name == entry.member]
            if len(inside) != 1:
                raise DownloadError(f"{path}: holds {len(inside)} files {entry.member}, not one")
            with pack.open(inside[0]) as source:
                while block := source.read(CHUNK):
                    digest.update(block)
                    out.write(block)
            if digest.hexdigest() != entry.member_sha256:
                raise DownloadError(
                    f"{path}: the SHA-256 of {entry.member} in it is {digest.hexdigest()}, where "
                    f"{entry.member_sha256} was expected",
                    code="download-hash",
                )
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DownloadError(f"{path}: not a zip archive that can be read: {error}") from error
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


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def enough_room(target: Path, missing: int) -> None:
    """Stop before the disk is full and not after; DownloadError says what is lacking."""
    free = shutil.disk_usage(target.parent).free
    if free < missing:
        raise DownloadError(
            f"{target}: {missing:,} bytes are still to come and {free:,} are free",
            cure="free some space, or give another folder",
            code="download-disk-full",
        )


@contextmanager
def unwritable(target: Path) -> Iterator[None]:
    """Say in one line that the folder cannot be written to."""
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"{target}: cannot be written ({error.strerror or error})", cure="give another folder"
        ) from error
