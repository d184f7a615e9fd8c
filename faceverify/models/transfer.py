"""One file over HTTP: resumed where it broke off, retried where that can help, checked as it comes.

A later run asks for the rest of *this* version of the file (RFC 9110, sections 13.1.5 and 14).
Whatever a server claims, only the pinned size and SHA-256 decide whether it is the file.
Proxies are those of the environment (``https_proxy``, ``no_proxy``), certificates those of the
system, as urllib has them.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from faceverify.errors import DownloadError
from faceverify.models.part_file import CHUNK, Part
from faceverify.version import __version__

LONGEST_PAUSE = 60.0  # seconds, whatever Retry-After says
AFRESH = 1 << 20  # bytes; a connection that brought as many counts as a success
PASSING = (408, 425, 429, 500, 502, 503, 504)  # answers that may be another one a moment later


@dataclass(frozen=True)
class Wanted:
    """A file, and how it is known to be the right one.

    Attributes:
        url: where it is.
        sha256: of the whole file, in hexadecimal.
        size: of the whole file, in bytes.
    """

    url: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Patience:
    """How long to put up with a network.

    Attributes:
        timeout: seconds to wait for a connection and for the next bytes.
        attempts: failures in a row before giving up.
        pause: seconds before the second attempt; doubles with each further one.
    """

    timeout: float = 30.0
    attempts: int = 5
    pause: float = 1.0


class PassingError(Exception):
    """Something that may go better a moment later; pause: seconds the server asked to wait."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


def fetch(
    wanted: Wanted,
    part: Part,
    *,
    patience: Patience,
    progress: Callable[[int, int], None],
) -> None:
    """Bring a part to its full size; what is there of it already is not asked for again.

    Args:
        wanted: the file.
        part: where it goes; complete, flushed and of the right hash on return.
        patience: timeouts and attempts.
        progress: called with the bytes there and the bytes in all.

    Raises:
        DownloadError: it cannot be had. What came so far stays for the next time, unless its hash
            is wrong.
    """
    failures, inherited = 0, part.size > 0
    while True:
        start = part.size
        try:
            receive(wanted, part, patience.timeout, progress)
        except PassingError as problem:
            failures = 1 if part.size - start >= AFRESH else failures + 1
            if failures >= patience.attempts:
                raise DownloadError(
                    f"{wanted.url}: {problem}, {failures} times in a row",
                    cure="run the same command again later: it goes on where this one stopped",
                ) from problem
            pause = max(problem.pause, patience.pause * 2 ** (failures - 1))
            time.sleep(min(pause, LONGEST_PAUSE))
            continue
        found = part.digest.hexdigest()
        if found == wanted.sha256:
            return
        part.clear()
        if not inherited:
            raise DownloadError(
                f"{wanted.url}: its SHA-256 is {found} and not {wanted.sha256}; removed",
                cure="what is there now is another file, or something on the way changes it",
                code="download-hash",
            )
        inherited = False  # an earlier run's bytes may be the wrong ones: once more, from the start


def receive(
    wanted: Wanted, part: Part, timeout: float, progress: Callable[[int, int], None]
) -> None:
    """Ask once for what is missing and append what comes.

    Raises:
        PassingError: the connection failed or broke off, or the server was busy.
        DownloadError: asking again cannot help.
    """
    if part.size == wanted.size:
        return
    if part.size > wanted.size:
        part.clear()
    try:
        # An opener of its own: urlopen would remember the proxies of the first call.
        opener = urllib.request.build_opener()
        with opener.open(request(wanted.url, part), timeout=timeout) as answer:
            begin(wanted, part, answer)
            progress(part.size, wanted.size)
            while block := answer.read(CHUNK):
                if part.size + len(block) > wanted.size:
                    part.clear()
                    raise other_size(wanted, "more")
                part.append(block)
                progress(part.size, wanted.size)
    except urllib.error.HTTPError as error:
        raise refusal(wanted, part, error) from error
    except (http.client.InvalidURL, ValueError) as error:
        raise DownloadError(f"{wanted.url}: not an address: {error}") from error
    except (OSError, http.client.HTTPException) as error:  # URLError and TimeoutError are OSErrors
        raise broken(wanted, error) from error
    if part.size < wanted.size:
        raise PassingError(f"broke off after {part.size:,} of {wanted.size:,} bytes")


def request(url: str, part: Part) -> urllib.request.Request:
    """Build the question: for the whole file, or for the rest of the same version."""
    headers = {"User-Agent": f"faceverify/{__version__}", "Accept-Encoding": "identity"}
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
        if version := part.version():
            headers["If-Range"] = version
    return urllib.request.Request(url, headers=headers)  # noqa: S310  http: download.mirrored


def begin(wanted: Wanted, part: Part, answer: http.client.HTTPResponse) -> None:
    """Compare what the server is about to send with what was asked; start over if it is all."""
    if answer.status == HTTPStatus.PARTIAL_CONTENT:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if not span or int(span[1]) != part.size:
            part.clear()
            raise PassingError("the server sent another part than was asked for")
        total = span[2]
    else:
        part.clear()
        total = answer.headers.get("Content-Length") or "*"
    if total.isdecimal() and int(total) != wanted.size:
        part.clear()
        raise other_size(wanted, f"{int(total):,}")
    with suppress(OSError):
        part.remember(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")


def other_size(wanted: Wanted, found: str) -> DownloadError:
    """Say that the server has a file of another size."""
    return DownloadError(
        f"{wanted.url}: has {found} bytes, where {wanted.size:,} were expected",
        cure="what is there now is another file",
        code="download-size",
    )


def refusal(wanted: Wanted, part: Part, error: urllib.error.HTTPError) -> Exception:
    """Tell an answer that may change from one that will not."""
    error.close()
    if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.size:
        part.clear()
        return PassingError("the server does not have the rest of this file")
    said = f"the server answered {error.code} {error.reason}"
    if error.code in PASSING:
        after = error.headers.get("Retry-After", "")
        return PassingError(said, float(after) if after.isdecimal() else 0.0)
    return DownloadError(
        f"{wanted.url}: {said}", cure="--url names a mirror", code="download-refused"
    )


def broken(wanted: Wanted, error: Exception) -> Exception:
    """Tell a failing network from a certificate that does not fit."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return DownloadError(
            f"{wanted.url}: its certificate is not valid: {cause.verify_message}",
            cure="check the clock and the proxy, or set SSL_CERT_FILE",
        )
    return PassingError(str(getattr(cause, "strerror", None) or cause or type(cause).__name__))
