"""JPEG damaged inside: found while it is decoded, since Pillow hides what its decoder warns of.

Where bytes of a JPEG are lost or altered, its decoder goes on with what comes: a part of the photo
is shifted, grey or garbage. Its code words then have other lengths, so that it needs more or fewer
bytes than there are. The stream is therefore given to Pillow in parts: the decoder must not have
finished before it gets the last bytes, and must have written the last row of pixels then. That
takes no time. Of progressive JPEGs, whose pixels come when all is read, and between restart markers
this tells nothing; there, too, it is checked that markers are those that can be there.

Annexes B and F of ITU-T T.81: https://www.w3.org/Graphics/JPEG/itu-t81.pdf.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

SPARE = 32  # bytes that some cameras leave between the last pixel and the end
# Ones, which no code word consists of. Decoders read some bytes ahead, and get these; one that has
# not all pixels yet cannot make more of them.
PADDING = b"\xff\x00" * 24
UNWRITTEN = 0x5A  # of all bands: a row of nothing else is not decoded yet

SEQUENTIAL, PROGRESSIVE = (0xC0, 0xC1), (0xC2,)  # frames of Huffman codes
END, START_OF_SCAN, NUMBER_OF_LINES, RESTART_INTERVAL = 0xD9, 0xDA, 0xDC, 0xDD
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")  # without + behind \xff: fifty times as fast
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
# tables, the number of lines, applications' data and comments
BETWEEN_SCANS = {0xC4, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}

# Longer than any in the codes of frequencies: flat parts of a photo are coded as their number.
HOLE = bytes(64)


class DamagedJpegError(ValueError):
    """A JPEG that is damaged inside."""


@dataclass(frozen=True)
class Scan:
    """The first scan of a JPEG.

    Attributes:
        alone: whether it is of all components, sequential, and so the only one.
        start, end: of its coded data; a marker follows.
        marker: that marker.
        restarts: restart markers that belong into it, where it is alone.
    """

    alone: bool
    start: int
    end: int
    marker: int
    restarts: int


def first_scan(data: bytes) -> Scan | None:
    """The first scan; None where there is no whole one, or its codes are no Huffman codes."""
    place, frame, interval, head = 2, 0, 0, b""
    while data[place : place + 1] == b"\xff":
        marker = data[place + 1] if place + 1 < len(data) else 0
        if marker == 0xFF:  # fills
            place += 1
            continue
        size = int.from_bytes(data[place + 2 : place + 4], "big")
        body = data[place + 4 : place + 2 + size]
        place += 2 + max(size, 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame, head = marker, body
        elif marker == RESTART_INTERVAL:
            interval = int.from_bytes(body[:2], "big")
        elif marker == START_OF_SCAN:
            if not body or len(head) < 9 or frame not in SEQUENTIAL + PROGRESSIVE:
                return None
            end, marker = _next_marker(data, place)
            if end == len(data):
                return None
            alone = frame in SEQUENTIAL and body[0] == head[5]
            restarts = -(-_units(head) // interval) - 1 if interval else 0
            return Scan(alone, place, end, marker, restarts)
    return None


def _units(head: bytes) -> int:
    """Number of minimum coded units of a frame, by its header."""
    height, width = int.from_bytes(head[1:3], "big"), int.from_bytes(head[3:5], "big")
    factors = [max(1, part) for part in head[7 : 6 + 3 * head[5] : 3]]
    across = max(max(1, part >> 4) for part in factors)
    down = max(max(1, part & 15) for part in factors)
    if len(factors) == 1:
        across = down = 1
    return math.ceil(width / (8 * across)) * math.ceil(height / (8 * down))


def check_markers(data: bytes, scan: Scan) -> None:
    """Check the markers in and behind the first scan, and progressive scans for holes.

    Raises:
        DamagedJpegError: a marker that cannot be there, or is missing, or a hole.
    """
    if scan.alone:
        found = len(RESTART.findall(data, scan.start, scan.end))
        if found != scan.restarts:
            raise DamagedJpegError(f"{found} restart markers, not {scan.restarts}")
        if scan.marker not in (END, NUMBER_OF_LINES):
            raise DamagedJpegError(f"a marker ff{scan.marker:02x} within the pixels")
        return
    start, end, marker = scan.start, scan.end, scan.marker
    while True:
        # the scan of frequencies begins with the first above 0, which is named 3 bytes before it
        if data[start - 3] and data.find(HOLE, start, end) >= 0:
            raise DamagedJpegError("a hole of zero bytes")
        while marker != START_OF_SCAN:
            if marker == END:
                return
            if marker not in BETWEEN_SCANS:
                raise DamagedJpegError(f"a marker ff{marker:02x} within the pixels")
            end, marker = _next_marker(data, _behind(data, end))
        start = _behind(data, end)
        end, marker = _next_marker(data, start)


def _behind(data: bytes, place: int) -> int:
    """Place behind the segment of the marker at a place."""
    while data[place] == 0xFF:
        place += 1
    return place + 1 + int.from_bytes(data[place + 1 : place + 3], "big")


def _next_marker(data: bytes, place: int) -> tuple[int, int]:
    """Place and code of the next marker; END where the file is cut short, as its decoder tells."""
    found = MARKER.search(data, place)
    if found is None:
        return len(data), END
    behind = found.start()
    while data[behind : behind + 1] == b"\xff":  # fills
        behind += 1
    return (found.start(), data[behind]) if behind < len(data) else (len(data), END)


class WatchedJpeg(BytesIO):
    """The bytes of a JPEG for Pillow, which finds out whether they fit its pixels.

    Args:
        data: the file.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = data
        self._image: Image.Image | None = None
        self._parts: list[bytes] = []
        self._given = 0

    def watch(self, image: Image.Image) -> None:
        """Watch an image that was opened from these bytes, and is to be loaded.

        Raises:
            DamagedJpegError: its markers show damage.
        """
        scan = first_scan(self._data)
        if scan is None:
            return
        check_markers(self._data, scan)
        if scan.alone and scan.marker == END and scan.end - scan.start > SPARE:
            last = scan.end - SPARE
            self._parts = [
                self._data[:last],
                self._data[last : scan.end] + PADDING,
                self._data[scan.end :],
            ]
            self._image = image

    def read(self, size: int | None = -1, /) -> bytes:
        """Bytes of the file; while it is loaded, those of one part."""
        image = self._image
        if image is None:
            return super().read(size)
        if not self._given:
            row = (0, image.height - 1, *image.size)
            image.im.paste((UNWRITTEN,) * len(image.getbands()), row)
        elif self._given == 2 and not self._decoded(image):
            raise DamagedJpegError("fewer bytes than its pixels take")
        self._given += 1
        return self._parts[self._given - 1] if self._given <= len(self._parts) else b""

    def finish(self) -> None:
        """Check, once the image is loaded, that it took all bytes.

        Raises:
            DamagedJpegError: it did not.
        """
        if self._image is not None and self._given < 2:
            raise DamagedJpegError("more bytes than its pixels take")

    @staticmethod
    def _decoded(image: Image.Image) -> bool:
        """Whether the last row of pixels has been written."""
        width, height = image.size
        counts = image.im.crop((0, height - 1, width, height)).histogram()
        return any(count != width for count in counts[UNWRITTEN::256])
