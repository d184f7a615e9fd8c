"""Kinds of files, by their first bytes."""

import io
import json
import tarfile
import wave
import zipfile

import numpy as np
import pytest
from PIL import Image

from faceverify.runtime.file_kinds import HEAD, TEXT, is_text, kind_of_file

LFS = "a Git LFS pointer, not the file itself"


def media(*brands):
    """The first box of an ISO media file."""
    body = brands[0] + bytes(4) + b"".join(brands[1:])
    return (len(body) + 8).to_bytes(4, "big") + b"ftyp" + body + bytes(64)


def written(save):
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


def sound(stream):
    with wave.open(stream, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(800))


def archive(stream):
    with tarfile.open(fileobj=stream, mode="w") as out:
        out.addfile(tarfile.TarInfo("a.jpg"))


def zipped(stream):
    with zipfile.ZipFile(stream, "w") as out:
        out.writestr("a.jpg", b"x")


@pytest.mark.parametrize(
    ("data", "name", "picture"),
    [
        (written(sound), "a sound (WAV)", False),
        (b"RIFF\0\0\0\0AVI LIST", "a video (AVI)", False),
        (b"RIFF\0\0\0\0sfbk", "a RIFF file, but no WebP", False),
        (written(archive), "a tar archive", False),
        (written(zipped), "a zip archive", False),
        (written(lambda stream: np.save(stream, np.zeros(3))), "a NumPy array", False),
        (media(b"isom", b"iso2", b"avc1"), "a video (MP4)", False),
        (media(b"qt  "), "a video (QuickTime)", False),
        (b"\0\0\0\x08wide\0\0\0\x08mdat", "a video (QuickTime)", False),
        (media(b"M4A ", b"mp42"), "a sound (MPEG-4)", False),
        (media(b"heic", b"mif1"), "a HEIF (HEIC) photo", True),
        (media(b"mif1", b"heic", b"hevc"), "a HEIF (HEIC) photo", True),
        (media(b"mif1", b"avif", b"miaf"), "an AVIF photo", True),
        (media(b"crx ", b"isom"), "a raw photo (Canon CR3)", True),
        (b"\x1a\x45\xdf\xa3\x01", "a video (Matroska or WebM)", False),
        (b"\x47" + bytes(187) + b"\x47" + bytes(187) + b"\x47", "a video (MPEG-TS)", False),
        (b"%PDF-1.4\n", "a PDF", False),
        (b"  \n<!-- x --><HTML>", "a web page", False),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "a web page", False),
        (b'<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "x" "y">\n<svg ', "an SVG drawing", True),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", LFS, False),
        (b"/annex/objects/SHA256E-s5--ab.jpg\n", "a git-annex pointer, not the file itself", False),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file", False),
        (b"\x80\x04\x95", "a pickle", False),
        (b"\x1f\x8b\x08", "a gzip archive", False),
        (b"FUJIFILMCCD-RAW 0201", "a raw photo (Fujifilm RAF)", True),
        (b"8BPS\0\1" + bytes(20), "a Photoshop document", True),
        (bytes(5000), "nothing but zero bytes", False),
        (b"P3 2 2 255 0 0 0", "a Netpbm, XBM or XPM picture", True),
        (json.dumps({"error": "not found"}).encode(), "text", False),
        (b"BMW\nFiat\n" * 9, "text", False),
        (b"PK, then words", "text", False),
    ],
)  # fmt: skip
def test_the_kind_of_a_file(data, name, picture):
    kind = kind_of_file(data)
    assert (kind.name, kind.picture) == (name, picture)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "ICO"])
def test_pictures_are_told_by_the_reader_that_reads_them(kind):
    data = written(lambda stream: Image.new("RGB", (16, 16)).save(stream, kind))
    found = kind_of_file(data)
    assert (found.reader, found.picture) == (kind, True)


def test_what_is_unknown_has_no_kind():
    for data in (b"", b"\1\2\3", b"FORM....ILBM", b"\xff\0\xfe", bytes(range(256)) * 9):
        assert kind_of_file(data) is None


def test_texts():
    for text in ("a", "Größe\t1\n", "日本語 の 名前\r\n", "\x1b[1mbold\x1b[0m"):
        assert is_text(text.encode())
    assert is_text("Größe und vieles mehr\n".encode("cp1252"))
    for encoding in ("utf-16", "utf-16-be"):
        assert is_text(b"\xfe\xff" * (encoding != "utf-16") + "Ann\t1.jpg\n".encode(encoding))
    cut = ("é" * HEAD).encode()[: HEAD - 1]
    assert kind_of_file(cut) is TEXT
    for data in (b"", b"a\0b", b"\xff" * 9, b"caf\xe9"[:0], b"\x07bell"):
        assert not is_text(data)


@pytest.mark.parametrize("size", [0, 1, 4, 8, 9, 12, 17, 40, 200])
def test_no_bytes_are_too_few_or_wrong(size):
    for start in (
        b"II*\0",
        b"MM\0*",
        b"II*\0\x08\0\0\0\xff\xff",
        b"BM",
        b"RIFF",
        b"\0\0\0\x18ftyp",
        b"\x47",
    ):
        kind_of_file((start + b"\xff" * 300)[:size])
