"""What a file is, by its first bytes: for messages that name it and say what helps.

Signatures: https://en.wikipedia.org/wiki/List_of_file_signatures; brands of ISO media files:
https://mp4ra.org/registered-types/brands; tags of TIFF: https://www.loc.gov/preservation/digital/
formats/content/tiff_tags.shtml.

>>> kind_of_file(b"RIFF....WAVEfmt ").name, kind_of_file(b"%PDF-1.7").name
('a sound (WAV)', 'a PDF')
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

HEAD = 4096  # bytes that are enough to tell


class FileKind(NamedTuple):
    """Kind of a file.

    Attributes:
        name: with its article, for a message.
        cure: what makes a photo of it; empty where nothing does.
        picture: whether it holds a photo, be it one that cannot be read here.
        reader: Pillow's name of the format; empty where Pillow has none.
    """

    name: str
    cure: str = ""
    picture: bool = False
    reader: str = ""


EXPORT = "export it as JPEG or PNG"
FRAME = "take a frame out of it, as with ffmpeg -i FILE -frames:v 1 frame.png"
DEVELOP = "develop it into JPEG or TIFF, as with darktable-cli or dcraw"
UNPACK = "unpack it"

_VIDEO, _RAW = "a video ({})", "a raw photo ({})"


def _starts(kind: FileKind, *starts: bytes) -> list[tuple[int, bytes, FileKind]]:
    return [(0, start, kind) for start in starts]


def _picture(name: str, cure: str = EXPORT, reader: str = "") -> FileKind:
    return FileKind(name, cure, True, reader)


HEIF = _picture("a HEIF (HEIC) photo", "pip install 'faceverify[heif]', or convert it to JPEG")
AVIF = _picture("an AVIF photo", "pip install -U pillow, or convert it to JPEG", "AVIF")
TEXT = FileKind("text")
LFS_POINTER = FileKind("a Git LFS pointer, not the file itself", "fetch it with git lfs pull")
ANNEX_POINTER = FileKind("a git-annex pointer, not the file itself", "fetch it with git annex get")
WEB_PAGE = FileKind("a web page", "download the file itself; is a login asked for?")

SIGNATURES = [  # (offset, bytes, kind), the more special before the more general
    *_starts(_picture("a JPEG", reader="JPEG"), b"\xff\xd8\xff"),
    *_starts(_picture("a PNG", reader="PNG"), b"\x89PNG"),
    *_starts(_picture("a GIF", reader="GIF"), b"GIF87a", b"GIF89a"),
    *_starts(_picture("a JPEG 2000", reader="JPEG2000"), b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    *_starts(_picture("a JPEG XL"), b"\0\0\0\x0cJXL ", b"\xff\x0a"),
    *_starts(_picture("a JPEG XR", EXPORT), b"II\xbc\x01"),
    *_starts(_picture("a QOI", reader="QOI"), b"qoif"),
    *_starts(_picture("an icon", reader="ICO"), b"\0\0\1\0", b"icns"),
    *_starts(_picture("a large Photoshop document (PSB)"), b"8BPS\0\2"),
    *_starts(_picture("a Photoshop document", reader="PSD"), b"8BPS"),
    *_starts(_picture("a GIMP document"), b"gimp xcf"),
    *_starts(_picture("an OpenEXR"), b"\x76\x2f\x31\x01"),
    *_starts(_picture("a Radiance HDR"), b"#?RADIANCE", b"#?RGBE"),
    *_starts(_picture("a BPG"), b"BPG\xfb"),
    *_starts(_picture("a Windows metafile"), b"\xd7\xcd\xc6\x9a"),
    (128, b"DICM", _picture("a DICOM")),
    *_starts(_picture(_RAW.format("Canon CR2"), DEVELOP), b"II*\0\x10\0\0\0CR"),
    *_starts(_picture(_RAW.format("Canon CRW"), DEVELOP), b"II\x1a\0\0\0HEAPCCDR"),
    *_starts(_picture(_RAW.format("Fujifilm RAF"), DEVELOP), b"FUJIFILMCCD-RAW"),
    *_starts(_picture(_RAW.format("Olympus ORF"), DEVELOP), b"IIRO", b"IIRS", b"MMOR"),
    *_starts(_picture(_RAW.format("Panasonic RW2"), DEVELOP), b"IIU\0"),
    *_starts(_picture(_RAW.format("Sigma X3F"), DEVELOP), b"FOVb"),
    *_starts(_picture(_RAW.format("Minolta MRW"), DEVELOP), b"\0MRM"),
    *_starts(FileKind("a PDF", "take the photo out of it, as with pdfimages -all"), b"%PDF-"),
    *_starts(FileKind("a PostScript program", EXPORT), b"%!PS", b"\xc5\xd0\xd3\xc6"),
    *_starts(FileKind(_VIDEO.format("Matroska or WebM"), FRAME), b"\x1a\x45\xdf\xa3"),
    *_starts(FileKind(_VIDEO.format("Flash"), FRAME), b"FLV\1"),
    *_starts(FileKind(_VIDEO.format("Windows Media"), FRAME), b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    *_starts(FileKind(_VIDEO.format("MPEG"), FRAME), b"\0\0\1\xba", b"\0\0\1\xb3"),
    *_starts(FileKind("a sound or video (Ogg)"), b"OggS"),
    *_starts(FileKind("a sound (MP3)"), b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
    *_starts(FileKind("a sound (FLAC)"), b"fLaC"),
    *_starts(FileKind("a sound (MIDI)"), b"MThd"),
    *_starts(FileKind("a sound (AMR)"), b"#!AMR"),
    *_starts(FileKind("a zip archive", UNPACK), b"PK\3\4", b"PK\5\6"),
    *_starts(FileKind("a gzip archive", UNPACK), b"\x1f\x8b"),
    *_starts(FileKind("a bzip2 archive", UNPACK), b"BZh"),
    *_starts(FileKind("an xz archive", UNPACK), b"\xfd7zXZ\0"),
    *_starts(FileKind("a Zstandard archive", UNPACK), b"\x28\xb5\x2f\xfd"),
    *_starts(FileKind("a 7-Zip archive", UNPACK), b"7z\xbc\xaf\x27\x1c"),
    *_starts(FileKind("a RAR archive", UNPACK), b"Rar!\x1a\7"),
    (257, b"ustar", FileKind("a tar archive", UNPACK)),
    *_starts(FileKind("an HDF5 file"), b"\x89HDF\r\n\x1a\n"),
    *_starts(FileKind("a NumPy array"), b"\x93NUMPY"),
    *_starts(FileKind("a Parquet table"), b"PAR1"),
    *_starts(FileKind("an SQLite database"), b"SQLite format 3\0"),
    *_starts(FileKind("a pickle"), b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5"),
    *_starts(FileKind("an old Microsoft Office document"), b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    *_starts(FileKind("a program"), b"\x7fELF", b"MZ", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe"),
    *_starts(FileKind("what macOS keeps beside a file (AppleDouble)"), b"\0\5\x16\7"),
]  # fmt: skip

RIFF = {
    b"WEBP": _picture("a WebP", reader="WEBP"),
    b"WAVE": FileKind("a sound (WAV)"),
    b"AVI ": FileKind(_VIDEO.format("AVI"), FRAME),
    b"ACON": FileKind("an animated cursor"),
}
FORM = {
    b"AIFF": FileKind("a sound (AIFF)"),
    b"AIFC": FileKind("a sound (AIFF)"),
}
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1",
    b"mif2", b"msf1"}  # fmt: skip
AVIF_BRANDS = {b"avif", b"avis"}
SOUND_BRANDS = {b"M4A ", b"M4B ", b"M4P "}
QUICKTIME = (b"moov", b"mdat", b"wide", b"skip", b"pnot", b"free")

# Text formats that hold pixels; all other text is no photo.
TEXTUAL_IMAGE = re.compile(rb"P[1-7]\s|P[Ff]\s|/\* XPM|#define \S+_width")
MARKUP = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.S | re.I)
SVG = re.compile(rb"\s*(?:<\?xml.*?\?>\s*|<!.*?>\s*)*<(?:\w+:)?svg\b", re.S | re.I)
CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
MOSTLY = 0.8  # of the letters of a text in a European language are ASCII
LFS = b"version https://git-lfs.github.com/spec/"
ANNEX = re.compile(rb"(?:\.\./)*\.git/annex/objects/|/annex/objects/")


def kind_of_file(data: bytes) -> FileKind | None:
    """Kind of a file, by its content; None for what is unknown, and for no bytes.

    Args:
        data: its first HEAD bytes, or all.
    """
    if data[:4] == b"RIFF":
        return RIFF.get(data[8:12], FileKind("a RIFF file, but no WebP"))
    if data[:4] == b"FORM":
        return FORM.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _iso_media(data)
    if data[4:8] in QUICKTIME:
        return FileKind(_VIDEO.format("QuickTime"), FRAME)
    for offset, start, kind in SIGNATURES:
        if data.startswith(start, offset):
            return kind
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff(data)
    if data[:2] == b"BM" and (data[14:18] in _BMP_HEADERS if data[17:] else not is_text(data)):
        return _picture("a BMP", reader="BMP")
    if data[:1] == b"\x47" and data[188:189] == b"\x47" == data[376:377]:
        return FileKind(_VIDEO.format("MPEG-TS"), FRAME)
    if TEXTUAL_IMAGE.match(data):
        return _picture("a Netpbm, XBM or XPM picture", reader="PPM")
    if data and not data[:HEAD].strip(b"\0"):
        return FileKind("nothing but zero bytes", "copy it again: that copy was not finished")
    return _text(data[:HEAD])


_BMP_HEADERS = {struct.pack("<I", size) for size in (12, 16, 40, 52, 56, 64, 108, 124)}


def _iso_media(data: bytes) -> FileKind:
    """Kind of an ISO media file (ISO/IEC 14496-12) by the brands of its first box."""
    size = min(max(int.from_bytes(data[:4], "big"), 12), HEAD)
    brands = [data[at : at + 4] for at in (8, *range(16, size, 4))]
    if brands[0] == b"crx ":
        return _picture(_RAW.format("Canon CR3"), DEVELOP)
    if AVIF_BRANDS & set(brands):
        return AVIF
    if HEIF_BRANDS & set(brands):
        return HEIF
    if brands[0] in SOUND_BRANDS:
        return FileKind("a sound (MPEG-4)")
    return FileKind(_VIDEO.format("QuickTime" if brands[0] == b"qt  " else "MP4"), FRAME)


def _tiff(data: bytes) -> FileKind:
    """A TIFF, or a raw photo laid out as one, by the tags of its first directory."""
    tags = tiff_tags(data)
    compression, photometric = tags.get(259, 1), tags.get(262, 0)
    if 50706 in tags:  # DNGVersion
        return _picture(_RAW.format("DNG"), DEVELOP)
    raw = photometric in (32803, 34892) or compression in (32767, 32769, 32770, 34713, 65000, 65535)
    # a thumbnail in front, the sensor's pixels in sub-directories: NEF, ARW, PEF, SRW, ...
    if raw or (tags.get(254, 0) & 1 and 330 in tags) or data[8:12] == b"IIII":
        return _picture(_RAW.format("such as NEF or ARW"), DEVELOP)
    return _picture("a TIFF", reader="TIFF")


def tiff_tags(data: bytes) -> dict[int, int]:
    """Tags of the first directory of a TIFF, each with its value, or the place of its values."""
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] not in (b"*\0", b"\0*"):
        return {}  # BigTIFF: no camera writes raw photos so
    (start,) = struct.unpack_from(order + "I", data, 4) if len(data) >= 8 else (0,)
    if not 8 <= start <= len(data) - 2:
        return {}
    (count,) = struct.unpack_from(order + "H", data, start)
    tags = {}
    for place in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
        tag, kind = struct.unpack_from(order + "HH", data, place)
        (tags[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, place + 8)
    return tags


def _text(head: bytes) -> FileKind | None:
    """Kind of a text; None where it is none."""
    start = head.removeprefix(b"\xef\xbb\xbf")
    if start.startswith(LFS):
        return LFS_POINTER
    if ANNEX.match(start):
        return ANNEX_POINTER
    if SVG.match(start):
        return _picture("an SVG drawing", "export it as PNG")
    if MARKUP.match(start):
        return WEB_PAGE
    if is_text(head):
        return TEXT
    return None


def is_text(head: bytes) -> bool:
    """Whether first bytes are those of a text: no control characters, and mostly ASCII."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):  # UTF-16, as Windows writes lists
        head = head.decode("utf-16", "ignore").encode("utf-8", "ignore")
    if not head or CONTROL.search(head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        cut = error.start >= len(head) - 3  # the last character may be cut in two
        return cut or sum(byte < 0x80 for byte in head) > MOSTLY * len(head)
    return True
