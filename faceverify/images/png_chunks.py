"""PNG without the metadata that would keep its pixels from being read.

Pillow unpacks text, XMP and colour profiles as it opens a PNG, refuses the whole file where one is
larger than 1 MB, and where one is damaged. None of them changes a pixel here. The chunks:
https://www.w3.org/TR/png-3/#11Ancillary-chunks.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST = 1 << 20  # bytes of one, unpacked; the limit of Pillow
MOST_TOGETHER = 32 * MOST  # half of the limit of Pillow for all text of a file


def readable_png(data: bytes) -> bytes:
    """A PNG without chunks of metadata that Pillow would refuse; the same bytes where it has none.

    What is kept may hold the photo's orientation.
    """
    kept: list[bytes] = []
    begin, total = 0, 0
    for place, end, kind in _chunks(data):
        if kind not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            continue
        size = _unpacked(kind, data[place + 8 : end - 4])
        if size is not None and size <= MOST and total + size <= MOST_TOGETHER:
            total += size
            continue
        kept.append(data[begin:place])
        begin = end
    return b"".join([*kept, data[begin:]]) if kept else data


def _chunks(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Place, end and kind of each chunk, until one that is cut short."""
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if end > len(data):
            return
        yield place, end, data[place + 4 : place + 8]
        place = end


def _unpacked(kind: bytes, body: bytes) -> int | None:
    """Size of a chunk's content in bytes, at most MOST + 1; None for a damaged one."""
    _, _, rest = body.partition(b"\0")
    if kind == b"tEXt":
        return len(rest)
    if kind == b"iTXt":
        if rest[:1] != b"\1":  # not packed
            return len(rest)
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    else:
        rest = rest[1:]
    try:
        return len(zlib.decompressobj().decompress(rest, MOST + 1))
    except zlib.error:
        return None
