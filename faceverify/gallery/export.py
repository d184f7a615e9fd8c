"""A gallery as files that any program reads: JSON lines beside ``.npz``, in pieces.

Piece N is ``templates-N.jsonl``, a line a template (``name``, ``photo``, ``photo_hash``,
``quality``, ``time``, ``model``, ``sequence``, ``row``), and ``templates-N.npz``, one (rows, D)
float32 array for each model, named by its id; ``row`` says which. The lines are written last, so a
piece without them is no piece. Files are readable by their owner alone: embeddings of faces are
biometric data.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import GalleryError, OutputError
from faceverify.gallery.names import checked_name
from faceverify.gallery.store import Store, StoredTemplate
from faceverify.gallery.validation import UNIT
from faceverify.runtime.files import atomic_writer
from faceverify.runtime.json_lines import json_line

PIECE = 100_000  # templates; 51 MB of 128 numbers each
PRIVATE = 0o600
LINES = re.compile(r"templates-(\d+)\.jsonl")


def export_gallery(store: Store, folder: Path, *, piece: int = PIECE) -> int:
    """Write all templates of a store into a folder; returns how many.

    Raises:
        OutputError: the folder is not empty, or cannot be written.
        GalleryError: the store cannot be read.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError(f"{folder}: is not empty", cure="name a new folder")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror})") from None
    stream = store.since(0)
    count = 0
    while templates := list(islice(stream, piece)):
        _write_piece(folder, count // piece, templates)
        count += len(templates)
    return count


def read_export(folder: Path) -> Iterator[StoredTemplate]:
    """Read the templates that :func:`export_gallery` wrote, in their order; every one is checked.

    Raises:
        GalleryError: there are none, a file is damaged, or a line is no template.
    """
    try:
        pieces = sorted(path for path in folder.iterdir() if LINES.fullmatch(path.name))
    except OSError as error:
        raise GalleryError(f"{folder}: cannot be read ({error.strerror})") from None
    if not pieces:
        raise GalleryError(
            f"{folder}: holds no templates-*.jsonl", cure="name what `gallery export` wrote"
        )
    for lines in pieces:
        yield from _read_piece(lines)


def _write_piece(folder: Path, number: int, templates: list[StoredTemplate]) -> None:
    rows: dict[str, list[StoredTemplate]] = {}
    texts = []
    for template in templates:
        of_model = rows.setdefault(template.model, [])
        line = {
            "name": template.name,
            "photo": template.photo,
            "photo_hash": template.photo_hash.hex(),
            "quality": template.quality,
            "time": template.time,
            "model": template.model,
            "sequence": template.sequence,
            "row": len(of_model),
        }
        texts.append(json_line(line) + "\n")
        of_model.append(template)
    path = folder / f"templates-{number:06d}.npz"
    with atomic_writer(path, mode=PRIVATE) as stream:
        arrays = {model: np.stack([t.embedding for t in group]) for model, group in rows.items()}
        np.savez(stream, allow_pickle=False, **arrays)
    with atomic_writer(path.with_suffix(".jsonl"), mode=PRIVATE) as stream:
        stream.write("".join(texts).encode())


def _read_piece(path: Path) -> Iterator[StoredTemplate]:
    arrays = path.with_suffix(".npz")
    try:
        with np.load(arrays, allow_pickle=False) as archive:
            embeddings = {model: np.asarray(archive[model], np.float32) for model in archive.files}
    except Exception as error:  # zip, zlib, header parser: each raises in its own way
        raise GalleryError(f"{arrays}: missing or damaged ({error})") from None
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            yield _parsed(f"{path}:{number}", raw, embeddings)


def _parsed(where: str, raw: bytes, embeddings: dict[str, NDArray[np.float32]]) -> StoredTemplate:
    try:
        return _template(json.loads(raw), embeddings)
    except (ValueError, TypeError, KeyError, IndexError, GalleryError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else error
        raise GalleryError(
            f"{where}: is no template ({reason})", cure="export the gallery anew"
        ) from None


def _template(line: dict[str, Any], embeddings: dict[str, NDArray[np.float32]]) -> StoredTemplate:
    """A line and its row; ValueError, TypeError, KeyError or IndexError where they do not fit."""
    model, row = line["model"], line["row"]
    if type(row) is not int or row < 0:
        raise ValueError(f"row {row!r}")
    embedding = embeddings[model][row]
    length = float(np.linalg.norm(embedding))
    if embedding.ndim != 1 or not abs(length - 1) <= UNIT:
        raise ValueError(f"an embedding of length {length:.3g}, where 1 is expected")
    digest = bytes.fromhex(line["photo_hash"])
    quality, time = float(line["quality"]), float(line["time"])
    if len(digest) != 32 or not math.isfinite(quality) or not math.isfinite(time):
        raise ValueError("its photo_hash, quality or time")
    if not isinstance(line["photo"], str):
        raise TypeError("its photo")
    return StoredTemplate(
        name=checked_name(line["name"]),
        embedding=embedding,
        photo=line["photo"],
        photo_hash=digest,
        quality=quality,
        sequence=int(line["sequence"]),
        model=model,
        time=time,
    )
